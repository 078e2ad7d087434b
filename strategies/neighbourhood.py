"""What a search does when its model has brought nothing for a while: it looks around the best, whatever is expected.

A model that is wrong about one option is never told so while it keeps away from it: searches ended in a mode one change
away from the optimum. A neighbour of the best is a test of one option there, and the rarer it was tried, the more it
tells.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct
from searchkit.types import Bools, Codes

NEIGHBOURS = 2000  # most neighbours of a candidate that are considered; of more, a random sample


def since_improvement(told: Observations) -> int:
    """How many candidates were told since the last one that improved the best, or the front; 0 where none is good."""
    good = np.flatnonzero(_best(told))
    if not len(good):
        return 0
    last = good[0] if told.losses.shape[1] == 1 else good[-1]  # of equal ones, the first improved
    return len(told) - 1 - int(last)


def neighbour_of_the_best(
    problem: Problem, told: Observations, seen: set[bytes], hopeful: Callable[[Codes], Codes], rng: np.random.Generator
) -> Codes:
    """``(1, d)`` a new neighbour of the best, or of one of the front; no rows where there is none.

    Its chance is the inverse of how many candidates, and one more, were told that have its changed options; and of the
    number of steps that an ordered choice is changed by.

    Args:
        seen: keys of candidates that are not proposed.
        hopeful: leaves those that are not likely to fail, and that may improve on the best.
    """
    good = np.flatnonzero(_best(told))
    ordered = np.array([choice.ordered for choice in problem.space.choices])
    for row in rng.permutation(good):
        best = told.codes[row]
        near = distinct(problem, problem.space.neighbours(best, NEIGHBOURS, rng), seen)
        near = hopeful(near[problem.allowed(near)] if len(near) else near)
        if len(near):
            pairs = zip(near, near != best, strict=True)
            tried = np.array([(told.codes[:, new] == code[new]).all(axis=1).sum() for code, new in pairs])
            steps = np.abs(near - best)[:, ordered].sum(axis=1)
            chance = 1 / ((1.0 + tried) * np.maximum(steps, 1))
            return near[[int(rng.choice(len(near), p=chance / chance.sum()))]]
    return told.codes[:0]


def _best(told: Observations) -> Bools:
    """``(n,)`` which are not beaten."""
    return non_dominated(np.where(told.feasible[:, None], told.losses, np.nan))
