"""Regularised evolution: the oldest dies, whatever its losses, and the best of a random sample has a child.

Real, Aggarwal, Huang, Le: Regularized evolution for image classifier architecture search. AAAI 2019 (1802.01548).
Steady state and asynchronous: a child depends only on what was told. With several objectives, each tournament weighs
them at random. With rank and crowding distance instead, as in NSGA-II, the candidates of the front die of age before
there are better ones: measured, 15 to 30 % less hypervolume after 300 evaluations of 20 choices with 6 options each.
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.operators import mutate
from searchkit.problem.problem import Problem
from searchkit.strategies.proposals import Proposals, Start
from searchkit.strategies.survival import survive
from searchkit.types import Codes, Floats


class Evolution:
    """Regularised (ageing) evolution over codes.

    Args:
        problem: what is searched.
        population: how many candidates it holds, the newest that did not fail; by default twice the square root of the
            budget, at least 8 and at most 100, and 100 without a budget in evaluations.
        tournament: how many are drawn to find a parent, at most the population; where not given, half of it with one
            objective, and three quarters with several, where random weights keep the parents different.
        mutation_rate: probability, from 0 to 1, with which each choice changes besides the one that always does; by
            default 0.5 divided by the number of choices.
        start: candidates to be evaluated first, dictionaries of options or rows of codes.
    """

    batch = 1

    def __init__(
        self,
        problem: Problem,
        *,
        population: int | None = None,
        tournament: int | None = None,
        mutation_rate: float | None = None,
        start: Start = None,
    ) -> None:
        if population is None:
            population = 100 if problem.budget is None else int(np.clip(round(2 * problem.budget**0.5), 8, 100))
        if population < 2:
            raise ValueError(f"population must be at least 2, not {population}")
        if tournament is None:
            tournament = population // 2 if problem.n_objectives == 1 else 3 * population // 4
        if not 1 <= tournament <= population:
            raise ValueError(f"tournament is from 1 to the population of {population}, not {tournament}")
        if mutation_rate is not None and not 0 <= mutation_rate <= 1:
            raise ValueError(f"mutation_rate is a share from 0 to 1, not {mutation_rate}")
        self.problem = problem
        self.population, self.tournament = population, tournament
        self.mutation_rate = 0.5 / problem.space.n_choices if mutation_rate is None else mutation_rate
        self._proposals = Proposals(problem, start)
        self._n_told = 0
        self._alive = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._worth: Floats = np.empty((0, problem.n_objectives))
        self._handicap: Floats = np.empty(0)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        begun = self._n_told + len(pending) >= self.population and len(self._alive) > 0
        if not begun:
            return self._proposals.initial(n, rng, pending)
        return self._proposals.propose(n, rng, pending, self._children)

    def tell(self, told: Observations) -> None:
        """Add the new candidates that did not fail, and remove the oldest."""
        self._proposals.tell(told)
        self._n_told += len(told)
        self._alive = (self._alive + told[~told.failed])[-self.population :]  # algorithm 1: the oldest dies
        feasible = self._alive.feasible
        self._worth = np.zeros_like(self._alive.losses)
        self._worth[feasible] = _unit(self._alive.losses[feasible])
        self._handicap = np.zeros(len(feasible))
        if not feasible.all():  # any feasible one beats them; among them the least violation wins
            order, places = survive(self._alive, len(feasible))
            self._handicap[order] = 10.0 + places
            self._handicap[feasible] = 0.0

    def _children(self, n: int, rng: np.random.Generator) -> Codes:
        """``(n, d)`` mutations of the winners of n tournaments.

        The score is a weighted sum and a weighted maximum in equal parts, so that concave
        parts of a front have winners too.
        """
        alive = len(self._alive)
        drawn = rng.random((n, alive)).argsort(axis=1)[:, : self.tournament]  # without replacement
        weights = rng.dirichlet(np.ones(self.problem.n_objectives), n)[:, None, :]
        weighted = self._worth[drawn] * weights
        score = weighted.sum(axis=2) + weighted.max(axis=2) + self._handicap[drawn]
        winners = drawn[np.arange(n), score.argmin(axis=1)]  # Real et al., algorithm 1: best of the sample
        return mutate(self._alive.codes[winners], self.problem.space, rng, self.mutation_rate)


def _unit(losses: Floats) -> Floats:
    """``(n, k)`` losses scaled to [0, 1]; quartered first, so that the difference of huge ones is finite."""
    if not len(losses):
        return losses
    quarters = losses / 4
    low = quarters.min(axis=0)
    span = quarters.max(axis=0) - low
    scaled: Floats = (quarters - low) / np.where(span > 0, span, 1.0)
    return scaled
