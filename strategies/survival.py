"""Non-domination rank and crowding distance (Deb et al., IEEE TEC 6(2), 2002): selection of survivors and of parents.

With three objectives or more, both are pymoo's. With one or two, crowding distances of all fronts are computed at once
from sorted columns, bit for bit equal to pymoo's loop over fronts, which took most of a search's time.
"""

from __future__ import annotations

import moocore
import numpy as np
import numpy.typing as npt
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from searchkit.problem.observations import Observations
from searchkit.types import Floats

Rows = npt.NDArray[np.int64]

_sort = NonDominatedSorting()
_crowding = get_crowding_function("cd")


def survive(merged: Observations, n: int) -> tuple[Rows, Rows]:
    """Rows of the n best, best first, and the place of each: by front, then by crowding; equal places tie.

    Feasible candidates come first (Deb's rules). The others follow by their summed violations, and failed ones last;
    neither gets an invented loss.
    """
    feasible = merged.feasible
    if feasible.all():
        return best(merged.losses, n)
    good, rest = np.flatnonzero(feasible), np.flatnonzero(~feasible)
    first, places = best(merged.losses[good], n)
    left = n - len(first)
    if left <= 0:
        return good[first], places
    hardship = np.nan_to_num(merged.violations[rest], nan=np.inf).sum(axis=1)
    hardship[merged.failed[rest]] = np.inf
    order = np.argsort(hardship, kind="stable")[:left]
    last = len(first) + np.unique(hardship[order], return_inverse=True)[1]
    return np.concatenate([good[first], rest[order]]), np.concatenate([places, last])


def best(losses: Floats, n: int) -> tuple[Rows, Rows]:
    """Rows of the n best of ``(m, k)`` finite losses, best first, and their places."""
    if not len(losses):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ranks, crowding = ranked(losses, n)
    order = np.lexsort((-crowding, ranks))[:n]
    ranks, crowding = ranks[order], crowding[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ranks[1:] != ranks[:-1]) | (crowding[1:] != crowding[:-1])
    places: Rows = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return order, places


def ranked(losses: Floats, n: int | None = None) -> tuple[Rows, Floats]:
    """``(m,)`` front of each row, 0 is the best, and its crowding distance there.

    Fronts beyond those that hold the first n rows get a crowding distance of 0, which is not used.
    """
    m, k = losses.shape
    ranks: Rows
    crowding: Floats = np.zeros(m)
    if k > 2:
        ranks = np.full(m, m, dtype=np.int64)
        for i, front in enumerate(_sort.do(losses, n_stop_if_ranked=n)):
            ranks[front], crowding[front] = i, _crowding.do(losses[front])
        return ranks, crowding
    ranks = (
        np.unique(losses, return_inverse=True)[1].ravel() if k == 1 else moocore.pareto_rank(losses).astype(np.int64)
    )
    sizes = np.bincount(ranks)
    last = len(sizes) if n is None else int(np.searchsorted(np.cumsum(sizes), n))
    rows = np.flatnonzero(ranks <= last)
    crowding[rows] = _crowded(losses[rows], ranks[rows], sizes[: last + 1])
    return ranks, crowding


def _crowded(losses: Floats, ranks: Rows, sizes: Rows) -> Floats:
    """Crowding distances of all rows, each within its front; ``sizes`` are those of the fronts."""
    ends = np.cumsum(sizes)
    starts = ends - sizes
    total: Floats = np.zeros(len(losses))
    with np.errstate(over="ignore", invalid="ignore"):
        for column in losses.T:
            order = np.lexsort((column, ranks))
            values = column[order]
            spread = values[ends - 1] - values[starts]
            varies = (spread > 0) & (spread < np.inf)
            spread[~varies] = np.inf  # as in pymoo, a constant column adds no distance
            edge = np.where(varies, np.inf, 0.0)
            gaps = values[1:] - values[:-1]
            norm = np.repeat(spread, sizes)
            before, after = np.empty(len(values)), np.empty(len(values))
            np.divide(gaps, norm[1:], out=before[1:])
            np.divide(gaps, norm[:-1], out=after[:-1])
            before[starts] = after[ends - 1] = edge
            gained = before + after  # Deb et al., section III-B: the crowding distance in one objective
            total[order] += gained if varies.all() else np.nan_to_num(gained, nan=0.0, posinf=np.inf)
        total /= losses.shape[1]
    total[sizes[ranks] <= 2] = np.inf
    return total
