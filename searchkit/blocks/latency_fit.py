"""The latency of networks from what is known of their blocks: an overhead and factors, fitted to whole networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linprog

from searchkit.blocks.additive import Additive
from searchkit.types import Codes, Floats

FOR_ALL = 8  # networks from which the times of parameters and modules are fitted too
SCALES = (0.5, 2.0)  # of blocks within a network, times what they take alone
PREFERENCE = 1e-4  # for explaining a time by blocks rather than by parameters and modules, where both could


def corrected(
    terms: Mapping[str, Additive], picked: Codes, measured: Floats
) -> tuple[float, dict[str, float], Additive]:
    """Overhead and the factor of each term that networks ``(n, m)`` with latencies ``(n,)`` have, and the sum.

    Args:
        terms: by name: the blocks' own times, their parameters, and others.
    """
    overhead, *fitted = _fitted(np.column_stack([term(picked) for term in terms.values()]), measured)
    factors = dict(zip(terms, fitted, strict=True))
    base = overhead + sum(factors[name] * term.base for name, term in terms.items())
    of_blocks = zip(*(term.tables for term in terms.values()), strict=True)
    summed = tuple(np.asarray(sum(f * table for f, table in zip(fitted, of, strict=True))) for of in of_blocks)
    return overhead, factors, Additive(base, summed)


def _fitted(terms: Floats, measured: Floats) -> list[float]:
    """Overhead and factors of terms ``(n, k)`` with the least sum of absolute relative errors, a linear programme.

    The first term's factor is within :data:`SCALES`, and the second's is not negative. With few networks there are only
    overhead and scale; a term that does not vary is part of the overhead, but for the first, whose factor then is 1.
    """
    n, k = terms.shape
    columns = np.column_stack([np.ones(n), terms])
    sizes = np.maximum(np.abs(columns).mean(axis=0), 1e-12)
    rows = columns / sizes / measured[:, None]
    varied = np.ptp(terms, axis=0) > 0
    bounds: list[tuple[float | None, float | None]] = [(None, None), (SCALES[0] * sizes[1], SCALES[1] * sizes[1])]
    bounds += [(0, None)] + [(None, None)] * (k - 2)
    if not varied[0]:
        bounds[1] = (sizes[1], sizes[1])
    for j in range(2, k + 1):
        if n < FOR_ALL or not varied[j - 1]:
            bounds[j] = (0, 0)
    beside = k - 1  # terms but for the blocks' own times; the size of each one's factor costs a little
    rather = PREFERENCE / float(np.mean(measured))
    costs = np.concatenate([np.zeros(k + 1), np.full(beside, rather), np.ones(n)])
    factors, of_size, slack = np.eye(k + 1)[2:], np.eye(beside), np.eye(n)
    size = np.block([[factors, -of_size, np.zeros((beside, n))], [-factors, -of_size, np.zeros((beside, n))]])
    fits = np.hstack([rows, np.zeros((n, beside)), -slack]), np.hstack([-rows, np.zeros((n, beside)), -slack])
    solved = linprog(
        costs,
        A_ub=np.vstack([*fits, size]),
        b_ub=np.concatenate([np.ones(n), -np.ones(n), np.zeros(2 * beside)]),
        bounds=[*bounds, *[(0, None)] * (beside + n)],
        method="highs",
    )
    found: list[float] = (solved.x[: k + 1] / sizes).tolist()
    return found
