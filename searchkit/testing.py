"""Checks that every strategy passes; part of the package, so that third parties can run them on their strategies.

    import pytest
    from searchkit.testing import STRATEGY_CHECKS

    @pytest.mark.parametrize("check", STRATEGY_CHECKS, ids=lambda check: check.__name__)
    def test_my_strategy(check):
        check(MyStrategy)

Each check takes a factory (:class:`~searchkit.problem.problem.Problem` -> strategy) and raises AssertionError.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from searchkit.problem.making import made
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.space import Choice, Float, Int, Space, keys
from searchkit.types import Codes, Floats

Factory = Callable[[Problem], Strategy]


def ask_changes_nothing(make: Factory) -> None:
    """ask depends on the observations told, n, rng and pending alone: the same call gives the same proposals."""
    problem, strategy = _warm(make)
    first = strategy.ask(4, np.random.default_rng(5), _none(problem))
    strategy.ask(3, np.random.default_rng(6), first[:2])
    assert np.array_equal(strategy.ask(4, np.random.default_rng(5), _none(problem)), first)


def tell_draws_nothing(make: Factory) -> None:
    """A strategy that was told the same batches proposes the same, whatever was asked in between."""
    problem, strategy = _warm(make)
    told = _evaluate(problem, problem.space.sample(4, np.random.default_rng(9)))
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state must not be touched
    strategy.tell(told)
    assert str(np.random.get_state(legacy=False)) == str(state), "tell drew from numpy's global generator"  # noqa: NPY002
    again = make(problem)
    for batch in _history(problem):
        again.tell(batch)
    again.tell(told)
    rng = np.random.default_rng(5)
    assert np.array_equal(
        strategy.ask(4, np.random.default_rng(5), _none(problem)), again.ask(4, rng, _none(problem))
    ), "the same record led to other proposals"


def proposals_are_new_and_valid(make: Factory) -> None:
    """Batches of 1 and of 16 are canonical, distinct, never told and never pending."""
    for n_objectives in (1, 3):
        problem = Problem(_space(), n_objectives, budget=80)
        strategy = make(problem)
        seen: set[bytes] = set()
        for step in range(8):
            rng = np.random.default_rng([1, step])
            pending = strategy.ask(2, rng, _none(problem))
            codes = strategy.ask(16 if step % 2 else 1, np.random.default_rng([2, step]), pending)
            assert len(codes) == (16 if step % 2 else 1)
            assert np.array_equal(problem.space.check(codes), codes), "not canonical"
            new = keys(codes)
            assert len(set(new)) == len(new), "a batch repeats a candidate"
            assert not seen.intersection(new), "proposed what was told"
            assert not set(keys(pending)).intersection(new), "proposed what is pending"
            strategy.tell(_evaluate(problem, codes))
            seen.update(new)


def known_bounds_are_kept(make: Factory) -> None:
    """No proposal breaks a known bound, also if few candidates keep it."""
    problem = Problem(
        _space(), 1, 1, budget=60, known=lambda codes: np.maximum(0.0, codes.sum(axis=1, keepdims=True) - 7)
    )
    strategy = make(problem)
    for step in range(10):
        codes = strategy.ask(4, np.random.default_rng([3, step]), _none(problem))
        assert len(codes) == 4
        assert problem.allowed(codes).all()
        strategy.tell(_evaluate(problem, codes))


def learned_bounds_do_not_stop_it(make: Factory) -> None:
    """Violations known from results only, no feasible candidate at first, and untrained candidates are handled."""
    problem = Problem(_space(), 2, 1, budget=60)
    strategy = make(problem)
    for step in range(10):
        codes = strategy.ask(4, np.random.default_rng([4, step]), _none(problem))
        assert len(codes) == 4
        violations = np.maximum(0.0, codes[:, :1] + codes[:, 1:2] - 3.0) + (step < 3)
        losses = _losses(codes, 2)
        losses[(violations[:, 0] > 0) & (codes[:, 2] > 1)] = np.nan  # infeasible and never trained
        strategy.tell(Observations(codes, losses, violations))


def failures_do_not_stop_it(make: Factory) -> None:
    """The search goes on although every other candidate fails, and all of the first batch."""
    for n_constraints in (0, 1):
        problem = Problem(_space(), 2, n_constraints, budget=60)
        strategy = make(problem)
        for step in range(10):
            codes = strategy.ask(4, np.random.default_rng([5, step]), _none(problem))
            assert len(codes) == 4
            told = _evaluate(problem, codes)
            bad = np.arange(4) % 2 == 0 if step else np.ones(4, dtype=bool)
            told.losses[bad], told.violations[bad] = np.nan, np.nan
            strategy.tell(told)


def equal_losses_do_not_stop_it(make: Factory) -> None:
    """Objectives without variance, and ties, cause no error."""
    problem = Problem(_space(), 2, budget=60)
    strategy = make(problem)
    for step in range(8):
        codes = strategy.ask(4, np.random.default_rng([6, step]), _none(problem))
        strategy.tell(Observations(codes, np.ones((len(codes), 2)), np.empty((len(codes), 0))))
    assert len(strategy.ask(4, np.random.default_rng(0), _none(problem))) == 4


def a_tiny_space_is_exhausted(make: Factory) -> None:
    """In a space of 12 codes and 6 distinct candidates, each is proposed once, and then nothing."""
    merged = Space(
        [Choice("a", (0, 1)), Choice("b", (0, 1, 2)), Choice("c", (0, 1))],
        canonical=lambda codes: codes * np.array([1, 1, 0]),
    )
    problem = Problem(merged, 1, budget=20)
    strategy = make(problem)
    visited: list[bytes] = []
    for step in range(8):
        codes = strategy.ask(4, np.random.default_rng([7, step]), _none(problem))
        visited += keys(codes)
        if len(codes):
            strategy.tell(_evaluate(problem, codes))
    assert len(visited) == len(set(visited)) == 6
    assert len(strategy.ask(1, np.random.default_rng(0), _none(problem))) == 0


def numbers_and_conditions_are_searched(make: Factory) -> None:
    """In a space of floats, integers of a wide range and parameters under a condition, the rules hold as well."""
    problem = Problem(_numbers(), 1, budget=40)
    strategy, again = made(make, problem), made(make, problem)
    seen: set[bytes] = set()
    for step in range(6):
        pending = strategy.ask(2, np.random.default_rng([8, step]), _none(problem))
        codes = strategy.ask(4, np.random.default_rng([9, step]), pending)
        assert np.array_equal(again.ask(4, np.random.default_rng([9, step]), pending), codes), (
            "ask or tell drew numbers"
        )
        assert len(codes) == 4
        assert np.array_equal(problem.space.check(codes), codes), "not canonical"
        new = keys(codes)
        assert len(set(new)) == 4, "a batch repeats a candidate"
        assert not (seen | set(keys(pending))).intersection(new), "proposed what was told or is pending"
        points = np.nan_to_num(problem.space.positions(codes), nan=0.5)
        told = Observations(codes, ((points - 0.3) ** 2).sum(axis=1, keepdims=True), np.empty((4, 0)))
        strategy.tell(told)
        again.tell(told)
        seen.update(new)


STRATEGY_CHECKS: tuple[Callable[[Factory], None], ...] = (
    ask_changes_nothing,
    tell_draws_nothing,
    proposals_are_new_and_valid,
    known_bounds_are_kept,
    learned_bounds_do_not_stop_it,
    failures_do_not_stop_it,
    equal_losses_do_not_stop_it,
    a_tiny_space_is_exhausted,
    numbers_and_conditions_are_searched,
)


def _space() -> Space:
    return Space([Choice(f"c{i}", range(4), ordered=i % 2 == 0) for i in range(6)], name="testing")


def _numbers() -> Space:
    return Space(
        [
            Choice("method", ("a", "b")),
            Float("rate", 1e-5, 1e-1, log=True, prior=0.01),
            Float("share", 0.0, 1.0, when=("method", "a")),
            Int("units", 1, 10**12, log=True),
            Int("layers", 1, 4),
            Int("third", 8, 512, when=("layers", ">=", 3)),
            Float("step", 0.0, 1.0, step=0.25),
        ],
        name="numbers",
    )


def _none(problem: Problem) -> Codes:
    return np.empty((0, problem.space.n_choices), dtype=np.int64)


def _losses(codes: Codes, n_objectives: int) -> Floats:
    """Smooth objectives that conflict with each other."""
    targets = np.arange(n_objectives)[:, None] % 4
    losses: Floats = np.abs(codes[None, :, :] - targets[..., None]).sum(axis=2).T.astype(np.float64)
    return losses


def _evaluate(problem: Problem, codes: Codes) -> Observations:
    return Observations(codes, _losses(codes, problem.n_objectives), np.zeros((len(codes), problem.n_constraints)))


def _history(problem: Problem) -> list[Observations]:
    rng = np.random.default_rng(8)
    grid = problem.space.enumerate()
    rows = rng.permutation(len(grid))[:30]
    return [_evaluate(problem, grid[rows[i : i + 5]]) for i in range(0, 30, 5)]


def _warm(make: Factory) -> tuple[Problem, Strategy]:
    """A strategy that has been told enough to be past its random start."""
    problem = Problem(_space(), 2, budget=60)
    strategy = make(problem)
    for batch in _history(problem):
        strategy.tell(batch)
    return problem, strategy
