"""Labels comparable within groups only: ranks decide, one group is as before, and what contradicts costs little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from searchkit.problem.ranks import normal_scores, rank_correlation
from searchkit.surrogates import grouped
from searchkit.surrogates.gaussian_process import fit
from searchkit.surrogates.grouped import Grouped, fit_groups, within
from searchkit.surrogates.kernels import NEAR, SUM, ByChoice


def points(n: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of mean square distance near 1, and a smooth function of them."""
    x = np.random.default_rng(seed).uniform(-1, 1, size=(n, 3)) / np.sqrt(2)
    return [x], np.sin(2 * x[:, 0]) + x[:, 1] ** 2 - 0.5 * x[:, 2]


def test_one_group_is_the_process_of_its_normal_scores() -> None:
    features, y = points(40)
    new, _ = points(25, seed=1)
    prior = np.linspace(-1, 1, 40)
    one = fit_groups(features, prior, 3 + 7 * y, np.zeros(40, dtype=np.int64))
    alone = fit(features, prior, normal_scores(y))
    for mine, its in zip(one.predict(new, np.ones(25)), alone.predict(new, np.ones(25)), strict=True):
        assert np.allclose(mine, its, atol=1e-9)
    assert one.noise == pytest.approx(alone.noise)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_only_the_order_within_a_group_counts(seed: int, factor: float, shift: float) -> None:
    _, y = points(24, seed)
    groups = np.random.default_rng(seed).integers(0, 2, size=24)
    groups[:2] = 0, 1
    other = np.where(groups == 1, shift + factor * np.exp(y), y)
    assert np.allclose(within(y, groups), within(other, groups))


@pytest.mark.parametrize("target", [None, 0, 1])
def test_the_gradient_of_the_fit_is_that_of_its_objective(target: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = points(14)
    features, groups = [x[0], x[0], x[0]], np.arange(14) % 3
    kernels = (NEAR, ByChoice(np.array([0, 1, 1])), SUM)
    seen = {}

    def minimize(objective, start, bounds, **_):
        theta = start + np.random.default_rng(0).normal(0, 0.2, size=len(start))
        free = np.array([low != high or low is None for low, high in bounds])

        def value(some: np.ndarray) -> float:
            return objective(np.where(free, np.r_[0.0, some][np.cumsum(free) * free], theta))[0]

        def slope(some: np.ndarray) -> np.ndarray:
            return objective(np.where(free, np.r_[0.0, some][np.cumsum(free) * free], theta))[1][free]

        seen["error"] = check_grad(value, slope, theta[free])
        raise StopIteration

    monkeypatch.setattr(grouped, "minimize", minimize)
    with pytest.raises(StopIteration):
        fit_groups(features, np.linspace(-1, 1, 14), y, groups, kernels=kernels, target=target)
    assert seen["error"] < 1e-4


def rho(model: Grouped) -> float:
    new, truth = points(300, seed=9)
    return rank_correlation(model.predict(new, np.zeros(300))[0], truth)


@pytest.mark.parametrize("target", [None, 1])
def test_groups_in_other_units_are_worth_nearly_as_much_as_labels_of_one(target: int | None) -> None:
    features, y = points(80)
    groups = (np.arange(80) >= 40).astype(np.int64)
    mixed = np.where(groups == 0, np.exp(y), y - 20)
    nothing, one = np.zeros(80), np.zeros(80, dtype=np.int64)
    whole, pooled = (rho(fit_groups(features, nothing, labels, one)) for labels in (y, mixed))
    assert rho(fit_groups(features, nothing, mixed, groups, target=target)) > whole - 0.01 > pooled + 0.03


@pytest.mark.parametrize("target", [None, 0])
def test_a_group_of_shuffled_labels_costs_little(target: int | None) -> None:
    features, y = points(120)
    groups = (np.arange(120) >= 80).astype(np.int64)
    shuffled = np.where(groups == 1, np.random.default_rng(3).permutation(y), y)
    alone = rho(fit_groups([features[0][:80]], np.zeros(80), y[:80], np.zeros(80, dtype=np.int64)))
    beside = fit_groups(features, np.zeros(120), shuffled, groups, target=target)
    assert rho(beside) > alone - 0.01
    assert beside.lines.noises[1] > 0.3 > beside.lines.noises[0]


def test_a_group_of_one_label_says_nothing_and_does_no_harm() -> None:
    features, y = points(41)
    groups = np.r_[np.zeros(40, dtype=np.int64), 1]
    alone = fit_groups([features[0][:40]], np.zeros(40), y[:40], groups[:40])
    assert rho(fit_groups(features, np.zeros(41), y, groups, target=0)) == pytest.approx(rho(alone), abs=0.01)


def test_observed_candidates_are_surer_than_others() -> None:
    features, y = points(60)
    groups = np.arange(60) % 2
    model = fit_groups(features, np.zeros(60), y, groups, target=0)
    far, _ = points(60, seed=5)
    assert model.predict(features, np.zeros(60))[1].mean() < model.predict(far, np.zeros(60))[1].mean()
