"""The search for an Eproxy setting: it races, can be continued, and does not believe in luck."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from searchkit.costs.counts import space_counts
from searchkit.proxies.dps import DPS
from searchkit.proxies.dps_guard import Verdict, correlations, gain_of, luck_of
from searchkit.proxies.dps_race import Judge, Tried, loses, spread
from searchkit.proxies.eproxy import Branch, Eproxy, EproxySetting
from searchkit.proxies.eproxy_mean import EproxyMean
from searchkit.scoring.scorer import Scorer
from searchkit.space import Choice, Space
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Floats

CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))
CODES = CELLS.sample(16, np.random.default_rng(0))
TINY = Eproxy(EproxySetting(steps=3, batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 2))
FEW: dict[str, Any] = {"population": 6, "tournament": 2, "n_bootstrap": 50, "start": TINY}


def own_labels() -> Floats:
    """What the first setting says of the networks, so that no other one ranks them better."""
    found: Floats = Scorer(CELLS, [TINY])(CODES)[:, 0]
    return found


def without_weight(tried: Tried) -> EproxySetting:
    return replace(tried.setting, macs_weight=0.0)


@pytest.mark.slow
def test_what_loses_early_is_dropped_and_never_scored_on_all_networks(tmp_path: Path) -> None:
    path = tmp_path / "dps.jsonl"
    search = DPS(CELLS, n_evaluations=10, path=path, **FEW).fit(CODES, own_labels())
    whole = [tried for tried in search.tried if tried.n_networks == len(CODES)]
    dropped = [tried for tried in search.tried if tried.n_networks < len(CODES)]
    assert search.tried[0] == whole[0]
    assert whole[0].correlation == pytest.approx(1)
    assert len(dropped) >= 5
    scores = {
        json.dumps(line["setting"]): line["scores"] for line in map(json.loads, path.read_text().splitlines()[1:])
    }
    assert sorted(len(found) for found in scores.values()) == sorted(tried.n_networks for tried in search.tried)
    assert search.n_scored == sum(tried.n_networks for tried in search.tried) < 0.7 * 10 * len(CODES)


@pytest.mark.slow
def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    few = FEW | {"population": 3}  # so that the last of six are children
    labels = space_counts(CELLS, CODES)["macs"] + np.random.default_rng(1).normal(size=len(CODES)) * 3e5
    whole = DPS(CELLS, n_evaluations=6, **few).fit(CODES, labels)
    path, seen = tmp_path / "dps.jsonl", []

    def interrupt(done: int, total: int, tried: Tried) -> None:
        seen.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DPS(CELLS, n_evaluations=6, path=path, on_tried=interrupt, **few).fit(CODES, labels)
    assert seen == list(range(1, 6))
    path.write_text(path.read_text() + '{"setting": {"lr"')  # killed while it wrote
    continued = DPS(CELLS, n_evaluations=6, path=path, **few).fit(CODES, labels)
    assert continued.tried == whole.tried
    assert (continued.settings, continued.verdict) == (whole.settings, whole.verdict)
    assert continued.proxy == whole.proxy
    assert continued.n_scored == sum(tried.n_networks for tried in whole.tried[5:])
    again = DPS(CELLS, n_evaluations=6, path=path, **few).fit(CODES, labels)
    assert (again.n_scored, again.tried) == (0, whole.tried)
    for other in (labels[::-1], labels + 1):
        with pytest.raises(ValueError, match="another search"):
            DPS(CELLS, n_evaluations=6, path=path, **few).fit(CODES, other)


@pytest.mark.slow
def test_where_labels_follow_the_macs_a_weight_of_macs_is_found_and_believed() -> None:
    macs = space_counts(CELLS, CODES)["macs"]
    search = DPS(CELLS, n_evaluations=4, **FEW).fit(CODES, macs)
    assert search.verdict is not None
    assert search.best is not None
    assert search.verdict.believed
    assert search.settings[0] == search.best.setting
    assert search.settings[0].macs_weight > 0
    assert [member.reduction for member in search.members] == [TINY.reduction] * len(search.settings)


@pytest.mark.thorough
def test_of_labels_that_are_noise_the_first_setting_stays() -> None:
    for seed in range(2):
        labels = np.random.default_rng(seed).normal(size=len(CODES))
        search = DPS(CELLS, n_evaluations=6, seed=seed, **FEW).fit(CODES, labels)
        assert search.settings == (TINY.setting,)
        assert search.proxy == TINY
        assert search.best is not None
        assert search.verdict is not None
        assert not search.verdict.believed


@pytest.mark.slow
def test_the_best_of_many_noises_is_rarely_believed() -> None:
    believed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels, scores = rng.normal(size=20), rng.normal(size=(30, 20))
        best = int(np.argmax(correlations(scores, labels)))
        luck = luck_of(scores[best : best + 1], labels, len(scores), seed)
        if Verdict(luck, math.inf).believed:  # as one in twenty are; only then does the gain, which takes long, count
            believed += Verdict(luck, gain_of(scores, scores[0], labels, seed)).believed
    assert believed <= 6  # of 60, where one in twenty passes for luck alone


@pytest.mark.slow
def test_a_setting_that_tells_the_labels_is_believed_and_one_no_better_than_the_first_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=20)
    good, poor = labels + 0.3 * rng.normal(size=20), labels + 2 * rng.normal(size=20)
    noises = rng.normal(size=(20, 20))
    assert luck_of(good[None], labels, 22, 0) < 0.01
    assert gain_of(np.stack([poor, good, *noises]), poor, labels, 0) > 0.1
    assert gain_of(np.stack([good, poor, *noises]), good, labels, 0) <= 0


@pytest.mark.slow
def test_several_good_settings_together_gain_more_than_the_best_of_them() -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=20)
    several = labels + rng.normal(size=(5, 20))
    assert gain_of(several, several[0], labels, 0, 5) > gain_of(several, several[0], labels, 0, 1) + 0.05


@pytest.mark.thorough
def test_the_fittest_settings_score_together(tmp_path: Path) -> None:
    macs = space_counts(CELLS, CODES)["macs"]
    few = FEW | {"start": replace(TINY, resolution=8), "path": tmp_path / "dps.jsonl"}  # scored once for both
    search = DPS(CELLS, n_evaluations=8, n_settings=3, **few).fit(CODES, macs)
    whole = sorted((tried for tried in search.tried if tried.n_networks == len(CODES)), key=lambda t: -t.fitness)
    assert list(search.settings) == [tried.setting for tried in whole[:3]]
    assert isinstance(search.proxy, EproxyMean)
    scores = np.stack([Scorer(CELLS, [member])(CODES)[:, 0] for member in search.members])
    standard = (-np.log(-scores) + np.log(-scores).mean(1, keepdims=True)) / np.log(-scores).std(1, keepdims=True)
    np.testing.assert_allclose(Scorer(CELLS, [search.proxy])(CODES)[:, 0], standard.mean(0), rtol=1e-4)
    sides = {member.setting.side: member.resolution for member in search.members}
    assert all(resolution == 8 * side // TINY.setting.side for side, resolution in sides.items())
    one = DPS(CELLS, n_evaluations=8, n_settings=1, **few).fit(CODES, macs)
    assert one.settings == search.settings[:1]
    assert one.proxy == search.members[0]


def test_few_labels_prove_nothing() -> None:
    labels = np.arange(5.0)
    assert luck_of(labels[None], labels, 30, 0) > 0.1  # one order of 120 is right by chance


@given(st.lists(st.floats(-100, 100, allow_nan=False), min_size=5, max_size=60))
def test_every_part_of_the_networks_has_labels_of_all_heights(labels: list[float]) -> None:
    values = np.array(labels)
    order, ends = spread(values)
    assert sorted(order.tolist()) == list(range(len(values)))
    assert ends[-1] == len(values)
    places = np.argsort(np.argsort(values, kind="stable"), kind="stable")[order]
    for start, end in zip([0, *ends], ends, strict=False):
        assert end - start >= 4
        gaps = np.diff(np.sort(places[start:end]))
        assert (gaps == gaps[0]).all()


def test_correlations_are_spearmans_and_share_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (3, 12)).astype(float), rng.integers(0, 5, 12).astype(float)
    expected = [spearmanr(row, b).statistic for row in a]
    np.testing.assert_allclose(correlations(a, b), expected)
    assert correlations(np.ones(4), np.arange(4.0)) == 0


def test_a_setting_that_ends_without_a_score_has_failed_and_is_dropped_at_once() -> None:
    judge = Judge(np.arange(8.0), np.ones(8), TINY.setting, 0.25, 20, 0.1, 0)
    scores = np.array([1.0, 2.0, math.nan, 4.0])
    assert loses(judge.reached(scores), 4, [], -1.0)
    assert judge.tried(TINY.setting, scores).fitness == -1
    assert not loses(judge.reached(np.arange(4.0)), 4, [], 0.99)


def test_of_those_scored_on_the_same_networks_the_better_half_goes_on() -> None:
    before = [0.2, 0.4, 0.6, 0.8]
    assert not loses(0.5, 5, before, -1.0)
    assert loses(0.49, 5, before, -1.0)
    assert not loses(0.1, 5, before[:3], -1.0)  # too few to tell
    assert loses(0.5, 15, [], 0.95)
    assert not loses(0.5, 5, [], 0.8)


def test_a_setting_far_from_the_first_must_be_better_to_win() -> None:
    judge = Judge(np.arange(8.0), np.zeros(8), TINY.setting, 0.25, 20, 0.1, 0)
    far = replace(TINY.setting, lr=0.7, network_init="xavier_normal", branches=(Branch(("dot",)),))
    scores = np.array([0.0, 2, 1, 3, 4, 6, 5, 7])
    assert judge.tried(far, scores).fitness < judge.tried(TINY.setting, scores).fitness


def test_what_cannot_be_searched_with_is_refused() -> None:
    with pytest.raises(ValueError, match="five or more"):
        DPS(CELLS, **FEW).fit(CODES[:3], np.arange(3.0))
    with pytest.raises(ValueError, match="a tournament of 1 to its population"):
        DPS(CELLS, population=3, tournament=4)
    with pytest.raises(ValueError, match="one setting or more"):
        DPS(CELLS, n_settings=0)
    with pytest.raises(ValueError, match="accuracies are numbers"):
        DPS(CELLS, **FEW).fit(CODES, ["good"] * len(CODES))
    with pytest.raises(ValueError, match="give a NetworkSpace, not a Space"):
        DPS(Space([Choice("a", (1, 2))]))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_folder_is_no_file_for_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        DPS(CELLS, path=tmp_path, **FEW).fit(CODES, own_labels())
