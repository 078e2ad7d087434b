"""First candidates of a mixed space, spread in all projections.

Each is the best of many random ones by the criterion of Joseph, Gul and Ba (Maximum projection designs for computer
experiments, Biometrika 102, 2015): the sum over earlier candidates of one over the product of the squared distances
column by column. So no two candidates have nearly the same value of a number that may be the only one that matters, and
none are driven to the corners as they are where the distance itself is to be large.
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.problem import Problem
from searchkit.surrogates.mixed_kernel import Columns
from searchkit.types import Codes, Floats

DRAWN = 200  # random candidates of which one is chosen


def spread(problem: Problem, columns: Columns, known: Codes, n: int, rng: np.random.Generator) -> Codes:
    """Up to n allowed candidates ``(m, d)``, spread among themselves and the known ones; the middle is the first."""
    space = problem.space
    chosen = known
    for _ in range(n):
        drawn = problem.sample(DRAWN, rng)
        if not len(chosen):
            middle = np.where(columns.category, space.positions(drawn[:1])[0], 0.5)
            codes = space.from_positions(np.nan_to_num(middle, nan=0.5)[None])
            drawn = codes if problem.allowed(codes)[0] else drawn[:1]
        elif len(drawn):
            worth = _crowded(columns, space.positions(drawn), space.positions(chosen))
            drawn = drawn[np.argmin(worth)][None]
        chosen = np.concatenate([chosen, drawn[:1]])
    return chosen[len(known) :]


def _crowded(columns: Columns, new: Floats, known: Floats) -> Floats:
    """``(m,)`` the criterion, lower is better; inactive columns stand in the middle."""
    near = 1.0 / (len(known) + 1)
    total = np.zeros((len(new), len(known)))
    for j, category in enumerate(columns.category):
        a, b = (np.nan_to_num(one[:, j], nan=-1.0 if category else 0.5) for one in (new, known))
        apart = np.abs(a[:, None] - b)
        total += np.log(np.where(apart > 0, 1.0, 0.25) if category else (apart + near) ** 2)
    found: Floats = np.exp(-total - np.min(-total)).sum(axis=1)
    return found
