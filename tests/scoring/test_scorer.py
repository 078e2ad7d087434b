"""The scorer: what its cache knows is not computed again."""

from __future__ import annotations

import numpy as np

from searchkit.proxies.jacov import Jacov
from searchkit.proxies.naswot import NASWOT
from searchkit.scoring.scorer import Scorer
from searchkit.space import keys
from searchkit.spaces.nas_bench_201 import nas_bench_201

CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))


def test_of_a_candidate_known_in_part_only_the_missing_signals_are_computed() -> None:
    codes = CELLS.check(np.array([[3] * 6, [2, 0, 1, 4, 0, 3]]))
    whole = Scorer(CELLS, [NASWOT(8), Jacov(8)])(codes)
    scorer = Scorer(CELLS, [NASWOT(8), Jacov(8)])
    scorer.cache[keys(codes)[0]] = {"naswot": 1.5}
    found = scorer(codes)
    assert found[0, 0] == 1.5
    np.testing.assert_array_equal(found[0, 1], whole[0, 1])
    np.testing.assert_array_equal(found[1], whole[1])
