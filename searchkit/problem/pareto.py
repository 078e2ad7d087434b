"""Dominance and hypervolume, on moocore; losses are minimised and NaN rows are never on a front."""

from __future__ import annotations

import numpy as np

from searchkit.types import Bools, Floats


def non_dominated(losses: Floats) -> Bools:
    """``(n,)`` bool: rows of ``(n, k)`` losses that no other row beats; of equal rows, all stay."""
    import moocore

    keep: Bools = np.asarray(np.isfinite(losses).all(axis=1))
    rows = np.flatnonzero(keep)
    if len(rows):
        keep[rows] = moocore.is_nondominated(losses[rows], keep_weakly=True)
    return keep


def hypervolume(losses: Floats, reference: Floats) -> float:
    """Volume that ``(n, k)`` losses dominate below the reference point ``(k,)``; higher is better."""
    import moocore

    finite = losses[np.isfinite(losses).all(axis=1)]
    inside = finite[(finite < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0
