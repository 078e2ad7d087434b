"""NSGA-II on pymoo: elitist multi-objective evolution by non-domination rank and crowding distance.

Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE TEC 6(2), 2002.
pymoo owns the sorting into fronts and the crowding distance; codes, operators and bookkeeping are searchkit's, in
arrays (pymoo's population of objects would take most of the time). Told fewer candidates than a population at a time,
it runs as the steady-state form, which learns from every single result.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from searchkit.observations import Observations
from searchkit.operators import crossover, mutate
from searchkit.problem import Problem, complete, novel
from searchkit.space import Codes, keys


class NSGA2:
    """NSGA-II over codes.

    Args:
        problem: what is searched.
        population: survivors kept; where not given, a fifth of the budget between 8 and 100, or 100.
        crossover_rate: share of children with two parents; the others are mutations of one.
        mutation_rate: chance that a decision changes, 1/d where not given.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        population: int | None = None,
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
    ) -> None:
        if population is None:
            population = 100 if problem.budget is None else int(np.clip(problem.budget // 5, 8, 100))
        if population < 2:
            raise ValueError(f"population must be at least 2, not {population}")
        self.problem = problem
        self.population = population
        self.batch = population  # one generation of black-box candidates at a time
        self.crossover_rate = crossover_rate
        self.mutation_rate = mutation_rate
        self._sort = NonDominatedSorting()
        self._crowding = get_crowding_function("cd")
        self._n_told = 0
        self._seen: set[bytes] = set()
        self._parents = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._places: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.Strategy`."""
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen
        if self._n_told < self.population or len(self._parents) < 2:
            return complete(self.problem, self.problem.sample(n, rng), n, seen, rng)
        codes = np.empty((0, self.problem.space.n_choices), dtype=np.int64)
        for _ in range(4):  # in a small space many children are old acquaintances
            codes = novel(self.problem, np.concatenate([codes, self._offspring(n + n // 4 + 1, rng)]), n, seen)
            if len(codes) == n:
                return codes
        return complete(self.problem, codes, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Merge a batch into the population and let the best survive."""
        self._seen.update(keys(told.codes))
        self._n_told += len(told)
        merged = self._parents + told
        survivors, self._places = self._survive(merged)
        self._parents = merged[survivors]

    def _survive(self, merged: Observations) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows that survive, best first, and the place of each: by front, then by crowding; equal places tie.

        Feasible candidates come first (Deb's rules). The others follow by their summed violations, and failed ones
        last: nothing invents a loss for them.
        """
        feasible = np.flatnonzero(merged.feasible)
        rows: list[npt.NDArray[np.int64]] = []
        places: list[npt.NDArray[np.int64]] = []
        n_kept = 0
        for front in self._sort.do(merged.losses[feasible], n_stop_if_ranked=self.population) if len(feasible) else ():
            crowding = self._crowding.do(merged.losses[feasible[front]], n_remove=0)
            order = np.argsort(-crowding, kind="stable")[: self.population - n_kept]
            rows.append(feasible[front[order]])
            places.append(n_kept + np.unique(-crowding[order], return_inverse=True)[1])
            n_kept += len(order)
        rest = np.flatnonzero(~merged.feasible)
        if n_kept < self.population and len(rest):
            hardship = np.nan_to_num(merged.violations[rest], nan=np.inf).sum(axis=1)
            hardship[merged.failed[rest]] = np.inf
            order = np.argsort(hardship, kind="stable")[: self.population - n_kept]
            rows.append(rest[order])
            places.append(n_kept + np.unique(hardship[order], return_inverse=True)[1])
        return np.concatenate(rows), np.concatenate(places)

    def _offspring(self, n: int, rng: np.random.Generator) -> Codes:
        """``(n, d)`` children of parents that won binary tournaments."""
        codes = self._parents.codes
        mothers, fathers = codes[_tournament(self._places, n, rng)], codes[_tournament(self._places, n, rng)]
        mixed = rng.random((n, 1)) < self.crossover_rate
        children = np.where(mixed, crossover(mothers, fathers, rng), mothers)
        # a child of two parents need not change as well; clones of what is known are dropped as repeats
        return mutate(children, self.problem.space, rng, self.mutation_rate, always=False)


def _tournament(places: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """``(n,)`` winners of n binary tournaments; the lower place wins."""
    pairs = rng.integers(0, len(places), size=(2, n))
    winners: npt.NDArray[np.int64] = np.where(places[pairs[0]] <= places[pairs[1]], pairs[0], pairs[1])
    return winners
