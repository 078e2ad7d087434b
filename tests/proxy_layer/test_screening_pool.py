"""What a screen chooses from: proposals, random candidates and neighbours, each once and none that was seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from searchkit import Choice, Space
from searchkit.problem.problem import Problem
from searchkit.proxy_layer.screening import Screen
from searchkit.space import keys
from searchkit.types import Codes

SPACE = Space([Choice("a", range(4), ordered=True), Choice("b", range(4), ordered=True)])


class Watched(Screen):
    """Takes the first rows of a pool, and keeps the pools it was shown."""

    pools: list[Codes]

    def choose(self, pool: Codes, n: int, pending: Codes) -> list[int]:
        self.pools.append(pool)
        return list(range(n))


def test_a_candidate_is_in_the_pool_once_and_not_when_it_was_seen() -> None:
    nothing: Any = None
    screen = Watched(Problem(SPACE, 1), nothing, 16, 0)
    screen.pools = []
    proposed = np.array([[1, 1], [1, 2], [1, 1], [2, 2]])
    seen = {keys(np.array([[1, 3]]))[0]}
    picked = screen.pick(proposed, 2, seen, np.random.default_rng(0), proposed[:0])
    first, last = screen.pools
    assert len(last) > len(first), "neighbours came"
    for pool in screen.pools:
        assert len(set(keys(pool))) == len(pool)
        assert not seen & set(keys(pool))
    assert len(set(keys(picked))) == 2
