"""searchkit's integer operators as operators of pymoo."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.algorithm import Algorithm
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.repair import NoRepair
from pymoo.core.sampling import Sampling
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.sampling.rnd import FloatRandomSampling

from searchkit.problem.operators import crossover, mutate
from searchkit.space import Space
from searchkit.types import Codes, Floats

MATINGS = 5  # attempts to make new children; pymoo's hundred take seconds where none are left


class IntegerSampling(Sampling):  # type: ignore[misc]
    """Uniform over the space."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def _do(self, problem: Any, n_samples: int, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
        return as_points(self.space, self.space.sample(n_samples, random_state))


class IntegerCrossover(Crossover):  # type: ignore[misc]
    """Two complementary children: each option of a parent goes to one of them, the other parent's to the other."""

    def __init__(self, space: Space) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=0.9)
        self.space = space

    def _do(self, problem: Any, X: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
        if self.space.is_finite:
            first = crossover(X[0], X[1], random_state)
            return np.stack([first, X[0] + X[1] - first])
        mothers, fathers = from_points(self.space, X[0]), from_points(self.space, X[1])
        pairs = (mothers, fathers), (fathers, mothers)
        children = [crossover(one, other, random_state, self.space) for one, other in pairs]
        return np.stack([as_points(self.space, codes) for codes in children])


class IntegerMutation(Mutation):  # type: ignore[misc]
    """Changes half a choice per child on average."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def _do(self, problem: Any, X: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
        rate = 0.5 / self.space.n_choices
        return as_points(self.space, mutate(from_points(self.space, X), self.space, random_state, rate, always=False))


def as_points(space: Space, codes: Codes) -> Codes | Floats:
    """``(n, d)`` candidates as pymoo's variables: codes, and of numbers the places on their scales, from 0 to 1."""
    if space.is_finite:
        return codes
    points = codes.astype(np.float64)
    for j, number in space.numbers:
        points[:, j] = number.positions(codes[:, j])
    return points


def from_points(space: Space, points: npt.ArrayLike) -> Codes:
    """``(n, d)`` the codes nearest to pymoo's variables; not canonical."""
    points = np.asarray(points, dtype=np.float64)
    codes: Codes = np.clip(np.rint(points), 0, space.n_options - 1).astype(np.int64)
    for j, number in space.numbers:
        codes[:, j] = number.at(points[:, j])
    return codes


def use_integer_operators(algorithm: Algorithm, space: Space) -> None:
    """Replace, in place, operators that are pymoo's defaults for real numbers."""
    if not isinstance(algorithm, GeneticAlgorithm):
        return
    if type(algorithm.initialization.sampling) is FloatRandomSampling:
        algorithm.initialization.sampling = IntegerSampling(space)
    mating = algorithm.mating
    mating.n_max_iterations = min(mating.n_max_iterations, MATINGS)
    if _is_default(mating, "crossover", SBX):
        mating.crossover = IntegerCrossover(space)
    if _is_default(mating, "mutation", PM):
        mating.mutation = IntegerMutation(space)


def _is_default(mating: Any, name: str, kind: type) -> bool:
    operator: Any = getattr(mating, name, None)
    return type(operator) is kind and isinstance(getattr(operator, "repair", None), NoRepair | None)
