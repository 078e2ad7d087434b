"""bo and exact in turns: whose candidates are taken, and that a continued search takes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.bo import BO
from searchkit.strategies.exact import Exact
from searchkit.strategies.portfolio import FIRST, Portfolio
from searchkit.types import Codes, Floats

SPACE = Space([Choice(f"c{j}", range(5)) for j in range(14)], name="large")  # 6.1e9 candidates
NONE = np.empty((0, 14), dtype=np.int64)


def sums(codes: Codes) -> Floats:
    value: Floats = np.random.default_rng(0).normal(size=(14, 5))[np.arange(14), codes].sum(axis=1)
    return value


def counted(codes: Codes) -> Floats:
    """By how often the first option is taken, best three times: no sum over choices predicts it, counts do."""
    value: Floats = np.abs((codes == 0).sum(axis=1) - 3.0)
    return value


def told(codes: Codes, losses: Floats) -> Observations:
    return Observations(codes, losses[:, None], np.empty((len(codes), 0)))


def after(n: int, loss: Callable[[Codes], Floats]) -> tuple[Portfolio, BO, Exact]:
    """The strategies after n random candidates."""
    problem = Problem(SPACE, 1)
    made = Portfolio(problem), BO(problem), Exact(problem, n_initial=FIRST)
    codes = SPACE.sample(n, np.random.default_rng(1))
    for strategy in made:
        strategy.tell(told(codes, loss(codes)))
    return made


@pytest.mark.parametrize("n", [10, FIRST - 1, 40, 41])
def test_every_second_candidate_is_from_block_values_once_these_predict(n: int) -> None:
    both, bo, exact = after(n, sums)
    chosen = both.ask(1, np.random.default_rng(3), NONE)
    by = exact if n >= FIRST and n % 2 else bo
    np.testing.assert_array_equal(chosen, by.ask(1, np.random.default_rng(3), NONE))


def test_a_pending_candidate_counts_and_none_is_proposed_twice() -> None:
    both, _, _ = after(40, sums)
    codes = both.ask(6, np.random.default_rng(0), NONE)
    assert len(np.unique(codes, axis=0)) == 6
    more = both.ask(4, np.random.default_rng(0), codes)
    assert len(np.unique(np.concatenate([codes, more]), axis=0)) == 10


@pytest.mark.parametrize("n", [FIRST, 61, 121])
def test_where_sums_predict_worse_all_are_from_bayesian_optimisation(n: int) -> None:
    both, bo, _ = after(n, counted)
    chosen = both.ask(2, np.random.default_rng(3), NONE)
    np.testing.assert_array_equal(chosen, bo.ask(2, np.random.default_rng(3), NONE))


@pytest.mark.slow
def test_it_is_ahead_of_random_search_by_far_in_sums() -> None:
    strategy, codes = Portfolio(Problem(SPACE, 1, budget=45)), NONE
    for step in range(45):
        new = strategy.ask(1, np.random.default_rng([0, step]), NONE)
        strategy.tell(told(new, sums(new)))
        codes = np.concatenate([codes, new])
    assert sums(codes).min() < sums(SPACE.sample(20_000, np.random.default_rng(0))).min()
