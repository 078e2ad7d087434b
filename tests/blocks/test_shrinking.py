"""Options fall where the evidence says that they are not the best of their choice, and in the order it says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from searchkit import Choice, Space
from searchkit.blocks.gaussian_process import FREE, PENALTIES
from searchkit.blocks.option_chances import DRAWS, Column, mattering, option_chances, weightings
from searchkit.blocks.shrinking import Settings, Shrinking, usual_level
from searchkit.problem.observations import Observations
from searchkit.problem.ranks import normal_scores
from searchkit.space.narrower_space import part_of
from searchkit.types import Codes, Floats


def space_of(k: int, m: int) -> Space:
    return Space([Choice(f"c{i}", range(m)) for i in range(k)])


def told(codes: Codes, losses: Floats, violations: Floats | None = None) -> Observations:
    return Observations(codes, losses, np.empty((len(codes), 0)) if violations is None else violations)


def additive(seed: int, k: int = 4, m: int = 3) -> tuple[Space, Floats, Observations]:
    """A space, the losses of its options, and all its candidates in a random order."""
    rng = np.random.default_rng(seed)
    space, worth = space_of(k, m), rng.normal(size=(k, m))
    codes = rng.permutation(space.enumerate())
    return space, worth, told(codes, worth[np.arange(k), codes].sum(axis=1)[:, None])


def everything(space: Space) -> list[np.ndarray]:
    return [np.ones(n, dtype=bool) for n in space.n_options]


def test_the_chance_of_one_of_two_options_is_that_of_the_normal_posterior() -> None:
    space, rng = space_of(3, 2), np.random.default_rng(1)
    codes = space.enumerate()
    values = codes @ np.array([0.6, -0.2, 0.05]) + 0.3 * rng.normal(size=len(codes))
    found = option_chances(
        space, [Column(codes, np.ones_like(codes, dtype=bool), values)], np.ones((1, 1)), everything(space)
    )

    t, x = normal_scores(values), (codes[:, :, None] == np.arange(2)).reshape(len(codes), -1).astype(float)
    unit = np.mean((x * x).sum(axis=1)) - (x.mean(axis=0) ** 2).sum()

    def posterior(penalty: float) -> tuple[float, Floats, Floats]:
        """Mean square leave-one-out error, and mean and covariance of the weights, all in the dual form."""
        inverse = np.linalg.inv(x @ x.T / unit + FREE + penalty * np.eye(len(t)))
        errors = inverse @ t / np.diag(inverse)
        variance = np.mean(errors**2 * np.diag(inverse))
        spread = (np.eye(6) - x.T @ inverse @ x / unit) / unit
        return float(np.mean(errors**2)), x.T @ inverse @ t / unit, variance * spread

    _, mean, covariance = min((posterior(p) for p in PENALTIES), key=lambda one: one[0])
    for j in range(3):
        contrast = np.zeros(6)
        contrast[2 * j : 2 * j + 2] = 1.0, -1.0
        chance = norm.cdf(-(contrast @ mean) / math.sqrt(contrast @ covariance @ contrast))
        assert found.best[j][0] == pytest.approx(chance, abs=4 * math.sqrt(0.25 / DRAWS))
        np.testing.assert_allclose(found.gains[j], -mean[2 * j : 2 * j + 2], atol=1e-9)


@pytest.mark.slow
def test_without_noise_the_best_option_of_a_sum_never_falls_and_the_others_do() -> None:
    n_fallen = []
    for seed in range(40):
        space, worth, all_of_it = additive(seed)
        shrinking = Shrinking(space, 1)
        shrinking.tell(all_of_it)
        best = worth.argmin(axis=1)
        assert all(alive[o] for alive, o in zip(shrinking.living, best, strict=True)), f"function {seed}"
        n_fallen.append(len(shrinking.falls))
    assert np.mean(n_fallen) > 7.5, "of the 8 that are not the best"


def test_options_fall_in_the_order_of_how_much_worse_they_are() -> None:
    space = space_of(3, 3)
    codes = np.random.default_rng(0).permutation(np.concatenate([space.enumerate()] * 4))
    worth = np.array([[0, 1, 8], [0, 0.5, 4], [0, 0.25, 2.0]])
    losses = worth[np.arange(3), codes].sum(axis=1) + 0.2 * np.random.default_rng(1).normal(size=len(codes))
    shrinking = Shrinking(space, 1, Settings(per_level=20))
    shrinking.tell(told(codes, losses[:, None]))
    order = [(fall.choice, fall.option) for fall in shrinking.falls]
    assert order[0] == (0, 2), "the worst of all"
    for j in range(3):
        assert order.index((j, 2)) < order.index((j, 1)), "of each choice the worse one first"
    assert order.index((0, 1)) < order.index((2, 1)), "a clearer difference is seen earlier"
    assert [fall.evaluations for fall in shrinking.falls] == sorted(fall.evaluations for fall in shrinking.falls)
    assert all(fall.chance < 0.05 and fall.gain < 0 for fall in shrinking.falls)
    assert [int(np.flatnonzero(alive)[0]) for alive in shrinking.living] == [0, 0, 0]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 81), max_size=5), seed=st.integers(0, 5))
def test_what_fell_is_a_function_of_the_evaluations_whatever_their_batches(cuts: list[int], seed: int) -> None:
    space, _, all_of_it = additive(seed)
    at_once, in_parts = Shrinking(space, 1), Shrinking(space, 1)
    at_once.tell(all_of_it)
    ends = [0, *sorted(cuts), len(all_of_it)]
    for start, end in itertools.pairwise(ends):
        in_parts.tell(all_of_it[start:end])
    assert at_once.falls == in_parts.falls


def test_with_two_objectives_what_is_best_for_one_of_them_stays_and_what_is_worse_for_both_falls() -> None:
    space = space_of(4, 3)
    codes = np.random.default_rng(0).permutation(space.enumerate())
    small, large = (codes == 0).sum(axis=1), (codes == 2).sum(axis=1)
    shrinking = Shrinking(space, 2)
    # option 0 is cheap, option 2 accurate, option 1 neither: worse than the other two for every weighted sum
    worse = (codes == 1).sum(axis=1)
    shrinking.tell(told(codes, np.column_stack([-large + 0.5 * worse, -small + 0.5 * worse]).astype(float)))
    assert {fall.option for fall in shrinking.falls} == {1}
    assert all(alive.tolist() == [True, False, True] for alive in shrinking.living)


def test_an_option_that_keeps_a_bound_stays_although_a_dearer_one_is_better() -> None:
    space = space_of(4, 3)
    codes = np.random.default_rng(0).permutation(space.enumerate())
    cost, loss = codes.sum(axis=1), -codes.sum(axis=1).astype(float)
    unbounded, known, learned = (
        Shrinking(space, 1),
        Shrinking(space, 1, known=lambda rows: np.maximum(0.0, rows.sum(axis=1) - 4.0)),
        Shrinking(space, 1),
    )
    unbounded.tell(told(codes, loss[:, None]))
    allowed = codes[cost <= 4]
    known.tell(told(allowed, -allowed.sum(axis=1, keepdims=True).astype(float), np.zeros((len(allowed), 1))))
    learned.tell(told(codes, loss[:, None], np.maximum(0.0, cost - 4.0)[:, None]))
    assert not any(alive[0] for alive in unbounded.living)
    for shrinking in (known, learned):
        assert all(alive[0] and alive[2] for alive in shrinking.living)


def test_failures_are_in_no_regression_and_an_option_with_which_all_fail_falls() -> None:
    space = space_of(4, 3)
    codes = np.random.default_rng(0).permutation(space.enumerate())
    losses = codes[:, 1:].sum(axis=1).astype(float)
    losses[codes[:, 0] == 2] = np.nan
    shrinking = Shrinking(space, 1)
    shrinking.tell(told(codes, losses[:, None]))
    first = next(fall for fall in shrinking.falls if fall.choice == 0)
    assert (first.option, first.chance) == (2, 0.0)
    assert first.failures > 2
    assert shrinking.living[0].tolist() == [True, True, False], "the other two are equally good"
    nothing = Shrinking(space, 1)
    nothing.tell(told(codes, np.full((len(codes), 1), np.nan)))
    assert not nothing.falls


def test_what_a_choice_has_where_it_makes_no_difference_is_no_evidence() -> None:
    layers = Space(
        [Choice("depth", (1, 2)), Choice("a", range(3)), Choice("b", range(3))],
        canonical=lambda codes: np.where(codes[:, :1] == 0, codes * np.array([1, 1, 0]), codes),
    )
    codes = layers.enumerate()
    matters = mattering(layers, codes)
    assert matters[:, :2].all()
    assert np.array_equal(matters[:, 2], codes[:, 0] == 1)


@pytest.mark.parametrize(("k", "bounds"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (5, 1)])
def test_weights_add_to_one_and_no_bound_is_looked_at_alone(k: int, bounds: int) -> None:
    weights = weightings(k, bounds)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights[:, :k].sum(axis=1) > 0).all()
    assert all((weights[:, j] == 1).any() for j in range(k)), "each objective alone"


def test_a_part_that_holds_a_candidate_has_the_options_that_matter_together_alone() -> None:
    def dead_in_series(codes: Codes) -> Codes:
        """Of two layers in a row, both are 0 where one of them is."""
        return np.where((codes[:, :2] == 0).any(axis=1, keepdims=True), codes * np.array([0, 0, 1]), codes)

    space = Space([Choice("a", range(3)), Choice("b", range(3)), Choice("c", range(3))], canonical=dead_in_series)
    codes = np.random.default_rng(0).permutation(space.enumerate())
    shrinking = Shrinking(space, 1, Settings(per_level=5, always=True))
    losses = -(codes[:, 0] + codes[:, 1]).astype(float) + codes[:, 2]
    shrinking.tell(told(codes, losses[:, None]))
    assert not shrinking.living[0][0]
    assert not shrinking.living[1][0]
    best = np.array([[0, 0, 0]])
    part = part_of(space, shrinking.holding(best))
    assert part.encode(space.decode(best)).tolist() == [[0, 0, 0]]


def test_of_many_options_none_falls_before_anything_is_known_of_them() -> None:
    space = Space([Choice("a", range(60)), Choice("b", range(3))])
    codes = space.sample(20, np.random.default_rng(0))
    shrinking = Shrinking(space, 1)
    shrinking.tell(told(codes, codes[:, 1:].astype(float) + 0.01 * codes[:, :1]))
    unseen = set(range(60)) - set(codes[:, 0].tolist())
    assert not unseen & {fall.option for fall in shrinking.falls if fall.choice == 0}


def test_levels_are_a_sixth_of_the_budget_within_limits() -> None:
    assert [usual_level(n) for n in (6, 60, 1000, None)] == [5, 10, 20, 20]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"per_level": 3}, "per_level is a number of evaluations, 4 or more, not 3"),
        ({"per_level": 7.5}, "per_level is a number of evaluations, 4 or more, not 7.5"),
        ({"below": 0}, "below is a probability above 0 and below 0.5, not 0"),
        ({"below": "5 %"}, "below is a probability above 0 and below 0.5, not '5 %'"),
        ({"always": 1}, "always is True or False, not 1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**wrong)
