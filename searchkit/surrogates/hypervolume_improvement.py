"""The expected hypervolume improvement of candidates, exact for independent objectives, any number of them.

The region below the reference that no point of the front dominates is cut into boxes. In each box the gain of one more
point is a product of one length per objective; so the expected gain is a sum of products of one-dimensional
expectations (Yang, Emmerich, Deutz and Baeck, Efficient computation of expected hypervolume improvement using box
decomposition algorithms, Journal of Global Optimization 75, 2019). Two objectives need one box a front point,
vectorised over candidates; each further objective multiplies that by the size of the front. Losses: lower is better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from searchkit.problem.pareto import non_dominated
from searchkit.types import Codes, Floats

_ROOT = np.sqrt(2 * np.pi)


def expected_improvement(mean: Floats, std: Floats, front: Floats, reference: Floats) -> Floats:
    """``(n,)`` expected gain in hypervolume of candidates that are normal and independent in every objective.

    Args:
        mean, std: ``(n, k)``.
        front: ``(m, k)`` known losses; dominated rows and rows beyond the reference add nothing.
        reference: ``(k,)``.
    """
    inside = front[(front < reference).all(axis=1)]
    inside = np.unique(inside[non_dominated(inside)], axis=0)
    levels = np.concatenate([inside, reference[None]])
    tables = [_expected_below(mean[:, j], std[:, j], levels[:, j]) for j in range(mean.shape[1])]
    return _gain(tables, inside, np.arange(len(inside)))


def _expected_below(mean: Floats, std: Floats, levels: Floats) -> Floats:
    """``(n, m)`` E[max(level - X, 0)] of normal X."""
    below = levels - mean[:, None]
    z = below / std[:, None]
    # expected improvement of a normal variable: (level - mean) Phi(z) + std phi(z)
    found: Floats = below * ndtr(z) + std[:, None] * np.exp(-0.5 * z * z) / _ROOT
    return found


def _gain(tables: Sequence[Floats], front: Floats, rows: Codes) -> Floats:
    """The expected gain over some rows of the front in the first objectives, in which none of them dominates another.

    Args:
        tables: for each of these objectives, E[max(level - X, 0)] ``(n, m + 1)`` below the rows of the front and the
            reference.
    """
    limit = len(front)
    if len(tables) == 1:
        best = rows[np.argmin(front[rows, 0])] if len(rows) else limit
        only: Floats = tables[0][:, best]
        return only
    last = len(tables) - 1
    rows = rows[np.argsort(front[rows, 0 if last == 1 else last], kind="stable")]
    if last == 1:
        width = np.diff(tables[0][:, [*rows, limit]], axis=1, prepend=0.0)
        # Yang et al. 2019, two objectives: a sum over strips of products of one-dimensional expectations
        strips: Floats = (width * tables[1][:, [limit, *rows]]).sum(axis=1)
        return strips
    total = np.zeros(len(tables[0]))
    before = np.zeros(len(total))
    below = rows[:0]
    for row in [*rows, limit]:  # slabs of the last objective: in each, the rows below it are the front of the others
        total += (tables[last][:, row] - before) * _gain(tables[:last], front, below)
        before = tables[last][:, row]
        below = np.append(below, row)
        if row < limit:
            kept = non_dominated(front[below, :last])
            below = below[kept]
            _, first = np.unique(front[below, :last], axis=0, return_index=True)
            below = below[first]
    return total
