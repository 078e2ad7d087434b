"""Dominance, hypervolume (on moocore) and scalarisation; losses are minimised, NaN rows are never on a front."""

from __future__ import annotations

import numpy as np

from searchkit.types import Bools, Codes, Floats


def non_dominated(losses: Floats) -> Bools:
    """``(n,)`` bool: rows of ``(n, k)`` losses that no other row beats; of equal rows, all stay."""
    import moocore

    keep: Bools = np.asarray(np.isfinite(losses).all(axis=1))
    rows = np.flatnonzero(keep)
    if len(rows):
        keep[rows] = moocore.is_nondominated(losses[rows], keep_weakly=True)
    return keep


def beaten_by(losses: Floats) -> Codes:
    """``(n,)`` how many other rows of ``(n, k)`` losses are better in all columns."""
    counts: Codes = (losses[None] < losses[:, None]).all(axis=2).sum(axis=1)
    return counts


def scalarised(losses: Floats, rng: np.random.Generator) -> Floats:
    """``(n,)`` the augmented Chebyshev scalarisation of ``(n, k)`` losses under random weights (ParEGO).

    Knowles: ParEGO. IEEE Transactions on Evolutionary Computation 10, 2006, eq. (2).
    """
    weighted = rng.dirichlet(np.ones(losses.shape[1])) * (losses - losses.min(axis=0))
    mixed: Floats = weighted.max(axis=1) + 0.05 * weighted.sum(axis=1)
    return mixed


def hypervolume(losses: Floats, reference: Floats) -> float:
    """Volume that ``(n, k)`` losses dominate below the reference point ``(k,)``; higher is better."""
    import moocore

    finite = losses[np.isfinite(losses).all(axis=1)]
    inside = finite[(finite < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0
