"""The latency of networks from what is known of their blocks: an overhead and factors, fitted to whole networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from searchkit.blocks.additive import Additive
from searchkit.types import Codes, Floats

FOR_ALL = 8  # networks from which the times of parameters and modules are fitted too
SCALES = (0.5, 2.0)  # of blocks within a network, times what they take alone
PREFERENCE = 1e-4  # for explaining a time by blocks rather than by parameters and modules, where both could

Factors = tuple[float, float, float, float]  # overhead, scale, ms of a million parameters, ms of a module


def corrected(terms: Sequence[Additive], picked: Codes, measured: Floats) -> tuple[Factors, Additive]:
    """The factors of the terms that networks ``(n, m)`` with latencies ``(n,)`` have, and the sum over blocks."""
    overhead, *factors = _fitted(np.column_stack([term(picked) for term in terms]), measured)
    base = overhead + sum(factor * term.base for factor, term in zip(factors, terms, strict=True))
    tables = zip(*(term.tables for term in terms), strict=True)
    summed = tuple(
        np.asarray(sum(f * table for f, table in zip(factors, of_block, strict=True))) for of_block in tables
    )
    return (overhead, factors[0], factors[1], factors[2]), Additive(base, summed)


def _fitted(terms: Floats, measured: Floats) -> list[float]:
    """Overhead and factors of terms ``(n, 3)`` with the least sum of absolute relative errors, a linear programme.

    The time of a parameter is not negative, and the scale is within :data:`SCALES`. With few networks there are only
    overhead and scale; a term that does not vary is part of the overhead, but for the scale, which then is 1.
    """
    n = len(measured)
    columns = np.column_stack([np.ones(n), terms])
    sizes = np.maximum(np.abs(columns).mean(axis=0), 1e-12)
    rows = columns / sizes / measured[:, None]
    varied = np.ptp(terms, axis=0) > 0
    bounds: list[tuple[float | None, float | None]] = [
        (None, None),
        (SCALES[0] * sizes[1], SCALES[1] * sizes[1]),
        (0, None),
        (None, None),
    ]
    if not varied[0]:
        bounds[1] = (sizes[1], sizes[1])
    for k in (2, 3):
        if n < FOR_ALL or not varied[k - 1]:
            bounds[k] = (0, 0)
    rather = PREFERENCE / float(np.mean(measured))
    costs = np.concatenate([[0.0, 0.0, rather, 0.0, rather], np.ones(n)])
    size = np.zeros((2, 5 + n))
    size[:, 3], size[:, 4] = [1.0, -1.0], -1.0  # |ms of a module| is at most the fifth variable
    slack = np.eye(n)
    fits = np.column_stack([rows, np.zeros(n), -slack]), np.column_stack([-rows, np.zeros(n), -slack])
    solved = linprog(
        costs,
        A_ub=np.vstack([*fits, size]),
        b_ub=np.concatenate([np.ones(n), -np.ones(n), np.zeros(2)]),
        bounds=[*bounds, (0, None), *[(0, None)] * n],
        method="highs",
    )
    factors: list[float] = (solved.x[:4] / sizes).tolist()
    return factors
