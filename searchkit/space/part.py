"""How codes of a part of a space, which has fewer options, belong to codes of the whole."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from searchkit.space.network_space import NetworkSpace
from searchkit.space.space import Space
from searchkit.types import Bools, Codes

LISTED = 20_000  # alternatives of a block up to which equal ones without a form of the whole are found by listing all

Kept = tuple[tuple[int, ...], ...]  # for each choice, the indices of the options that are there, in their order


@dataclass(frozen=True, eq=False)
class Part:
    """Which part of a space it is, and how codes of both belong together."""

    whole: Space
    kept: Kept

    def to_whole(self, codes: Codes) -> Codes:
        """Codes ``(..., d)`` of the part as codes of the whole, which need not be canonical there."""
        rows = np.empty_like(codes)
        for j, places in enumerate(self.kept):
            rows[..., j] = np.array(places)[codes[..., j]]
        return rows

    def of_whole(self, rows: Codes) -> tuple[Codes, Bools]:
        """Codes ``(n, d)`` of the whole as codes of the part, and which options are there ``(n, d)``; else 0."""
        codes, there = np.zeros_like(rows), np.zeros(rows.shape, dtype=bool)
        for j, places in enumerate(self.kept):
            at = np.minimum(np.searchsorted(places, rows[:, j]), len(places) - 1)
            there[:, j] = np.array(places)[at] == rows[:, j]
            codes[:, j] = np.where(there[:, j], at, 0)
        return codes, there

    def holds(self, rows: Codes) -> tuple[Codes, Bools]:
        """Codes ``(n, d)`` in the part of canonical candidates of the whole, and ``(n,)`` which of them are in it.

        A candidate is in it, too, where the options that it lacks make no difference.
        """
        codes, there = self.of_whole(rows)
        inside: Bools = np.asarray(there.all(axis=1))
        if not inside.all():
            inside = np.asarray((self.whole.canonical(self.to_whole(codes)) == rows).all(axis=1))
        return codes, inside

    def canonical(self, codes: Codes) -> Codes:
        """Representatives ``(n, d)`` of codes of the part.

        That of the whole space where the part has it. Else, its options that are not there are replaced by the first
        ones, where that makes no difference; then, block by block, by the first equal alternative of the part. What is
        left are candidates whose equals differ in several blocks: the first of them, if the part is small enough to be
        listed, and in a large one they may stay apart although they are equal.
        """
        rows = self.whole.canonical(self.to_whole(codes))
        found, there = self.of_whole(rows)
        if there.all():
            return found
        differing = self.whole.canonical(self.to_whole(found)) != rows
        for block in self._blocks if differing.any() else ():
            columns = list(block.columns)
            for i in np.flatnonzero(differing[:, columns].any(axis=1)):
                equal = None if block.first is None else block.first.get(tuple(rows[i, columns].tolist()))
                found[i, columns] = found[i, columns] if equal is None else equal
        still = (self.whole.canonical(self.to_whole(found)) != rows).any(axis=1) if differing.any() else differing[:, 0]
        for i in np.flatnonzero(still):
            first = self._all.first
            found[i] = codes[i] if first is None else first[tuple(rows[i].tolist())]
        return found

    @functools.cached_property
    def _all(self) -> _Block:
        return _Block(self, tuple(range(self.whole.n_choices)))

    @functools.cached_property
    def _blocks(self) -> tuple[_Block, ...]:
        """The columns of each block, between which canonical forms rarely move anything, see :class:`Node`."""
        groups: dict[str, set[str]] = {}
        for node in self.whole.nodes if isinstance(self.whole, NetworkSpace) else ():
            gates = () if node.optional is None else node.optional[:1]
            groups.setdefault(node.block or node.name, set()).update(node.choices, gates)
        places = [tuple(j for j, name in enumerate(self.whole.names) if name in names) for names in groups.values()]
        rest = [j for j in range(self.whole.n_choices) if not any(j in columns for columns in places)]
        places += [(j,) for j in rest]
        return tuple(_Block(self, columns) for columns in places)


@dataclass(frozen=True, eq=False)
class _Block:
    """The columns of a block."""

    part: Part
    columns: tuple[int, ...]

    @functools.cached_property
    def first(self) -> dict[tuple[int, ...], Codes] | None:
        """Canonical codes of the block in the whole -> the first equal codes in the part; None of large ones."""
        sizes = [len(self.part.kept[j]) for j in self.columns]
        if np.prod(sizes, dtype=np.float64) > LISTED:
            return None
        codes = np.zeros((int(np.prod(sizes)), self.part.whole.n_choices), dtype=np.int64)
        codes[:, self.columns] = np.stack(np.unravel_index(np.arange(len(codes)), sizes), axis=1)
        rows = self.part.whole.canonical(self.part.to_whole(codes))[:, self.columns]
        first: dict[tuple[int, ...], Codes] = {}
        for row, code in zip(rows.tolist(), codes[:, self.columns], strict=True):
            first.setdefault(tuple(row), code)
        return first
