"""NSGA-II on pymoo: elitist multi-objective evolution by non-domination rank and crowding distance.

Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE TEC 6(2), 2002.
Ranks and crowding distances are pymoo's (:mod:`searchkit.strategies.survival`); codes, operators and bookkeeping are
searchkit's, in arrays (pymoo's population of objects would take most of the time). With batches smaller
than the population it is the steady-state form, which learns from every result.
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.operators import crossover, mutate
from searchkit.problem.problem import Problem
from searchkit.strategies.proposals import Proposals, Start
from searchkit.strategies.survival import Rows, survive
from searchkit.types import Codes


class NSGA2:
    """NSGA-II over codes.

    Args:
        problem: what is searched.
        population: survivors kept; by default 0.6 times the square root of the budget, at least 8 and at most 100
            (measured: with 60, a search of 300 evaluations has too few generations), and 100 without a budget in
            evaluations.
        crossover_rate: share of children with two parents, from 0 to 1; the others are mutations of one.
        mutation_rate: probability, from 0 to 1, with which each choice of a child changes; by default 0.5 divided by
            the number of choices. A child that is a copy of a parent changes in any case.
        start: candidates to be evaluated first, dictionaries of options or rows of codes.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        population: int | None = None,
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
        start: Start = None,
    ) -> None:
        if population is None:
            population = 100 if problem.budget is None else int(np.clip(round(0.6 * problem.budget**0.5), 8, 100))
        if population < 2:
            raise ValueError(f"population must be at least 2, not {population}")
        for name, rate in (("crossover_rate", crossover_rate), ("mutation_rate", mutation_rate)):
            if rate is not None and not 0 <= rate <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {rate}")
        self.problem = problem
        self.population = population
        # small populations for small budgets, where learning early matters; large ones for many evaluations,
        # where a generation at a time costs less
        self.batch = population if population >= 32 else population // 4 or 1
        self.crossover_rate = crossover_rate
        self.mutation_rate = 0.5 / problem.space.n_choices if mutation_rate is None else mutation_rate
        self._proposals = Proposals(problem, start)
        self._n_told = 0
        self._parents = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._places: Rows = np.empty(0, dtype=np.int64)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        begun = self._n_told >= self.population and len(self._parents) >= 2
        if not begun:
            return self._proposals.initial(n, rng, pending)
        return self._proposals.propose(n, rng, pending, self._offspring)

    def tell(self, told: Observations) -> None:
        """Merge a batch into the population and let the best survive."""
        self._proposals.tell(told)
        self._n_told += len(told)
        merged = self._parents + told
        survivors, self._places = self._survive(merged)
        self._parents = merged[survivors]

    def _survive(self, merged: Observations) -> tuple[Rows, Rows]:
        """Surviving rows and their places; the lower place wins a tournament."""
        return survive(merged, self.population)

    def _offspring(self, n: int, rng: np.random.Generator) -> Codes:
        """``(m, d)`` children of parents that won binary tournaments; over twice n: late in a search many are known."""
        m = 2 * n + 4
        pairs = rng.integers(0, len(self._places), size=(2, 2, m))
        places = self._places[pairs]
        mothers, fathers = np.where(places[0] <= places[1], pairs[0], pairs[1])
        fathers = np.where(rng.random(m) < self.crossover_rate, fathers, mothers)
        first, second = self._parents.codes[mothers], self._parents.codes[fathers]
        children = crossover(first, second, rng, self.problem.space)
        copies = (children == first).all(axis=1) | (children == second).all(axis=1)
        return mutate(children, self.problem.space, rng, self.mutation_rate, always=copies)
