"""Every registered strategy passes the shipped conformance suite, and learns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from searchkit import Choice, Space, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.testing import STRATEGY_CHECKS

NAMES = plugins.names("strategy")


def test_the_strategies_are_registered():
    assert {"bo", "evolution", "exact", "nsga2", "nsga3", "random", "tpe"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", STRATEGY_CHECKS, ids=lambda check: check.__name__)
def test_conformance(name: str, check: Callable) -> None:
    check(plugins.resolve("strategy", name))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
def test_it_beats_random_search(name: str) -> None:
    space = Space([Choice(f"c{i}", range(5)) for i in range(8)])
    value = np.random.default_rng(0).normal(size=(8, 5))

    def best_of(strategy: str, seed: int) -> float:
        problem = Problem(space, 1, budget=60)
        searcher = plugins.resolve("strategy", strategy)(problem)
        best = np.inf
        for step in range(30):
            codes = searcher.ask(2, np.random.default_rng([seed, step]), np.empty((0, 8), dtype=np.int64))
            losses = value[np.arange(8), codes].sum(axis=1)
            searcher.tell(Observations(codes, losses[:, None], np.empty((2, 0))))
            best = min(best, float(losses.min()))
        return best

    assert np.mean([best_of(name, s) for s in range(3)]) < np.mean([best_of("random", s) for s in range(3)]) - 1
