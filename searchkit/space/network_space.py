"""Spaces whose candidates are networks."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, check_functions
from searchkit.random_state import untouched
from searchkit.space.inputs import (
    Kind,
    as_output_shape,
    as_shape,
    described_shape,
    kind_of,
    read_kinds,
    takes_output_shape,
)
from searchkit.space.node import Node, NodesOf, checked_nodes, read_nodes
from searchkit.space.parameters import Parameter
from searchkit.space.rows import distinct_rows
from searchkit.space.space import Space
from searchkit.surroundings import usable
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from torch import Tensor, nn


Builder = Callable[..., "nn.Module"]
Counter = Callable[["NetworkSpace", Codes], Mapping[str, Floats]]


class NetworkSpace(Space):
    """A space whose candidates are torch networks.

    Args:
        choices, name, canonical: as for :class:`Space`.
        build: ``build(choices, input_shape, output_shape) -> nn.Module``; ``choices`` is the dictionary of
            options, ``input_shape`` is ``(channels, height, width)`` of the images, or the shape of what ``kind`` says,
            and ``output_shape`` is ``(classes,)``, ``(quantities,)``, or ``(classes or quantities, height, width)``
            where each pixel has its own. The network returns ``(batch, *output_shape)``. With a third argument of
            another name, such as ``n_classes``, it gets the first number alone, and is for outputs of examples, not of
            pixels. A module-level function where candidates are trained in other processes.
        input_shape, n_classes: of the data. ``searchkit.run`` sets them from its data. The input_shape of a space for
            tables is ``(features,)``, of any number; n_classes is 1 in regression, or an output_shape.
        options: arguments that the space was made with; recorded, to tell two spaces of one name apart.
        count: optional ``count(space, codes) -> {"params": (n,), "macs": (n,)}``, exact and vectorised. Without it,
            every candidate is built on the meta device and counted, some 20 ms each.
        nodes: optional ``nodes(space) -> tuple[Node, ...]`` for block-wise methods and shared weights; or these nodes
            themselves, whose shapes are then those of your data.
        graph: optional ``codes (n, d) -> (n, g)``, features of the networks' graph for surrogate models.
        reference: optional ``reference(space) -> codes (s, d)``, designs to begin with, the most useful first: what
            someone who knows the field would train before any search. Valid and canonical, as ``space.encode`` and
            ``space.check`` return them; checked when :attr:`reference` is read. No part of what identifies the space.
        times: optional ``codes (n, d) -> (n, d)``, for choices with roles: how many times what each decides is in the
            network. ``ways``: names of the choices on each way from input to output. Both identify nothing.
        kind: what the space takes: "images", "table", "tokens" or "signals", or several of them, between which
            :meth:`for_data` changes. None: by the input_shape: three axes are images, two are 1-D signals ``(channels,
            length)``, one is a table, and a :class:`searchkit.space.TokenShape` is of tokens.
        recipe: optional settings of the training that suit these networks better than the usual ones, such as
            ``{"optimiser": "adamw", "lr": 0.003}``; see :class:`searchkit.training.recipe.Recipe`, without epochs and
            steps. Those that the user gives come before them.
    """

    _no_identity = ("times", "ways")  # for searchkit.runtime.fingerprint

    def __init__(
        self,
        choices: Sequence[Parameter],
        build: Builder,
        *,
        name: str = "custom",
        canonical: Callable[[Codes], Codes] | None = None,
        input_shape: tuple[int, ...] = (3, 32, 32),
        n_classes: int | Sequence[int] = 10,
        options: Mapping[str, Any] | None = None,
        count: Counter | None = None,
        nodes: NodesOf | Sequence[Node] | None = None,
        graph: Callable[[Codes], Floats] | None = None,
        reference: Callable[[NetworkSpace], npt.ArrayLike] | None = None,
        recipe: Mapping[str, str | int | float | bool | None] | None = None,
        times: Callable[[Codes], Floats] | None = None,
        ways: Sequence[Sequence[str]] = (),
        kind: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(choices, name=name, canonical=canonical)
        if not callable(build):
            raise SpaceError(f"build is a function (choices, input_shape, n_classes) -> nn.Module, not {build!r}")
        check_functions(
            count=("(space, codes) -> {'params': (n,), 'macs': (n,)}", count),
            graph=("(codes) -> (n, g) features", graph),
            reference=(f"(space) -> codes (s, {self.n_choices})", reference),
            times=(f"(codes) -> (n, {self.n_choices})", times),
        )
        self.input_shape = as_shape(input_shape)
        self.kinds = read_kinds(kind, self.input_shape, name)
        self.output_shape = as_output_shape(n_classes)
        self.options = dict(options or {})
        self.count = count
        self._build = build
        self._takes_shape = takes_output_shape(build)
        self._nodes = read_nodes(nodes, self.names)
        self.graph_features = graph
        self._reference = reference
        self.recipe = dict(recipe or {})
        self.times, self.ways = times, tuple(map(tuple, ways))

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        example: npt.ArrayLike | Tensor,
        *,
        nodes: Sequence[str] | None = None,
        alternatives: Callable[..., Mapping[str, nn.Module]] | None = None,
    ) -> NetworkSpace:
        """A space made of a trained network: its blocks as they are, or replaced by cheaper ones with its weights.

        Candidate 0 is the network as it is. The network is not changed.

        Args:
            model: a torch module with one tensor in and one out, in float32.
            example: ``(n, c, h, w)`` pictures that it is used on, two or more.
            nodes: dotted names of the modules that may be replaced; found where not given.
            alternatives: ``(name, module, input_shape, output_shape) -> {label: module}``, further alternatives of a
                module; shapes are without the batch.

        Raises:
            ModelError: the model or the example cannot be taken, or nothing of the model can be replaced.
        """
        above = importlib.import_module("searchkit.compression.assembled")  # its room stands above this one
        made: NetworkSpace = above.model_space(model, example, nodes=nodes, alternatives=alternatives)
        return made

    def with_precisions(self) -> NetworkSpace:
        """This space with one more choice for each block, of its precision: "float32" or "int8".

        See :class:`searchkit.space.precision_space.PrecisionSpace`. ``load_space("mobilenet", precisions=True)`` is the
        same for a space by name.

        Raises:
            SpaceError: no node of the space names its module.
        """
        from searchkit.space.precision_space import PrecisionSpace

        return self if isinstance(self, PrecisionSpace) else PrecisionSpace(self)

    @property
    def builder(self) -> Builder:
        """The function that the space was made with as ``build=``; see :meth:`build` for a network."""
        return self._build

    def with_builder(self, build: Builder) -> NetworkSpace:
        """The same space with another build function, of the same arguments; its networks are counted one by one."""
        other = copy.copy(self)
        other._build, other.count = build, None
        return other

    @property
    def n_classes(self) -> int:
        """The first number of ``output_shape``: classes, labels or quantities."""
        return self.output_shape[0]

    @property
    def takes_shape(self) -> bool:
        """Whether ``build`` takes an output_shape, so that networks may have an output for each pixel."""
        return self._takes_shape

    @property
    def kind(self) -> Kind:
        """What its networks take now: "images", "table", "tokens" or "signals"."""
        return kind_of(self.input_shape)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The block nodes, in depth order; empty where the space names none."""
        return () if self._nodes is None else checked_nodes(self._nodes(self), self.names)

    @property
    def teacher(self) -> nn.Module | None:
        """The trained network of which the space was made, see :meth:`from_model`; None for other spaces."""
        return None

    @property
    def teacher_ms(self) -> float | None:
        """Milliseconds of a forward pass of the teacher on the CPU, beside which others are measured; None: unknown."""
        return None

    def fine_tuned(self, code: Codes) -> bool:
        """Whether a candidate of a space that was made of a trained network is trained, or only scored as it is."""
        return True

    @property
    def reference(self) -> Codes:
        """``(s, d)`` designs to begin with, the most useful first, each once; no rows where the space names none.

        They may depend on the shape and the classes of the data: read them after :meth:`for_data`.

        Raises:
            SpaceError: what the space's function returns are no candidates of the space, or not canonical ones.
        """
        if self._reference is None:
            return np.empty((0, self.n_choices), dtype=np.int64)
        given = self._reference(self)
        try:
            codes = self.check(given)
        except SpaceError as error:
            raise SpaceError(
                f"reference= of space '{self.name}' returns what are no candidates of it: {error}"
            ) from None
        rows = np.atleast_2d(np.asarray(given))
        changed = np.flatnonzero((codes != rows).any(axis=1))
        if len(changed):
            i = changed[0]
            raise SpaceError(
                f"reference= of space '{self.name}' returns candidate {i} as {rows[i].tolist()}, whose canonical form "
                f"is {codes[i].tolist()}; return space.check(codes)"
            )
        return distinct_rows(codes)

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """A freshly initialised network for one candidate ``(d,)``.

        Its weights are drawn from the global random states as they are, so seed torch before to fix them; then the
        states are as they were. Two networks in a row have equal weights where nothing is drawn in between. The shapes
        of lazy modules, such as ``nn.LazyLinear``, are those that an input of the space's shape gives them.

        Raises:
            SpaceError: the code is not in the space.
            CandidateError: what the space's function returns is no network.
        """
        from searchkit.space.lazy_modules import initialise_lazy

        choices = self.decode(self.check_one(code))[0]
        with untouched(), usable():
            outputs = self.output_shape if self.takes_shape else self.n_classes
            network = self._build(choices, self.input_shape, outputs)
            initialise_lazy(network, self.input_shape)
            return network

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> NetworkSpace:
        """The same space for inputs of another shape, or another number of classes or output_shape.

        The shape of tokens is a ``TokenShape``.
        """
        other = copy.copy(self)
        other.input_shape = as_shape(input_shape)
        other.output_shape = as_output_shape(n_classes)
        return other

    def describe(self) -> dict[str, Any]:
        """What identifies the space in a record, as JSON values."""
        described = super().describe() | {
            "options": self.options,
            **described_shape(self.input_shape),
            "n_classes": self.n_classes,
        }
        return described | ({"output_shape": list(self.output_shape)} if len(self.output_shape) > 1 else {})
