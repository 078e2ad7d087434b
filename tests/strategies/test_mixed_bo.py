"""Bayesian optimisation on positions: the laws, optima in few evaluations, and whatever losses and bounds do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.marks import thorough_if

from searchkit import Choice, Float, Space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import keys
from searchkit.strategies.mixed_acquisition import MixedAcquisition
from searchkit.strategies.mixed_bo import MixedBO
from searchkit.strategies.mixed_model import KEPT, MixedModel, apart
from searchkit.surrogates.mixed_kernel import Columns
from searchkit.testing import STRATEGY_CHECKS
from searchkit.types import Codes, Floats

SPACE = Space(
    [
        Float("x", 0.0, 1.0),
        Float("y", 0.0, 1.0),
        Choice("kind", ("a", "b", "c")),
        Float("z", 0.0, 1.0, when=("kind", "b")),
    ]
)
GRID = Space([Choice("a", range(4), ordered=True), Choice("b", ("u", "v", "w")), Choice("c", range(3))])


def bowl(codes: Codes) -> Floats:
    """A bowl whose middle depends on the category; the best is option b, where one number more matters."""
    x = np.nan_to_num(SPACE.positions(codes))
    base = np.where(x[:, 2] == 1, (x[:, 3] - 0.3) ** 2, 0.2)
    return np.asarray((x[:, 0] - 0.7) ** 2 + 2 * (x[:, 1] - 0.2) ** 2 + base)


def none(space: Space) -> Codes:
    return np.empty((0, space.n_choices), dtype=np.int64)


def told(codes: Codes, losses: Floats, violations: Floats | None = None) -> Observations:
    losses = losses.reshape(len(codes), -1)
    return Observations(codes, losses, np.empty((len(codes), 0)) if violations is None else violations)


def searched(problem: Problem, outcome: Callable[[Codes], Observations], n: int, seed: int = 0) -> Observations:
    strategy, found = MixedBO(problem), []
    for step in range(n):
        codes = strategy.ask(1, np.random.default_rng([seed, step]), none(problem.space))
        found.append(outcome(codes))
        strategy.tell(found[-1])
    return Observations.join(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    thorough_if(
        lambda check: check.__name__ in ("proposals_are_new_and_valid", "failures_do_not_stop_it"), STRATEGY_CHECKS
    ),
    ids=lambda check: check.__name__,
)
def test_the_mixed_search_passes(check: Callable[..., None]) -> None:
    check(MixedBO)


@pytest.mark.slow
def test_the_optimum_of_a_conditional_bowl_is_found_in_few_evaluations() -> None:
    found = searched(Problem(SPACE), lambda codes: told(codes, bowl(codes)), 30)
    assert found.losses.min() < 1e-3


@pytest.mark.slow
def test_asking_a_mixed_search_changes_nothing_and_batches_repeat_nothing() -> None:
    problem = Problem(SPACE)
    codes = SPACE.sample(20, np.random.default_rng(0))
    one, two = MixedBO(problem), MixedBO(problem)
    for part in (slice(0, 12), slice(12, 20)):  # models are made in between, or all at once
        one.tell(told(codes[part], bowl(codes[part])))
        one.ask(1, np.random.default_rng(3), none(SPACE))
    two.tell(told(codes, bowl(codes)))
    first = one.ask(4, np.random.default_rng(5), none(SPACE))
    assert np.array_equal(two.ask(4, np.random.default_rng(5), none(SPACE)), first)
    second = one.ask(4, np.random.default_rng(5), first)
    assert len({*keys(codes), *keys(first), *keys(second)}) == 28


@pytest.mark.slow
def test_a_bound_that_is_known_by_its_excess_is_kept_where_the_optimum_breaks_it() -> None:
    def outcome(codes: Codes) -> Observations:
        excess = np.maximum(0.0, SPACE.positions(codes)[:, :1] - 0.5)  # the best of all has 0.7
        losses = np.where(excess > 0, np.nan, bowl(codes)[:, None])
        return Observations(codes, losses, excess)

    found = searched(Problem(SPACE, 1, 1), outcome, 35)
    assert np.nanmin(found.losses) < 0.04 + 1e-2
    assert found.feasible[15:].mean() >= 0.4


def test_a_mixed_search_goes_on_where_no_number_exists() -> None:
    space = Space([Choice("a", ("x", "y")), Choice("b", range(4)), Float("f", 0, 1, when=("a", "y"))])

    def outcome(codes: Codes) -> Observations:
        return told(codes, np.where(codes[:, 0] == 0, 0.5, 1.0) + codes[:, 1] / 100)

    found = searched(Problem(space), outcome, 16)
    assert found.losses.min() == 0.5


@pytest.mark.slow
def test_a_mixed_search_avoids_where_candidates_fail() -> None:
    def outcome(codes: Codes) -> Observations:
        failed = SPACE.positions(codes)[:, 1] > 0.4
        return told(codes, np.where(failed, np.nan, bowl(codes)))

    found = searched(Problem(SPACE), outcome, 30)
    assert found.scored[15:].mean() > 0.6
    assert np.nanmin(found.losses) < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("n_objectives", [2, 4])
def test_several_objectives_are_traded_off(n_objectives: int) -> None:
    def outcome(codes: Codes) -> Observations:
        x = SPACE.positions(codes)
        away = np.column_stack([(x[:, 0] - at) ** 2 for at in np.linspace(0.2, 0.8, n_objectives)])
        return told(codes, away + (x[:, 1:2] - 0.5) ** 2)

    found = searched(Problem(SPACE, n_objectives), outcome, 22)
    late = SPACE.positions(found.codes[12:])
    assert np.median(np.abs(late[:, 1] - 0.5)) < 0.1
    assert np.ptp(late[:, 0]) > 0.2


def test_a_small_space_is_searched_to_its_end_by_the_mixed_search() -> None:
    strategy = MixedBO(Problem(GRID))
    for step in range(8):
        codes = strategy.ask(5, np.random.default_rng(step), none(GRID))
        strategy.tell(told(codes, codes.sum(axis=1).astype(float)))
    assert len({*strategy._seen}) == 36
    assert not len(strategy.ask(1, np.random.default_rng(9), none(GRID)))


def test_values_of_inactive_columns_make_no_difference_to_an_acquisition() -> None:
    codes = SPACE.sample(20, np.random.default_rng(0))
    observed = told(codes, bowl(codes))
    model = MixedModel(Columns.of(SPACE))
    judge = MixedAcquisition(
        model, model, SPACE.positions(codes), observed, observed.feasible, np.random.default_rng(0)
    )
    points = np.array([[0.4, 0.6, 0.0, at] for at in (0.0, 0.7, np.nan)])
    values = judge(SPACE.positions(SPACE.from_positions(points)))
    assert np.ptp(values) < 1e-6


def test_a_model_of_many_observations_keeps_some_of_them_and_all_since_its_fit() -> None:
    codes = SPACE.sample(500, np.random.default_rng(0))
    made = MixedModel(Columns.of(SPACE)).modelled("one", SPACE.positions(codes), bowl(codes))
    assert KEPT <= len(made.rows) < KEPT + 30
    assert int(np.argmin(bowl(codes))) in made.rows
    assert made.rows[-1] == 499


def test_of_nearly_equal_candidates_the_best_alone_sets_the_scale() -> None:
    positions = np.array([[0.5, np.nan], [0.5001, np.nan], [0.5, 0.5], [0.9, np.nan]])
    assert apart(positions, np.array([2.0, 1.0, 3.0, 4.0]), 10).tolist() == [1, 2, 3]
