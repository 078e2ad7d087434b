"""Regularised evolution: it ages, failures have no children, and it beats random search."""

from __future__ import annotations

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume
from searchkit.problem.problem import Problem
from searchkit.strategies.evolution import Evolution
from searchkit.strategies.random import Random

SPACE = Space([Choice(f"c{j}", range(5)) for j in range(10)])
NONE = np.empty((0, 10), dtype=np.int64)


def told(codes, losses, violations=None) -> Observations:
    return Observations(codes, losses, np.empty((len(codes), 0)) if violations is None else violations)


def distance(codes, others) -> int:
    return int((codes[:, None] != others[None]).sum(axis=2).min(axis=1).max())


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_beats_random_search(k: int) -> None:
    weights = np.random.default_rng(1).normal(size=(k, 10, 5))
    reference = np.zeros(k)

    def worth(strategy, seed: int) -> float:
        found = []
        for step in range(150):
            codes = strategy.ask(1, np.random.default_rng([seed, step]), NONE)
            losses = np.stack([table[np.arange(10), codes].sum(axis=1) for table in weights], axis=1)
            strategy.tell(told(codes, losses))
            found.append(losses)
        return hypervolume(np.concatenate(found), reference)

    problem = Problem(SPACE, k, budget=150)
    ours = [worth(Evolution(problem), seed) for seed in range(4)]
    random = [worth(Random(problem), seed) for seed in range(4)]
    assert np.mean(ours) > 1.2 * np.mean(random)


def test_the_oldest_die_whatever_they_are_worth():
    strategy = Evolution(Problem(SPACE, 1), population=4, tournament=4, mutation_rate=0.0)
    best = np.zeros((1, 10), dtype=np.int64)
    strategy.tell(told(best, np.array([[-100.0]])))
    later = SPACE.sample(4, np.random.default_rng(0))
    strategy.tell(told(later[:3], np.arange(3.0)[:, None]))
    assert distance(strategy.ask(5, np.random.default_rng(0), NONE), best) == 1
    strategy.tell(told(later[3:], np.array([[50.0]])))
    assert distance(strategy.ask(5, np.random.default_rng(0), NONE), later[:1]) == 1


def test_failed_candidates_have_no_children_and_infeasible_ones_only_where_none_is_better():
    codes = SPACE.sample(6, np.random.default_rng(5))
    losses = np.array([[np.nan]] * 3 + [[9.0], [np.nan], [1.0]])
    violations = np.array([[np.nan]] * 3 + [[0.0], [3.0], [0.5]])
    strategy = Evolution(Problem(SPACE, 1, 1), population=6, tournament=6, mutation_rate=0.0)
    strategy.tell(told(codes, losses, violations))
    assert distance(strategy.ask(3, np.random.default_rng(0), NONE), codes[3:4]) == 1
    without = Evolution(Problem(SPACE, 1, 1), population=6, tournament=6, mutation_rate=0.0)
    rows = np.array([0, 1, 2, 4, 5, 5])[:5]
    without.tell(told(codes[rows], losses[rows], violations[rows]))
    without.tell(told(codes[:1], losses[:1], violations[:1]))
    assert distance(without.ask(3, np.random.default_rng(0), NONE), codes[5:6]) == 1


def test_pending_candidates_count_as_born():
    strategy = Evolution(Problem(SPACE, 1), population=4, mutation_rate=0.0)
    codes = SPACE.sample(4, np.random.default_rng(0))
    strategy.tell(told(codes[:2], np.zeros((2, 1))))
    assert distance(strategy.ask(4, np.random.default_rng(1), codes[2:]), codes[:2]) == 1
    assert distance(strategy.ask(4, np.random.default_rng(1), NONE), codes[:2]) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "population must be at least 2, not 1"),
        ({"population": 5, "tournament": 6}, "tournament is from 1 to the population of 5, not 6"),
        ({"tournament": 0}, "tournament is from 1 to the population of 100, not 0"),
        ({"mutation_rate": 2}, "mutation_rate is a share from 0 to 1, not 2"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Evolution(Problem(SPACE, 1), **options)


def test_losses_beyond_any_scale_and_ties_are_no_error():
    codes = SPACE.sample(50, np.random.default_rng(0))
    for column in (np.full(50, 1e308), np.random.default_rng(0).choice([1e308, -1e308, 0.0], 50), np.zeros(50)):
        strategy = Evolution(Problem(SPACE, 2, budget=100))
        strategy.tell(told(codes, np.stack([column, -column], axis=1)))
        assert len(strategy.ask(4, np.random.default_rng(0), NONE)) == 4
