"""First candidates that try every option equally often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchkit import Choice, Space, load_space
from searchkit.problem.initial_design import balanced
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.bo import BO
from searchkit.strategies.evolution import Evolution
from searchkit.strategies.exact import Exact
from searchkit.strategies.nsga2 import NSGA2
from searchkit.types import Codes


def none(space: Space) -> Codes:
    return np.empty((0, space.n_choices), dtype=np.int64)


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6), n=st.integers(0, 15), seed=st.integers(0, 99))
def test_every_option_is_taken_equally_often_up_to_one(sizes: list[int], n: int, seed: int) -> None:
    space = Space([Choice(f"c{j}", range(size)) for j, size in enumerate(sizes)])
    codes = balanced(Problem(space), none(space), n, np.random.default_rng(seed))
    assert codes.shape == (n, len(sizes))
    for j, size in enumerate(sizes):
        counts = np.bincount(codes[:, j], minlength=size)
        assert np.ptp(counts) <= 1


def test_what_was_evaluated_counts() -> None:
    space = Space([Choice("a", range(3)), Choice("b", range(2))])
    known = np.array([[0, 0], [1, 0], [0, 0]])
    codes = balanced(Problem(space), known, 2, np.random.default_rng(0))
    assert codes[0].tolist() == [2, 1]
    assert codes[1, 0] in (1, 2)


def test_known_bounds_are_kept_and_codes_are_canonical() -> None:
    space = load_space("nas-bench-201")
    problem = Problem(space, known=lambda codes: (codes == 3).sum(axis=1, keepdims=True) - 1.0)
    codes = balanced(problem, none(space), 30, np.random.default_rng(0))
    assert len(codes) == 30
    assert ((codes == 3).sum(axis=1) <= 1).all()
    assert np.array_equal(space.canonical(codes), codes)
    nothing = Problem(space, known=lambda codes: np.ones((len(codes), 1)))
    assert not len(balanced(nothing, none(space), 3, np.random.default_rng(0)))


@pytest.mark.parametrize("make", [BO, Exact, NSGA2, Evolution])
def test_strategies_begin_with_it_one_by_one_as_well(make: type) -> None:
    space = Space([Choice(f"c{j}", range(4)) for j in range(5)])
    problem = Problem(space, 1, budget=100)
    strategy, asked = make(problem), none(space)
    for step in range(8):
        code = strategy.ask(1, np.random.default_rng(step), none(space))
        strategy.tell(Observations(code, np.array([[float(step)]]), np.empty((1, 0))))
        asked = np.concatenate([asked, code])
    assert all((np.bincount(column, minlength=4) == 2).all() for column in asked.T)
