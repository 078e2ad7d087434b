"""A part of a space: the same choices with fewer options, such as those that are left after a search."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, UnknownNameError
from searchkit.space.choice import Choice
from searchkit.space.network_space import Builder, NetworkSpace, Node
from searchkit.space.recipe_space import RecipeSpace
from searchkit.space.space import Space
from searchkit.types import Bools, Codes, Floats

if TYPE_CHECKING:
    from torch import nn

LISTED = 20_000  # alternatives of a block up to which equal ones without a form of the whole are found by listing all

Kept = tuple[tuple[int, ...], ...]  # for each choice, the indices of the options that are there, in their order


def narrowed(space: Space, options: Mapping[str, Iterable[object]]) -> Space:
    """The candidates of a space that take some of its options alone.

    Choices keep their names and places, so that a candidate is the same dictionary in both spaces; a choice of which
    one option is left is a decision already taken. The canonical form, counts, nodes and networks are those of the
    whole space.

    Args:
        space: the whole. Of a network space the part is one, too.
        options: choice -> the options that are left, one or more; other choices keep theirs.

    Raises:
        UnknownNameError: there is no such choice.
        SpaceError: there is no such option, or none is left.
    """
    for name in options:
        if name not in space.names:
            raise UnknownNameError.of("choice", name, space.names)
    kept = []
    for choice in space.choices:
        given = options.get(choice.name, choice.options)
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise SpaceError(f"the options left of choice '{choice.name}' are a list of its options, not {given!r:.80}")
        places = sorted({choice.index(option) for option in given})
        if not places:
            raise SpaceError(f"no option is left of choice '{choice.name}': it keeps one or more of its options")
        kept.append(tuple(places))
    return part_of(space, tuple(kept))


def part_of(space: Space, kept: Kept) -> Space:
    """The same, of the indices of options; the space itself where all are kept."""
    if all(len(places) == n for places, n in zip(kept, space.n_options, strict=True)):
        return space
    if isinstance(space, RecipeSpace):
        networks = part_of(space.networks, kept[: space.networks.n_choices])
        assert isinstance(networks, NetworkSpace)
        return RecipeSpace(networks, _choices(space, kept)[networks.n_choices :], space.usual_options)
    if isinstance(space, NarrowerSpace):
        return part_of(space.whole, _within(space.part.kept, kept))
    if isinstance(space, NetworkSpace):
        return NarrowerSpace(space, kept)
    function = space.canonical_function
    if isinstance(function, functools.partial) and isinstance(function.args[0], Part):
        return part_of(function.args[0].whole, _within(function.args[0].kept, kept))
    merged = functools.partial(_merged, Part(space, kept)) if type(space) is not Space or function is not None else None
    return Space(_choices(space, kept), name=space.name, canonical=merged)


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
        for block in self._blocks:
            found = self._replaced(found, rows, block)
        lost = np.flatnonzero((self.whole.canonical(self.to_whole(found)) != rows).any(axis=1))
        for i in lost:
            first = self._all.first
            found[i] = codes[i] if first is None else first[tuple(rows[i].tolist())]
        return found

    def _replaced(self, found: Codes, rows: Codes, block: _Block) -> Codes:
        """Codes with the first alternatives of a block that are equal to those of ``rows``, where they are not."""
        columns = list(block.columns)
        differing = np.flatnonzero((self.whole.canonical(self.to_whole(found)) != rows)[:, columns].any(axis=1))
        if len(differing) and block.first is not None:
            for i in differing:
                equal = block.first.get(tuple(rows[i, columns].tolist()))
                if equal is not None:
                    found[i, columns] = equal
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


class NarrowerSpace(NetworkSpace):
    """A part of a network space; see :func:`narrowed`.

    All that is asked of a network (building, counting, nodes, graph features, canonical form) is asked of the whole.

    Args:
        whole: the space that has all options.
        kept: for each choice, the indices of those that are there.
    """

    def __init__(self, whole: NetworkSpace, kept: Kept) -> None:
        self.whole, self.part = whole, Part(whole, kept)
        super().__init__(
            _choices(whole, kept),
            whole.builder,
            name=whole.name,
            input_shape=whole.input_shape,
            n_classes=whole.output_shape,
            options=whole.options,
            count=None if whole.count is None else _count,
            graph=None if whole.graph_features is None else functools.partial(_graph, self.part),
            recipe=whole.recipe,
            kind=whole.kinds,
        )

    def over(self, whole: NetworkSpace) -> NarrowerSpace:
        """The same part of another space with as many options of each choice.

        Raises:
            SpaceError: it has other numbers of options.
        """
        if not np.array_equal(whole.n_options, self.whole.n_options):
            raise SpaceError(
                f"space '{self.name}' has other options for these data, so that the part that was kept of it cannot be "
                "told; give the whole space"
            )
        return NarrowerSpace(whole, self.part.kept)

    def canonical(self, codes: Codes) -> Codes:
        """See :meth:`Space.canonical`."""
        return self.part.canonical(codes)

    @property
    def takes_shape(self) -> bool:
        """See :class:`NetworkSpace`."""
        return self.whole.takes_shape

    @property
    def nodes(self) -> tuple[Node, ...]:
        """See :class:`NetworkSpace`; their alternatives are those of the options that are there."""
        return self.whole.nodes

    @property
    def teacher(self) -> nn.Module | None:
        """See :class:`NetworkSpace`."""
        return self.whole.teacher

    @property
    def teacher_ms(self) -> float | None:
        """See :class:`NetworkSpace`."""
        return self.whole.teacher_ms

    def fine_tuned(self, code: Codes) -> bool:
        """See :class:`NetworkSpace`."""
        return self.whole.fine_tuned(self.part.to_whole(code))

    @property
    def reference(self) -> Codes:
        """See :class:`NetworkSpace`; the designs that are in the part."""
        codes, inside = self.part.holds(self.whole.reference)
        return codes[inside]

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """See :class:`NetworkSpace`."""
        return self.whole.build(self.part.to_whole(self.check_one(code)))

    def with_precisions(self) -> NetworkSpace:
        """See :class:`NetworkSpace`."""
        return self if self.whole.with_precisions() is self.whole else super().with_precisions()

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> NarrowerSpace:
        """See :class:`NetworkSpace`."""
        return self.over(self.whole.for_data(input_shape, n_classes))

    def with_builder(self, build: Builder) -> NarrowerSpace:
        """See :class:`NetworkSpace`."""
        return self.over(self.whole.with_builder(build))

    def describe(self) -> dict[str, Any]:
        """See :class:`NetworkSpace`: as of the whole, with the options that are there."""
        return self.whole.describe() | {"choices": super().describe()["choices"]}


def whole_of(space: Space) -> Space:
    """The network space of which a space is a part; the space itself where it is none."""
    return space.whole if isinstance(space, NarrowerSpace) else space


def narrowed_as(space: NetworkSpace, described: Mapping[str, Any]) -> NetworkSpace:
    """The part of a space that a record describes, see :meth:`NetworkSpace.describe`; the space where it is no part.

    Args:
        space: without settings of a training.
    """
    recorded = {choice["name"]: choice["options"] for choice in described["choices"]}
    if not set(space.names) <= set(recorded):
        return space
    try:
        found = narrowed(space, {name: recorded[name] for name in space.names})
    except SpaceError:
        return space
    return found if isinstance(found, NetworkSpace) else space


def _choices(space: Space, kept: Kept) -> list[Choice]:
    return [
        Choice(choice.name, [choice.options[place] for place in places], choice.ordered)
        for choice, places in zip(space.choices, kept, strict=True)
    ]


def _within(outer: Kept, inner: Kept) -> Kept:
    """Indices of options of the whole, from those of a part of it."""
    return tuple(tuple(a[place] for place in b) for a, b in zip(outer, inner, strict=True))


def _merged(part: Part, codes: Codes) -> Codes:
    return part.canonical(codes)


def _count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    assert isinstance(space, NarrowerSpace)
    counter = space.whole.count
    assert counter is not None
    return counter(space.whole, space.whole.canonical(space.part.to_whole(codes)))


def _graph(part: Part, codes: Codes) -> Floats:
    assert isinstance(part.whole, NetworkSpace)
    assert part.whole.graph_features is not None
    return part.whole.graph_features(part.whole.canonical(part.to_whole(codes)))
