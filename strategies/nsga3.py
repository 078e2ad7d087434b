"""NSGA-III on pymoo: evolution for four objectives and more, spread out along reference directions.

Deb, Jain: An evolutionary many-objective optimization algorithm using reference-point-based nondominated sorting
approach. IEEE TEC 18(4), 2014. Directions and survival are pymoo's; the rest is NSGA-II's
(:mod:`searchkit.strategies.nsga2`).
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.util.ref_dirs import get_reference_directions

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.nsga2 import NSGA2
from searchkit.strategies.survival import Rows, survive
from searchkit.types import Floats

LARGEST = 1e100  # losses beyond it tie: their squares would overflow


class NSGA3(NSGA2):
    """NSGA-III over codes.

    Args:
        problem: what is searched.
        directions: ``(m, k)`` reference directions; by default the even grid (Das and Dennis) with as many as fit into
            the population, and at least two steps along each objective.
        population: survivors kept, at least as many as there are directions; by default as many as for NSGA-II, or
            the number of directions where that is larger.
        options: as for NSGA-II.
    """

    def __init__(
        self, problem: Problem, *, directions: Floats | None = None, population: int | None = None, **options: Any
    ) -> None:
        super().__init__(problem, population=population, **options)
        k = problem.n_objectives
        if directions is None:
            directions = get_reference_directions("das-dennis", k, n_partitions=_steps(k, self.population))
        directions = np.asarray(directions, dtype=np.float64)
        if directions.ndim != 2 or directions.shape[1] != k:
            raise ValueError(f"directions are rows of {k} numbers, one per objective, not of shape {directions.shape}")
        if population is not None and population < len(directions):
            raise ValueError(f"population {population} is less than the {len(directions)} reference directions")
        self.population = max(self.population, len(directions))
        self._survival = ReferenceDirectionSurvival(directions)
        self._plain = PymooProblem(n_var=1, n_obj=k)

    def _survive(self, merged: Observations) -> tuple[Rows, Rows]:
        """Rows that survive, and their places: equal for all feasible ones, so that parents are drawn at random."""
        good = np.flatnonzero(merged.feasible)
        if len(good) <= self.population:
            rows, places = survive(merged, self.population)
            places[: len(good)] = 0
            return rows, places
        individuals = Population.new("F", np.clip(merged.losses[good], -LARGEST, LARGEST), "row", good)
        rng = np.random.default_rng(self._n_told)
        with np.errstate(all="ignore"):
            kept = self._survival.do(self._plain, individuals, n_survive=self.population, random_state=rng)
        rows = np.asarray(kept.get("row"), dtype=np.int64)
        return rows, np.zeros(len(rows), dtype=np.int64)


def _steps(k: int, n: int) -> int:
    """The most steps along each of k objectives of which the grid has at most n points; at least two."""
    steps = 2
    while k > 1 and comb(steps + k, k - 1) <= n:
        steps += 1
    return steps
