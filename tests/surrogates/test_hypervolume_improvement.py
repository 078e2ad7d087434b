"""The expected hypervolume improvement against its definition: by drawing, by cells, and where nothing is uncertain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from searchkit.problem.pareto import hypervolume
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.types import Floats

DRAWS = 2000


def gain(point: Floats, front: Floats, reference: Floats) -> float:
    """What one more point adds to the hypervolume of a front."""
    return hypervolume(np.concatenate([front, point[None]]), reference) - hypervolume(front, reference)


def shortfall(level: float, mean: Floats, std: Floats) -> Floats:
    """E[max(level - X, 0)] of normal X."""
    z = (level - mean) / std
    return std * (z * norm.cdf(z) + norm.pdf(z))


def by_cells(mean: Floats, std: Floats, front: Floats, reference: Floats) -> Floats:
    """The expectation as a sum over all cells of the grid through the front; no cell that is dominated counts."""
    k = len(reference)
    inside = front[(front < reference).all(axis=1)]
    lengths, dominated = [], []
    for j in range(k):
        levels = np.unique(np.append(inside[:, j], reference[j]))
        upper = np.stack([shortfall(level, mean[:, j], std[:, j]) for level in levels])
        lengths.append(np.diff(upper, axis=0, prepend=0.0))
        lower = np.append(-np.inf, levels[:-1])
        dominated.append(lower >= inside[:, j : j + 1])
    names = "abcde"[:k]
    taken = np.einsum(",".join(f"r{c}" for c in names) + f"->{names}", *(d.astype(int) for d in dominated))
    return np.einsum(names + "," + ",".join(f"{c}n" for c in names) + "->n", 1.0 * (taken == 0), *lengths)


def random_case(k: int, seed: int, m: int = 6, n: int = 4) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, deviation, front and reference; of the front, some rows are dominated, equal, or beyond the reference."""
    rng = np.random.default_rng([k, seed])
    front = rng.normal(size=(m, k))
    front = np.concatenate([front, front[:1], front[:1] + 0.2, np.full((1, k), 5.0)])
    return rng.normal(size=(n, k)), rng.uniform(0.2, 1.0, size=(n, k)), front, np.full(k, 1.5)


def trade_off(k: int, seed: int, m: int) -> Floats:
    """``(m, k)`` rows of which none dominates another."""
    x = np.random.default_rng([k, seed]).normal(size=(m, k))
    return x - x.mean(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_it_is_the_mean_of_the_gains_that_are_drawn(k: int) -> None:
    mean, std, front, reference = random_case(k, seed=0, n=3)
    mean -= 1.2
    rng = np.random.default_rng(k)
    found = expected_improvement(mean, std, front, reference)
    assert found.max() > 0.1
    for i in range(len(mean)):
        gains = [gain(point, front, reference) for point in mean[i] + std[i] * rng.normal(size=(DRAWS, k))]
        assert abs(found[i] - np.mean(gains)) < 4 * np.std(gains) / np.sqrt(DRAWS) + 1e-3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_it_is_the_sum_over_all_cells(k: int, seed: int) -> None:
    mean, std, front, reference = random_case(k, seed)
    for rows in (front, trade_off(k, seed, m=10)):
        assert expected_improvement(mean, std, rows, reference) == pytest.approx(by_cells(mean, std, rows, reference))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_an_empty_front_gives_the_product_of_the_shortfalls(k: int) -> None:
    mean, std, front, reference = random_case(k, seed=1)
    wanted = np.prod([shortfall(reference[j], mean[:, j], std[:, j]) for j in range(k)], axis=0)
    assert expected_improvement(mean, std, np.empty((0, k)), reference) == pytest.approx(wanted)
    beyond = front + 10
    assert expected_improvement(mean, std, beyond, reference) == pytest.approx(wanted)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_what_is_dominated_repeated_or_beyond_the_reference_changes_nothing(k: int) -> None:
    rng = np.random.default_rng(k)
    mean, std, front, reference = random_case(k, seed=2)
    plain = expected_improvement(mean, std, front[:6], reference)
    worse = front[:6] + rng.uniform(0, 0.5, size=(6, k))
    weakly = front[:6] + np.eye(k)[rng.integers(0, k, 6)] * 0.3
    on_the_edge = np.where(np.arange(k) == 0, reference, front[:6] - 3)  # better in all but the first
    for more in (worse, weakly, front[:3], front[:6] + 9, on_the_edge):
        assert expected_improvement(mean, std, np.concatenate([more, front[:6]]), reference) == pytest.approx(plain)
    shuffled = rng.permutation(front)
    assert expected_improvement(mean, std, shuffled, reference) == pytest.approx(plain)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_candidate_is_valued_by_itself(k: int) -> None:
    mean, std, front, reference = random_case(k, seed=3)
    together = expected_improvement(mean, std, front, reference)
    alone = [expected_improvement(mean[i : i + 1], std[i : i + 1], front, reference)[0] for i in range(len(mean))]
    assert together == pytest.approx(alone)
    assert expected_improvement(mean[:0], std[:0], front, reference).shape == (0,)


numbers = st.integers(0, 4)


@st.composite
def integer_cases(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """Points, a front with ties and duplicates, and a reference, all on a small grid."""
    k = draw(st.integers(1, 4))
    row = st.lists(numbers, min_size=k, max_size=k)
    front = draw(st.lists(row, max_size=7))
    points = draw(st.lists(row, min_size=1, max_size=4))
    reference = draw(st.lists(st.integers(2, 5), min_size=k, max_size=k))
    return np.array(points, float), np.array(front, float).reshape(-1, k), np.array(reference, float)


@pytest.mark.slow
@given(integer_cases())
@example((np.array([[1.0, 1.0]]), np.array([[0.0, 2.0], [2.0, 0.0], [0.0, 2.0]]), np.array([3.0, 3.0])))
@example((np.array([[0.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), np.array([2.0, 2.0, 2.0])))
@settings(max_examples=150, deadline=None)
def test_without_uncertainty_it_is_the_gain_in_hypervolume(case: tuple[Floats, Floats, Floats]) -> None:
    points, front, reference = case
    found = expected_improvement(points, np.full(points.shape, 1e-9), front, reference)
    wanted = [gain(point, front, reference) for point in points]
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.slow
@given(integer_cases(), st.sampled_from([0.3, 1.0, 3.0]))
@settings(max_examples=60, deadline=None)
def test_with_uncertainty_it_is_the_sum_over_all_cells_also_of_ties(case, deviation: float) -> None:
    points, front, reference = case
    std = np.full(points.shape, deviation)
    assert expected_improvement(points, std, front, reference) == pytest.approx(
        by_cells(points, std, front, reference), rel=1e-9, abs=1e-12
    )


@given(integer_cases())
@settings(max_examples=40, deadline=None)
def test_it_falls_when_more_is_known_and_rises_with_uncertainty(case: tuple[Floats, Floats, Floats]) -> None:
    points, front, reference = case
    narrow, wide = np.full(points.shape, 0.5), np.full(points.shape, 1.0)
    with_front = expected_improvement(points, narrow, front, reference)
    assert (with_front >= 0).all()
    assert (with_front <= expected_improvement(points, narrow, front[:2], reference) + 1e-9).all()
    assert (with_front <= expected_improvement(points, wide, front, reference) + 1e-9).all(), "gains are convex in each"
