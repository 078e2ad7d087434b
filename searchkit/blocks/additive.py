"""Additive models of a space: every block has a value, and a network's is the sum of its blocks'.

MathNAS (Wang et al., NeurIPS 2023, arXiv 2311.04943) and DNA (Li et al., CVPR 2020, arXiv 1911.13053) describe a space
of n^m networks by its m * n blocks. :mod:`searchkit.blocks.exact` and :mod:`searchkit.blocks.solve` search such models.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from searchkit.blocks.scales import on_scale, scale_features
from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace, Node, Parameter, Space, is_number
from searchkit.space.indicators import indicators, width
from searchkit.space.parameters import texts_of
from searchkit.types import Codes, Floats

LARGEST_BLOCK = 100_000  # combinations of one block that are listed


@dataclass(frozen=True)
class Blocks:
    """The blocks of a space: groups of choices that are decided independently of each other, with their alternatives.

    A block is one node of the space, or several that the space puts in one block (the layers of a stage), together with
    the choice that decides which of these exist.

    Attributes:
        names: of the blocks, m of them.
        columns: for each block, the columns of the codes that decide it; together all columns, each once.
        alternatives: for each block, ``(a, c)`` the option indices that those columns may take; canonical, distinct.
        nodes: for each block, the names of its nodes, in depth order.
        taken: for each block, ``(a, q)`` which of its own alternatives every node takes.
        labels: for each block and node, what its alternatives are called; "no block" where a node is left out.
        features: for each block, ``(a, p)`` indicators (0 or 1) of its alternatives: one for each alternative of each
            node, and, where several choices decide a node, one for each option of those; fewer columns where there are
            more than 1024 (:mod:`searchkit.space.indicators`).
        smooth: for each block, ``(a, q)`` where its ordered choices stand (:mod:`searchkit.blocks.scales`), 0 for those
            of nodes that are left out; q is 0 where no choice is ordered.
        ordered: for each block, ``(p,)`` 1 for those columns of ``features`` that ordered choices alone decide, else 0.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    alternatives: tuple[Codes, ...]
    nodes: tuple[tuple[str, ...], ...]
    taken: tuple[Codes, ...]
    labels: tuple[tuple[tuple[str, ...], ...], ...]
    features: tuple[Floats, ...]
    smooth: tuple[Floats, ...]
    ordered: tuple[Floats, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of alternatives of each block."""
        return tuple(len(options) for options in self.alternatives)

    def choose(self, codes: Codes) -> Codes:
        """``(n, m)`` which alternative each block of the canonical codes ``(n, d)`` takes."""
        picked = np.empty((len(codes), len(self.names)), dtype=np.int64)
        for i, (columns, options) in enumerate(zip(self.columns, self.alternatives, strict=True)):
            radix = np.cumprod([1, *(options.max(axis=0)[:0:-1] + 1)])[::-1]
            place = options @ radix
            order = np.argsort(place)
            at = np.searchsorted(place[order], codes[:, columns] @ radix).clip(max=len(order) - 1)
            picked[:, i] = order[at]
            if not (options[picked[:, i]] == codes[:, columns]).all():
                raise SpaceError(f"a candidate takes an alternative that block '{self.names[i]}' does not have")
        return picked

    def codes(self, picked: Codes) -> Codes:
        """The inverse of :meth:`choose`: ``(n, m)`` alternatives to codes ``(n, d)``."""
        codes = np.empty((len(picked), sum(map(len, self.columns))), dtype=np.int64)
        for i, (columns, options) in enumerate(zip(self.columns, self.alternatives, strict=True)):
            codes[:, columns] = options[picked[:, i]]
        return codes

    def encode(self, picked: Codes) -> Floats:
        """``(n, p)`` features of alternatives ``(n, m)``, block after block."""
        return np.concatenate([table[picked[:, i]] for i, table in enumerate(self.features)], axis=1)


def blocks_of(space: Space) -> Blocks:
    """The blocks that a network space names; a choice that belongs to none is a block of its own.

    Raises:
        SpaceError: a block has more alternatives than can be listed, or two blocks share a choice.
    """
    groups: dict[str, list[Node]] = {}
    for node in space.nodes if isinstance(space, NetworkSpace) else ():
        groups.setdefault(node.block or node.name, []).append(node)
    taken = {name for nodes in groups.values() for name in _choices_of(nodes)}
    for name in space.names:
        if name not in taken:
            groups[name] = [Node(name, (name,), (), ())]
    if space.conditions is not None:
        groups = _joined(space, groups)
    listed = [name for nodes in groups.values() for name in _choices_of(nodes)]
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise SpaceError(f"two blocks of space '{space.name}' share the choice '{twice}'; give their nodes one block=")
    found = [_listed(space, name, nodes) for name, nodes in groups.items() if _choices_of(nodes)]
    names = tuple(name for name, nodes in groups.items() if _choices_of(nodes))
    return Blocks(names, *zip(*found, strict=True))


def _joined(space: Space, groups: Mapping[str, list[Node]]) -> dict[str, list[Node]]:
    """The groups of nodes, those in one that conditions tie to each other: a parameter decides whether another is."""
    assert space.conditions is not None
    of = {name: group for group, nodes in groups.items() for name in _choices_of(nodes)}
    root = {group: group for group in groups}
    for column in space.conditions.columns:
        for parent in space.conditions.parents(column):
            ends = root[of[space.names[column]]], root[of[space.names[parent]]]
            root = {group: ends[1] if top == ends[0] else top for group, top in root.items()}
    together: dict[str, list[Node]] = {}
    for group, nodes in groups.items():
        together.setdefault(root[group], []).extend(nodes)
    tied = [key for key, nodes in together.items() if len(nodes) > len(groups[key])]
    return {
        key: [replace(node, block=node.block or key) for node in nodes] if key in tied else nodes
        for key, nodes in together.items()
    }


def blocks_if_listed(space: Space) -> Blocks | None:
    """The same; None where :func:`blocks_of` raises, such as for a block of too many alternatives."""
    try:
        return blocks_of(space)
    except SpaceError:
        return None


def _choices_of(nodes: Sequence[Node]) -> list[str]:
    """The choices that decide a block, each once."""
    gates = [node.optional[0] for node in nodes if node.optional]
    return list(dict.fromkeys([name for node in nodes for name in node.choices] + gates))


def _listed(space: Space, name: str, nodes: Sequence[Node]) -> tuple[Any, ...]:
    """The fields of :class:`Blocks` for one block, in order."""
    columns = tuple(space.names.index(choice) for choice in _choices_of(nodes))
    n = math.prod(int(space.n_options[j]) for j in columns)
    numbers = [space.choices[j] for j in columns if is_number(space.choices[j])]
    if n > LARGEST_BLOCK and numbers:
        raise SpaceError(
            f"block values need alternatives that can be listed, and '{numbers[0].name}' of space '{space.name}' is a "
            "number of a range: leave the method out, or make it a Choice of some values"
        )
    if n > LARGEST_BLOCK:
        raise SpaceError(
            f"block '{name}' of space '{space.name}' has {n:,} alternatives; {LARGEST_BLOCK:,} can be listed"
        )
    options = np.array(list(itertools.product(*(range(int(space.n_options[j])) for j in columns))), dtype=np.int64)
    if any(node.block or node.optional for node in nodes):  # the canonical map acts within the block
        codes = np.zeros((len(options), space.n_choices), dtype=np.int64)
        codes[:, columns] = options
        options = np.unique(space.canonical(codes)[:, columns], axis=0)
    took, labels, features, ordered = [], [], [], []
    for node in nodes:
        own = [columns.index(space.names.index(choice)) for choice in node.choices]
        sizes = [int(space.n_options[columns[j]]) for j in own]
        choices = [space.choices[columns[j]] for j in own]
        which = np.ravel_multi_index(tuple(options[:, own].T), tuple(sizes))
        texts = [texts_of(choice, range(size)) for choice, size in zip(choices, sizes, strict=True)]
        called = [" ".join(row) for row in itertools.product(*texts)]
        parts = [indicators(which, math.prod(sizes))]
        ordered.append(np.full(width(math.prod(sizes)), bool(choices) and all(map(on_scale, choices))))
        if len(own) > 1:
            parts += [indicators(options[:, j], size) for j, size in zip(own, sizes, strict=True)]
            ordered += [np.full(width(len(choice.options)), on_scale(choice)) for choice in choices]
        if node.optional is not None:
            gate = columns.index(space.names.index(node.optional[0]))
            there = np.array([o >= node.optional[1] for o in space.choices[columns[gate]].options])[options[:, gate]]
            which = np.where(there, which, math.prod(sizes))
            called.append("no block")
            parts = [part * there[:, None] for part in parts] + [~there[:, None]]
            ordered.append(np.array([False]))
        took.append(which)
        labels.append(tuple(called))
        features += parts
    stacked = np.concatenate(features, axis=1).astype(float)
    smooth = _smooth([space.choices[j] for j in columns], options, nodes, np.column_stack(took))
    flags = np.concatenate(ordered).astype(float)
    names = tuple(node.name for node in nodes)
    return columns, options, names, np.column_stack(took), tuple(labels), stacked, smooth, flags


def _smooth(choices: Sequence[Parameter], options: Codes, nodes: Sequence[Node], took: Codes) -> Floats:
    """``(a, q)`` places of the ordered choices of a block, 0 where the nodes they decide are all left out."""
    parts = [np.empty((len(options), 0))]
    for j, choice in enumerate(choices):
        if not on_scale(choice):
            continue
        gate = any(node.optional and node.optional[0] == choice.name for node in nodes)
        there = np.full(len(options), gate)
        for i, node in enumerate(nodes):
            if choice.name in node.choices:
                left_out = math.prod(len(one.options) for one in choices if one.name in node.choices)  # see _listed
                there |= took[:, i] < left_out
        parts.append(scale_features(len(choice.options))[options[:, j]] * there[:, None])
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Additive:
    """``value = base + sum of the tables at the alternatives taken``.

    Attributes:
        tables: for each block, ``(a,)`` the value of every alternative.
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


def read_additive(
    tables: Sequence[Sequence[float] | Floats], base: float = 0.0, *, blocks: Blocks | None = None
) -> Additive:
    """A model from block tables, such as published ones.

    Raises:
        SpaceError: a value is not finite, or the shape is not that of the blocks.
    """
    read = tuple(np.asarray(table, dtype=np.float64) for table in tables)
    for i, table in enumerate(read):
        if table.ndim != 1 or not len(table):
            raise SpaceError(f"table {i} has shape {table.shape}; a block's table is one value per alternative")
        if not np.isfinite(table).all():
            raise SpaceError(f"table {i} holds {int((~np.isfinite(table)).sum())} values that are NaN or infinite")
    if blocks is not None and tuple(map(len, read)) != blocks.sizes:
        raise SpaceError(f"the tables have {tuple(map(len, read))} values, but the blocks {blocks.sizes} alternatives")
    return Additive(float(base), read)
