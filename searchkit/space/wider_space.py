"""A network space with further choices, which decide something else about its networks."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from searchkit.space.network_space import Builder, NetworkSpace
from searchkit.space.node import Node
from searchkit.space.parameters import Parameter
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from torch import nn


class WiderSpace(NetworkSpace):
    """A network space with further choices.

    The choices of the networks come first, so that the first columns of a code are a code of the network space. All
    that is asked of a network (building, counting, nodes, graph features, canonical form) is asked of that space.

    Args:
        networks: the space of the networks.
        further: the other choices, one or more.
    """

    def __init__(self, networks: NetworkSpace, further: Sequence[Parameter]) -> None:
        super().__init__(
            (*networks.choices, *further),
            networks.builder,
            name=networks.name,
            canonical=networks.canonical_function,
            input_shape=networks.input_shape,
            n_classes=networks.output_shape,
            options=networks.options,
            count=None if networks.count is None else _count,
            graph=None if networks.graph_features is None else functools.partial(_graph, networks),
            recipe=networks.recipe,
            times=None if networks.times is None else functools.partial(_times, networks),
            ways=networks.ways,
            kind=networks.kinds,
        )
        self.networks, self.further = networks, tuple(further)

    def over(self, networks: NetworkSpace) -> Self:
        """The same further choices over another space of networks with the same choices."""
        raise NotImplementedError

    @property
    def usual(self) -> Codes:
        """``(k,)`` codes of the further choices where nothing else is said."""
        return np.zeros(len(self.further), dtype=np.int64)

    def of_networks(self, codes: Codes) -> Codes:
        """``(n, d)`` codes, or one ``(d,)``, without the columns of the further choices."""
        part: Codes = codes[..., : self.networks.n_choices]
        return part

    def chosen(self, code: Codes) -> dict[str, object]:
        """The options of the further choices that a candidate ``(d,)`` has, by name."""
        first = self.networks.n_choices
        exists = self.active(code[None])[0, first:]
        triples = zip(self.further, code[first:], exists, strict=True)
        return {choice.name: choice.option(int(i)) for choice, i, on in triples if on}

    def canonical(self, codes: Codes) -> Codes:
        """See :meth:`Space.canonical`; of the networks' columns, the others are as they are."""
        rows = self.networks.canonical(self.of_networks(codes))
        both = np.concatenate([rows, codes[:, self.networks.n_choices :]], axis=1)
        return both if self.conditions is None else self.conditions.canonical(both)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """See :class:`NetworkSpace`; the further choices have no nodes."""
        return self.networks.nodes

    @property
    def teacher(self) -> nn.Module | None:
        """See :class:`NetworkSpace`."""
        return self.networks.teacher

    @property
    def teacher_ms(self) -> float | None:
        """See :class:`NetworkSpace`."""
        return self.networks.teacher_ms

    def fine_tuned(self, code: Codes) -> bool:
        """See :class:`NetworkSpace`."""
        return self.networks.fine_tuned(self.of_networks(code))

    @property
    def reference(self) -> Codes:
        """See :class:`NetworkSpace`; each design with the usual further choices."""
        rows = self.networks.reference
        return np.concatenate([rows, np.tile(self.usual, (len(rows), 1))], axis=1)

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """See :class:`NetworkSpace`: the network that the choices of the networks say."""
        return self.networks.build(self.of_networks(self.check_one(code)))

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> Self:
        """See :class:`NetworkSpace`."""
        return self.over(self.networks.for_data(input_shape, n_classes))

    def with_builder(self, build: Builder) -> Self:
        """See :class:`NetworkSpace`."""
        return self.over(self.networks.with_builder(build))

    def describe(self) -> dict[str, Any]:
        """See :class:`NetworkSpace`."""
        return self.networks.describe() | {"choices": super().describe()["choices"]}


def _count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    assert isinstance(space, WiderSpace)
    counter = space.networks.count
    assert counter is not None
    return counter(space.networks, space.of_networks(codes))


def _times(networks: NetworkSpace, codes: Codes) -> Floats:
    assert networks.times is not None
    return networks.times(codes[:, : networks.n_choices])


def _graph(networks: NetworkSpace, codes: Codes) -> Floats:
    assert networks.graph_features is not None
    return networks.graph_features(codes[:, : networks.n_choices])
