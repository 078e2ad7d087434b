"""Several Eproxies as one: the mean of their standardised scores."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searchkit.proxies.eproxy import Branch, Eproxy, EproxySetting
from searchkit.proxies.eproxy_mean import MOST, EproxyMean, load_eproxy, mean_of
from searchkit.scoring.scorer import Scorer
from searchkit.spaces.nas_bench_201 import nas_bench_201

CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))
CODES = CELLS.check(np.array([[0] * 6, [1] * 6, [2] * 6, [3] * 6]))
SETTING = EproxySetting(steps=3, batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 2)
ONE = Eproxy(SETTING)
OTHER = Eproxy(replace(SETTING, lr=0.7, macs_weight=0.2, macs_max=1e6), width=None, resolution=4)
BOTH = EproxyMean((ONE, OTHER), (0.5, -1.0), (2.0, 1.0))


@pytest.mark.slow
def test_it_is_the_mean_of_what_its_members_say_standardised() -> None:
    scores = [Scorer(CELLS, [member])(CODES)[:, 0] for member in (ONE, OTHER)]
    wanted = ((-np.log(-scores[0]) - 0.5) / 2 + (-np.log(-scores[1]) + 1) / 1.0) / 2
    np.testing.assert_allclose(Scorer(CELLS, [BOTH])(CODES)[:, 0], wanted, rtol=1e-5)


def test_centres_and_scales_are_those_of_known_networks() -> None:
    found = EproxyMean.of((ONE, OTHER), -np.exp(np.array([[1.0, 3.0], [4.0, 4.0]])))
    assert (found.centres, found.scales) == ((-2.0, -4.0), (1.0, 1.0))  # a constant one has no scale


def test_one_member_that_diverges_counts_as_its_lowest_and_all_are_refused() -> None:
    wild = replace(ONE, setting=replace(SETTING, lr=1e30))
    with_it = EproxyMean((ONE, wild), (0.0, 0.0), (1.0, 1.0))
    alone = Scorer(CELLS, [ONE])(CODES[1:2])[0, 0]
    assert Scorer(CELLS, [with_it])(CODES[1:2])[0, 0] == pytest.approx((-math.log(-alone) - MOST) / 2, rel=1e-5)
    with pytest.warns(UserWarning, match="not finite"):
        assert np.isnan(Scorer(CELLS, [EproxyMean((wild, wild), (0, 0), (1, 1))])(CODES[3])).all()


def test_a_score_far_away_counts_as_a_few_deviations() -> None:
    assert mean_of([-1e-300, None], (0.0, 0.0), (1.0, 1.0)) == 0
    assert mean_of([2.0, -1.0], (0.0, 0.0), (1.0, 1.0)) == MOST / 2  # a weight of MACs took all of its error


def test_it_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "eproxy.json"
    for proxy in (ONE, BOTH):
        proxy.save(path)
        assert load_eproxy(path) == proxy
    for held in ("[", "[]", '{"members": [{}]}', '{"members": [{"lr": 0}, {}], "centres": [0, 0], "scales": [1, 1]}'):
        path.write_text(held)
        with pytest.raises(ValueError, match=r"holds no Eproxy setting|lr is positive"):
            load_eproxy(path)
    path.write_text(json.dumps({"members": [{}, {}], "centres": [0], "scales": [1]}))
    with pytest.raises(ValueError, match="for each"):
        load_eproxy(path)


def test_a_mean_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more"):
        EproxyMean((ONE,), (0.0,), (1.0,))
