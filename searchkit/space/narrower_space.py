"""A part of a space: the same choices with fewer options, such as those that are left after a search."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, UnknownNameError
from searchkit.space.choice import Choice
from searchkit.space.network_space import Builder, NetworkSpace
from searchkit.space.node import Node
from searchkit.space.part import Kept, Part
from searchkit.space.recipe_space import RecipeSpace
from searchkit.space.space import Space
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from torch import nn


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
    if not space.is_finite:
        raise SpaceError(
            f"space '{space.name}' has numbers or conditions, and only a space of choices can be narrowed; make a "
            "Space of the ranges that are left"
        )
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
            times=None if whole.times is None else functools.partial(_times, self.part),
            ways=whole.ways,
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
    recorded = {choice["name"]: choice["options"] for choice in described["choices"] if "options" in choice}
    if not set(space.names) <= set(recorded):
        return space
    try:
        found = narrowed(space, {name: recorded[name] for name in space.names})
    except SpaceError:
        return space
    return found if isinstance(found, NetworkSpace) else space


def _choices(space: Space, kept: Kept) -> list[Choice]:
    return [
        Choice(
            choice.name,
            [choice.options[place] for place in places],
            choice.ordered,
            None if choice.roles is None else [choice.roles[place] for place in places],
        )
        for choice, places in zip(_all_choices(space), kept, strict=True)
    ]


def _all_choices(space: Space) -> list[Choice]:
    """The parameters of a space that has choices alone."""
    return [choice for choice in space.choices if isinstance(choice, Choice)]


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


def _times(part: Part, codes: Codes) -> Floats:
    assert isinstance(part.whole, NetworkSpace)
    assert part.whole.times is not None
    return part.whole.times(part.to_whole(codes))
