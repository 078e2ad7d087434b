"""Failures are learned from: what is expected to fail is proposed late, and never not at all."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.marks import thorough_if

from searchkit import Choice, Space, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import keys
from searchkit.surrogates import feasibility
from searchkit.surrogates.feasibility import LIKELY, Failures, Feasibility, fill

SPACE = Space([Choice(f"c{j}", range(6)) for j in range(20)])


def observed(codes, bad, kind: str = "failed") -> Observations:
    losses = np.where(bad[:, None], np.nan, 1.0)
    violations = np.where(bad[:, None], np.nan if kind == "failed" else 0.5, 0.0)
    return Observations(codes, losses, violations)


@pytest.mark.parametrize("kind", ["failed", "infeasible"])
def test_it_tells_failing_candidates_from_others_after_three_hundred(kind: str) -> None:
    rng = np.random.default_rng(0)
    codes, others = SPACE.sample(300, rng), SPACE.sample(2000, rng)

    def bad(rows):
        return (rows == 5).sum(axis=1) > 3

    model = Feasibility(Problem(SPACE, 1, 1)).fit(observed(codes, bad(codes), kind))
    chance = np.exp(model.log_chance(others))
    assert ((chance > 0.5) == ~bad(others)).mean() > 0.85


def test_while_nothing_fails_all_have_the_same_chance():
    codes = SPACE.sample(30, np.random.default_rng(0))
    model = Feasibility(Problem(SPACE, 1, 1)).fit(observed(codes, np.zeros(30, dtype=bool)))
    assert not model.informed
    assert (model.log_chance(codes) == 0).all()
    assert model.likely(codes, np.random.default_rng(0)).all()


def test_where_all_failed_what_differs_has_the_better_chance():
    codes = np.zeros((5, 20), dtype=np.int64)
    codes[:, 0] = range(5)
    model = Feasibility(Problem(SPACE, 1, 1)).fit(observed(codes, np.ones(5, dtype=bool)))
    alike, different = model.log_chance(np.array([[5] + [0] * 19, [5] * 20]))
    assert different > alike


def test_where_nothing_keeps_its_bounds_only_failures_are_avoided():
    codes = SPACE.sample(60, np.random.default_rng(0))
    fails = codes[:, 0] == 5
    losses, violations = np.full((60, 1), np.nan), np.where(fails, np.nan, 0.5)[:, None]
    problem = Problem(SPACE, 1, 1)
    assert not Feasibility(problem).fit(Observations(codes[~fails], losses[~fails], violations[~fails])).informed
    model = Feasibility(problem).fit(Observations(codes, losses, violations))
    assert model.informed
    assert not model.hopeless
    assert model.log_chance(codes[fails]).max() < model.log_chance(codes[~fails]).min()
    assert Feasibility(problem).fit(Observations(codes[fails], losses[fails], violations[fails])).hopeless


def test_what_is_likely_is_always_kept_and_what_is_not_sometimes():
    rng = np.random.default_rng(0)
    codes = SPACE.sample(400, rng)
    bad = codes[:, 0] == 5
    model = Feasibility(Problem(SPACE, 1, 1)).fit(observed(codes, bad))
    others = SPACE.sample(4000, rng)
    kept, doomed = model.likely(others, rng), others[:, 0] == 5
    assert kept[~doomed].mean() > 0.98
    assert kept[doomed].mean() < 0.1
    half = np.exp(model.log_chance(others)) > LIKELY
    assert kept[half].all()


def test_a_fit_of_a_thousand_takes_milliseconds_and_more_do_not_take_more():
    rng = np.random.default_rng(0)
    seconds = {}
    for n in (1000, 20_000):
        codes = SPACE.sample(n, rng)
        told = observed(codes, (codes == 5).sum(axis=1) > 3)
        start = time.process_time()
        Feasibility(Problem(SPACE, 1, 1)).fit(told)
        seconds[n] = time.process_time() - start
    assert seconds[1000] < 0.3  # measured: 0.012
    assert seconds[20_000] < 0.5


def test_it_is_a_function_of_what_was_told_in_whatever_batches():
    rng = np.random.default_rng(1)
    codes = SPACE.sample(137, rng)
    told = observed(codes, codes[:, 0] == 5)
    once, often = Failures(Problem(SPACE, 1, 1)), Failures(Problem(SPACE, 1, 1))
    once.tell(told)
    for i in range(0, 137, 10):
        often.tell(told[i : i + 10])
        _ = often.model
    assert np.array_equal(once.model.log_chance(codes), often.model.log_chance(codes))


def test_filling_up_takes_likely_candidates_and_then_all_the_others():
    space = Space([Choice(f"c{i}", (0, 1, 9)) for i in range(4)])
    problem = Problem(space, 1)
    codes = space.enumerate()
    bad = (codes == 2).any(axis=1)
    told = np.random.default_rng(0).permutation(len(codes))[:40]
    model = Feasibility(problem).fit(
        Observations(codes[told], np.where(bad[told, None], np.nan, 0.0), np.empty((40, 0)))
    )
    seen = set(keys(codes[told]))
    rest = fill(model, codes[:0], 100, seen, np.random.default_rng(0))
    assert len(rest) == len(codes) - 40
    n_good = int((~bad).sum() - (~bad[told]).sum())
    assert (rest[: n_good + 2] != 2).all(axis=1).sum() >= n_good - 1


def failures(name: str, options: tuple, seed: int, budget: int = 100) -> np.ndarray:
    """Which of the evaluations failed: five choices, a sum of 9 or more raises, otherwise minus the sum is the loss."""
    space = Space([Choice(f"c{i}", options) for i in range(5)])
    strategy = plugins.resolve("strategy", name)(Problem(space, 1, budget=budget))
    values, bad = np.array(options), []
    for step in range(budget):
        codes = strategy.ask(1, np.random.default_rng([seed, step]), np.empty((0, 5), dtype=np.int64))
        sums = values[codes].sum(axis=1)
        losses = np.where(sums >= 9, np.nan, -sums.astype(float))[:, None]
        strategy.tell(Observations(codes, losses, np.empty((1, 0))))
        bad.append(bool(sums[0] >= 9))
    return np.array(bad)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"), [("tpe", 40), ("nsga2", 50), *thorough_if(lambda *_: True, [("evolution", 50), ("nsga3", 50)])]
)
def test_where_three_of_four_candidates_fail_few_of_the_first_hundred_do(name: str, most: int) -> None:
    assert np.mean([failures(name, (0, 1, 2, 9), seed).sum() for seed in range(4)]) <= most  # random: 77


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["nsga2", pytest.param("tpe", marks=pytest.mark.thorough), pytest.param("evolution", marks=pytest.mark.thorough)],
)
def test_the_few_candidates_that_work_are_found_before_most_that_do_not(name: str) -> None:
    """32 of 243 work: of the first hundred at least 68 fail, and no more do where all that work are among them."""
    bad = [failures(name, (0, 1, 9), seed) for seed in range(3)]
    assert np.mean([b.sum() for b in bad]) <= 69  # random: 87
    assert np.mean([b[:40].sum() for b in bad]) <= 28  # random: 35


@pytest.mark.thorough
def test_with_thousands_of_options_the_regression_is_solved_over_the_observations() -> None:
    rng = np.random.default_rng(0)
    space = Space([Choice(f"c{j}", range(500)) for j in range(4)])
    codes = space.sample(120, rng)
    chances = {}
    for wide in (1, 10_000):  # over the observations, and over the features
        feasibility.WIDE, before = wide, feasibility.WIDE
        try:
            model = Feasibility(Problem(space, 1, 1)).fit(observed(codes, codes[:, 0] < 100))
        finally:
            feasibility.WIDE = before
        chances[wide] = model.log_chance(codes)
    assert np.allclose(chances[1], chances[10_000], rtol=1e-6)
    assert np.exp(chances[1][codes[:, 0] >= 100]).min() > np.exp(chances[1][codes[:, 0] < 100]).max()
