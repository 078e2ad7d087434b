"""Additive models of a space: every block has a value, and a network's is the sum of its blocks'.

MathNAS (Qinsi et al., NeurIPS 2023, arXiv 2311.04943) and DNA (Li et al., CVPR 2020, arXiv 1911.13053) know a space of
n^m networks through its m * n blocks. What such a model says of the whole space is found in :mod:`searchkit.exact`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.errors import SpaceError
from searchkit.space import Codes, Floats, NetworkSpace, Space

LARGEST_NODE = 100_000  # alternatives of one node


@dataclass(frozen=True)
class Blocks:
    """The block nodes of a space, and the alternatives of each.

    Attributes:
        names: of the nodes, m of them.
        columns: for each node, the columns of the codes that decide it; together all columns, each once.
        alternatives: for each node, ``(a, c)`` the option indices that those columns may take.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    alternatives: tuple[Codes, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of alternatives of each node."""
        return tuple(len(options) for options in self.alternatives)

    def choose(self, codes: Codes) -> Codes:
        """``(n, m)`` which alternative each node of the codes ``(n, d)`` takes."""
        picked = np.empty((len(codes), len(self.names)), dtype=np.int64)
        for i, (columns, options) in enumerate(zip(self.columns, self.alternatives, strict=True)):
            radix = np.cumprod([1, *(options.max(axis=0)[:0:-1] + 1)])[::-1]
            place = options @ radix
            order = np.argsort(place)
            at = np.searchsorted(place[order], codes[:, columns] @ radix).clip(max=len(order) - 1)
            picked[:, i] = order[at]
            if not (options[picked[:, i]] == codes[:, columns]).all():
                raise SpaceError(f"a candidate takes an alternative that node '{self.names[i]}' does not have")
        return picked

    def codes(self, picked: Codes) -> Codes:
        """The way back: ``(n, m)`` alternatives to codes ``(n, d)``."""
        codes = np.empty((len(picked), sum(map(len, self.columns))), dtype=np.int64)
        for i, (columns, options) in enumerate(zip(self.columns, self.alternatives, strict=True)):
            codes[:, columns] = options[picked[:, i]]
        return codes


def blocks_of(space: Space) -> Blocks:
    """The block nodes that a network space names; a choice that belongs to none is a node of its own.

    Raises:
        SpaceError: a node has more alternatives than can be listed, or two nodes share a choice.
    """
    nodes = space.nodes if isinstance(space, NetworkSpace) else ()
    named = [(node.name, tuple(space.names.index(choice) for choice in node.choices)) for node in nodes]
    taken = [column for _, columns in named for column in columns]
    if len(set(taken)) < len(taken):
        raise SpaceError(f"two nodes of space '{space.name}' share a choice; a block belongs to one node")
    named += [(space.names[j], (j,)) for j in range(space.n_choices) if j not in taken]
    named = [(name, columns) for name, columns in named if columns]
    alternatives = []
    for name, columns in named:
        n = int(np.prod([int(space.n_options[j]) for j in columns]))
        if n > LARGEST_NODE:
            raise SpaceError(
                f"node '{name}' of space '{space.name}' has {n:,} alternatives; {LARGEST_NODE:,} can be listed"
            )
        options = np.array(list(itertools.product(*(range(int(space.n_options[j])) for j in columns))), dtype=np.int64)
        alternatives.append(options)
    return Blocks(tuple(name for name, _ in named), tuple(columns for _, columns in named), tuple(alternatives))


@dataclass(frozen=True)
class Additive:
    """``value = base + sum of the tables at the alternatives taken``.

    Attributes:
        tables: for each node, ``(a,)`` the value of every alternative.
    """

    base: float
    tables: tuple[Floats, ...]

    def mixed(self, others: Sequence[Additive], weights: Floats) -> Additive:
        """The weighted sum of this model and others, again additive."""
        models = (self, *others)
        tables = [
            np.asarray(sum(w * model.tables[i] for w, model in zip(weights, models, strict=True)))
            for i in range(len(self.tables))
        ]
        return Additive(float(sum(w * m.base for w, m in zip(weights, models, strict=True))), tuple(tables))

    def __call__(self, picked: Codes) -> Floats:
        """``(n,)`` values of alternatives ``(n, m)``; see :meth:`Blocks.choose`."""
        total = np.full(len(picked), self.base)
        for i, table in enumerate(self.tables):
            total += table[picked[:, i]]
        return total


def read_additive(tables: Sequence[Sequence[float]], base: float = 0.0, *, blocks: Blocks | None = None) -> Additive:
    """A model from block tables, such as published ones.

    Raises:
        SpaceError: a value is not finite, or the shape is not that of the nodes.
    """
    read = tuple(np.asarray(table, dtype=np.float64) for table in tables)
    for i, table in enumerate(read):
        if table.ndim != 1 or not len(table):
            raise SpaceError(f"table {i} has shape {table.shape}; a node's table is one value per alternative")
        if not np.isfinite(table).all():
            raise SpaceError(f"table {i} holds {int((~np.isfinite(table)).sum())} values that are NaN or infinite")
    if blocks is not None and tuple(map(len, read)) != blocks.sizes:
        raise SpaceError(f"the tables have {tuple(map(len, read))} values, but the nodes {blocks.sizes} alternatives")
    return Additive(float(base), read)
