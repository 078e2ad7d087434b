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
from searchkit.strategies.evolution import Evolution
from searchkit.strategies.nsga2 import NSGA2
from searchkit.types import Codes


def none(space: Space) -> Codes:
    return np.empty((0, space.n_choices), dtype=np.int64)


def off(space: Space, codes: Codes) -> float:
    """How far the counts of options are from equal ones, squared and over what is expected."""
    counts = [(np.bincount(codes[:, j], minlength=n), len(codes) / n) for j, n in enumerate(space.n_options)]
    return sum(float(((count - expected) ** 2 / expected).sum()) for count, expected in counts)


@pytest.mark.slow
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6), n=st.integers(0, 15), seed=st.integers(0, 99))
def test_they_are_candidates_of_the_space(sizes: list[int], n: int, seed: int) -> None:
    space = Space([Choice(f"c{j}", range(size)) for j, size in enumerate(sizes)])
    codes = balanced(Problem(space), none(space), n, np.random.default_rng(seed))
    assert codes.shape == (n, len(sizes))
    assert np.array_equal(space.check(codes) if n else codes, codes)
    again = balanced(Problem(space), none(space), n, np.random.default_rng(seed))
    assert np.array_equal(codes, again)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_options_are_taken_more_evenly_than_by_random_candidates(n: int) -> None:
    space = Space([Choice(f"c{j}", range(2 + j % 4)) for j in range(8)])
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    even = np.mean([off(space, balanced(Problem(space), none(space), n, rng)) for rng in rngs])
    assert even < 0.5 * np.mean([off(space, space.sample(n, rng)) for rng in rngs])


def test_what_was_evaluated_counts() -> None:
    space = Space([Choice("a", range(3)), Choice("b", range(2))])
    known = np.array([[0, 0], [1, 0], [0, 0]])
    codes = balanced(Problem(space), known, 2, np.random.default_rng(0))
    assert codes[0].tolist() == [2, 1]


def test_where_the_canonical_form_moves_options_they_are_as_frequent_as_in_random_candidates() -> None:
    """The layers that do nothing come last, so that a last layer is nearly always one of them."""
    space = load_space("macro")
    problem = Problem(space)
    rows = [balanced(problem, none(space), 20, np.random.default_rng(seed)) for seed in range(60)]
    drawn = space.sample(4000, np.random.default_rng(0))
    for option in range(3):
        difference = (np.concatenate(rows) == option).mean(axis=0) - (drawn == option).mean(axis=0)
        assert np.abs(difference).max() < 0.06


def test_known_bounds_are_kept_and_codes_are_canonical() -> None:
    space = load_space("nas-bench-201")
    problem = Problem(space, known=lambda codes: (codes == 3).sum(axis=1, keepdims=True) - 1.0)
    codes = balanced(problem, none(space), 30, np.random.default_rng(0))
    assert len(codes) == 30
    assert ((codes == 3).sum(axis=1) <= 1).all()
    assert np.array_equal(space.canonical(codes), codes)
    nothing = Problem(space, known=lambda codes: np.ones((len(codes), 1)))
    assert not len(balanced(nothing, none(space), 3, np.random.default_rng(0)))


@pytest.mark.parametrize("make", [NSGA2, Evolution])
def test_evolutionary_strategies_begin_with_it_one_by_one_as_well(make: type) -> None:
    space = Space([Choice(f"c{j}", range(4)) for j in range(5)])
    problem = Problem(space, 1, budget=100)
    strategy, asked = make(problem), none(space)
    for step in range(8):
        code = strategy.ask(1, np.random.default_rng(step), none(space))
        strategy.tell(Observations(code, np.array([[float(step)]]), np.empty((1, 0))))
        asked = np.concatenate([asked, code])
    rng = np.random.default_rng(0)
    assert off(space, asked) < 0.6 * np.mean([off(space, space.sample(8, rng)) for _ in range(50)])
