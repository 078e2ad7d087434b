"""Block values by switching one block at a time in context networks, as MathNAS does (arXiv 2311.04943, section 3).

value of alternative j of block i = mean over contexts of (context with j - context) * (MACs of it / mean MACs)^e
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from searchkit.blocks.additive import Additive, Blocks
from searchkit.errors import SearchkitError, SpaceError, plural
from searchkit.space import Space
from searchkit.types import Codes, Floats

POOL = 200  # random networks among which contexts are looked for


def switched_codes(
    space: Space, blocks: Blocks, contexts: int, seed: int, macs: Callable[[Codes], Floats] | None = None
) -> Codes:
    """``(n, d)`` the networks to evaluate, not canonical: each context with each alternative of each block.

    Contexts are those of the random networks whose MACs are nearest to the mean, where MACs are known.
    """
    if contexts < 1:
        raise SearchkitError(f"contexts is a number of networks of at least 1, not {contexts!r}")
    pool = np.unique(space.sample(POOL, np.random.default_rng(seed)), axis=0)
    pool = pool[np.random.default_rng(seed).permutation(len(pool))]
    if macs is not None:
        counts = macs(pool)
        pool = pool[np.argsort(np.abs(counts - counts.mean()), kind="stable")]
    picked = blocks.choose(pool[:contexts])
    rows = [picked]
    for i, size in enumerate(blocks.sizes):
        for alternative in range(size):
            other = picked.copy()
            other[:, i] = alternative
            rows.append(other)
    return np.unique(blocks.codes(np.concatenate(rows)), axis=0)  # not canonical: the pairs must differ in one block


def switched(blocks: Blocks, codes: Codes, values: Floats) -> Additive:
    """Block values from evaluated networks: mean differences between those that differ in one block only.

    Args:
        codes, values: ``(n, d)`` and ``(n,)``, as :func:`switched_codes` asks for; all pairs that differ in one block
            are used.

    Raises:
        SpaceError: values that are not finite or not one a network, or an alternative that is in no such pair.
    """
    if values.shape != (len(codes),) or not np.isfinite(values).all():
        raise SpaceError(
            f"{plural(len(codes), 'network was', 'networks were')} to be evaluated and came back with shape "
            f"{values.shape} or with NaN"
        )
    picked = blocks.choose(codes)
    tables = []
    for i, size in enumerate(blocks.sizes):
        table = _differences(picked, i, size, values)
        if not np.isfinite(table).all():
            raise SpaceError(
                f"no two networks that differ in block '{blocks.names[i]}' alone show {int(np.isnan(table).sum())} of "
                "its alternatives; evaluate what switched_codes() asks for"
            )
        tables.append(table)
    model = Additive(0.0, tuple(tables))
    return Additive(float(np.mean(values - model(picked))), model.tables)


def _differences(picked: Codes, block: int, size: int, values: Floats) -> Floats:
    """``(size,)`` values of one block's alternatives, by least squares on the groups that share all other blocks."""
    _, group = np.unique(np.delete(picked, block, axis=1), axis=0, return_inverse=True)
    group = group.ravel()
    left, right = np.zeros((size, size)), np.zeros(size)
    seen = np.zeros(size, dtype=bool)
    for g in np.flatnonzero(np.bincount(group) > 1):
        rows = np.flatnonzero(group == g)
        own = (picked[rows, block][:, None] == np.arange(size)).astype(float)
        own -= own.mean(axis=0)
        left += own.T @ own
        right += own.T @ (values[rows] - values[rows].mean())  # Wang et al. (MathNAS), section 3: value differences
        seen[picked[rows, block]] = True
    table = np.linalg.lstsq(left, right, rcond=None)[0] if seen.any() else np.zeros(size)
    return np.where(seen, table, np.nan) if size > 1 else np.zeros(1)
