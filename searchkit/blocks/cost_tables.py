"""Exact counts of parameters and MACs as additive models over blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from searchkit.blocks.additive import Additive, Blocks, blocks_of
from searchkit.costs.counts import space_counts
from searchkit.errors import SearchkitError
from searchkit.space import NetworkSpace, Space, distinct_rows
from searchkit.types import Codes, Floats

CHECKED = 300  # random networks on which the sums are compared with the counts
BASES = 8  # base networks that are tried until the sums are exact
EXACT = 1e-9  # relative error; counts are whole numbers
NAMED = 0.25  # share of the errors that a block must explain to be named in the message


def count_tables(space: NetworkSpace) -> dict[str, Additive]:
    """Exact "params" and "macs" of a space's networks, over :func:`searchkit.blocks.additive.blocks_of` it.

    One block at a time is switched in a base network. In some bases a switch also removes the cost of other
    blocks (the edges of a cell behind a missing one); so bases are tried until the sums are right for random networks.

    Raises:
        SearchkitError: the space builds no networks, or its counts do not add up.
    """
    if not isinstance(space, NetworkSpace):
        raise SearchkitError(f"space '{space.name}' builds no networks whose parameters and MACs could be counted")
    blocks = blocks_of(space)
    codes = different(space, CHECKED, 0)
    picked, counts = blocks.choose(codes), space_counts(space, codes)
    nearest: dict[str, Floats] = {}  # relative errors, of the base with the smallest
    for base in range(min(BASES, max(blocks.sizes))):
        models = _switched_counts(space, blocks, np.array([min(base, size - 1) for size in blocks.sizes]))
        errors = {name: model(picked) / np.maximum(counts[name], 1) - 1 for name, model in models.items()}
        if _most(errors) <= EXACT:
            return models
        if not nearest or _most(errors) < _most(nearest):
            nearest = errors
    name = max(nearest, key=lambda name: float(np.abs(nearest[name]).max()))
    breaks = _breaks(blocks, picked, nearest[name] * counts[name])
    raise SearchkitError(
        f"{name} of space '{space.name}' are no sum over its blocks: the nearest sum is off by up to "
        f"{_most(nearest):.1%} on {len(codes)} random networks"
        + (f", and most with '{breaks}', which changes what other blocks cost" if breaks else "")
    )


def _most(errors: Mapping[str, Floats]) -> float:
    """The largest absolute value of all relative errors."""
    return max(float(np.abs(one).max()) for one in errors.values())


def _switched_counts(space: NetworkSpace, blocks: Blocks, base: Codes) -> dict[str, Additive]:
    """Tables from switching one block at a time in a base network ``(m,)``; the least value of each table is 0."""
    sizes, ends = blocks.sizes, np.cumsum(blocks.sizes)
    rows = np.tile(base, (1 + sum(sizes), 1))
    rows[1 + np.arange(sum(sizes)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(
        [np.arange(size) for size in sizes]
    )
    models = {}
    for name, counted in space_counts(space, space.canonical(blocks.codes(rows))).items():
        tables = np.split(counted[1:] - counted[0], ends[:-1])
        fixed = float(counted[0]) + sum(float(table.min()) for table in tables)
        models[name] = Additive(fixed, tuple(table - table.min() for table in tables))
    return models


def _breaks(blocks: Blocks, picked: Codes, errors: Floats) -> str | None:
    """The block that explains most of the errors' size, by adjusted R^2; None where none explains much."""
    size, n, shares = np.abs(errors), len(errors), []
    for column in picked.T:
        _, group = np.unique(column, return_inverse=True)
        means = np.bincount(group, size) / np.bincount(group)
        degrees = n - len(means)
        within = float(np.sum((size - means[group]) ** 2)) / degrees if degrees else np.inf
        shares.append(1 - within / (float(size.var(ddof=1)) or np.inf))
    return blocks.names[int(np.argmax(shares))] if max(shares) >= NAMED else None


def different(space: Space, n: int, seed: int) -> Codes:
    """``(n, d)`` random candidates, or fewer where the space has no more."""
    return distinct_rows(space.sample(4 * n + 100, np.random.default_rng(seed)))[:n]
