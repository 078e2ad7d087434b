"""The proxy layer on a ladder: short trainings are ranks of their own, once there are enough long ones."""

from __future__ import annotations

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.problem.ranks import rank_correlation
from searchkit.proxy_layer.objective_model import ENOUGH, by_rungs
from searchkit.proxy_layer.signals import Signals
from searchkit.surrogates.gaussian_process import Gaussian
from searchkit.surrogates.grouped import Grouped

SPACE = Space([Choice(f"c{j}", range(5), ordered=True) for j in range(5)])
GOALS = Goals((Objective("loss", "min"),), ())


def truth(codes: np.ndarray) -> np.ndarray:
    return -10 * np.tanh(codes[:, 0] - 2) - 3 * codes[:, 1] + (codes[:, 2] - 2.0) ** 2


def told(n: int, seed: int = 0, rungs: bool = True) -> Observations:
    """n candidates of which a third is trained in full; the losses at the rung are in other units, and bent."""
    codes = SPACE.sample(n, np.random.default_rng(seed))
    losses, cheap = truth(codes), 100 + np.exp(truth(codes) / 8)
    kept = np.zeros(n, dtype=bool)
    kept[np.argsort(cheap, kind="stable")[: n // 3]] = True
    slope, level = np.polyfit(cheap[kept], losses[kept], 1)
    return Observations(
        codes,
        np.where(kept, losses, np.nan)[:, None],
        np.zeros((n, 0)),
        np.where(kept, np.nan, level + slope * cheap)[:, None],
        cheap[:, None, None] if rungs else None,
    )


def signals(observed: Observations) -> Signals:
    layer = Signals(SPACE, ("first",), lambda codes: codes[:, :1].astype(float), GOALS)
    for start in range(0, len(observed), 10):
        layer.observe(observed[start : start + 10])
    return layer


def test_rungs_are_groups_from_twenty_full_trainings_on() -> None:
    few, enough = told(3 * ENOUGH - 3), told(3 * ENOUGH)
    assert not by_rungs(few, 0)
    assert isinstance(signals(few)._fitted()[0], Gaussian)
    assert isinstance(signals(enough)._fitted()[0], Grouped)
    assert isinstance(signals(told(3 * ENOUGH, rungs=False))._fitted()[0], Gaussian)


def test_without_enough_of_them_predictions_are_those_without_rungs() -> None:
    codes = SPACE.sample(50, np.random.default_rng(1))
    for mine, its in zip(signals(told(30)).predict(codes), signals(told(30, rungs=False)).predict(codes), strict=True):
        assert np.array_equal(mine, its)


def test_predictions_are_losses_of_full_trainings_and_rank_all_candidates() -> None:
    layer, codes = signals(told(120)), SPACE.sample(200, np.random.default_rng(1))
    mean, std = layer.predict(codes)
    assert rank_correlation(mean[:, 0], truth(codes)) > 0.9
    assert (std >= 0).all()
    seen = told(120)
    best = seen.scored
    assert np.abs(layer.predict(seen.codes[best])[0][:, 0] - truth(seen.codes[best])).mean() < 2
    placed = layer.placed(seen[best])[:, 0]
    assert rank_correlation(placed, truth(seen.codes[best])) == pytest.approx(1, abs=0.01)


def test_what_is_learned_is_a_function_of_what_was_told() -> None:
    codes, whole = SPACE.sample(50, np.random.default_rng(1)), told(90)
    early = signals(whole[:70])
    early.latent(codes)  # fits in between leave no trace
    for start in range(70, 90, 10):
        early.observe(whole[start : start + 10])
    for mine, its in zip(early.latent(codes), signals(whole).latent(codes), strict=True):
        assert np.array_equal(mine, its)


def test_observations_keep_their_rungs_where_they_are_joined_and_sliced() -> None:
    plain, rungs = told(6, rungs=False), told(9, seed=1)
    both = plain + rungs
    assert both.rungs is not None
    assert np.isnan(both.rungs[:6]).all()
    assert np.array_equal(both[6:].believed().rungs, rungs.rungs)
    assert (plain + plain).rungs is None
