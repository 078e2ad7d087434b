"""Networks and the precision of each of their blocks as one space: int8 where it pays, float32 where it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from searchkit.errors import CandidateError, SpaceError
from searchkit.space.choice import Choice
from searchkit.space.narrower_space import whole_of
from searchkit.space.network_space import NetworkSpace
from searchkit.space.node import Node
from searchkit.space.recipe_space import networks_of
from searchkit.space.space import Space
from searchkit.space.wider_space import WiderSpace
from searchkit.types import Codes

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["float32", "int8"]

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
REST = "rest"  # all of a network that belongs to no block
BLOCK, OUTSIDE = "searchkit_precision", "searchkit_rest_precision"  # attributes of modules and of the whole network
_ENDING = ".precision"


class PrecisionSpace(WiderSpace):
    """A network space in which the precision of each block is a choice as well.

    Made by :meth:`NetworkSpace.with_precisions`. A block is that of :func:`searchkit.blocks.additive.blocks_of`: a
    node, or the nodes of one ``block=``; its choice is named ``"<block>.precision"``. What belongs to no block (the
    stem, the classifier) has the choice ``"rest.precision"``. Networks are trained in float32 whatever is chosen:
    metrics such as ``accuracy@int8`` and ``latency_ms@int8`` are those of the file in which the chosen blocks are in
    int8, and ``result.export(precision="int8")`` writes that file.

    Args:
        networks: the space of the networks; its nodes name their modules.

    Raises:
        SpaceError: no node names a module, or the space has settings of a training.
    """

    def __init__(self, networks: NetworkSpace) -> None:
        if networks_of(networks) is not networks:
            raise SpaceError("precisions are chosen in the space of the networks: recipe= is given to the search")
        modules = _modules(networks)
        named = [name for ones in modules.values() for name in ones]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise SpaceError(
                f"two nodes of space '{networks.name}' name the module '{twice}', whose precision is one choice"
            )
        if REST in modules:
            raise SpaceError(
                f"a block of space '{networks.name}' is called '{REST}', as is all that belongs to no block: rename it"
            )
        if not modules:
            raise SpaceError(
                f"space '{networks.name}' names no modules of its networks, so that their precisions cannot be chosen: "
                "give NetworkSpace(nodes=) with a searchkit.Node for each block, and the node's module="
            )
        super().__init__(networks, [Choice(one + _ENDING, PRECISIONS) for one in (*modules, REST)])
        self.options = networks.options | {"precisions": True}

    def over(self, networks: NetworkSpace) -> PrecisionSpace:
        """See :class:`WiderSpace`."""
        return PrecisionSpace(networks)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the networks, whose alternatives are in either precision."""
        return tuple(_in_precisions(node) for node in self.networks.nodes)

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """See :class:`NetworkSpace`; in float32, with a note at each block of the precision that is chosen.

        Raises:
            CandidateError: a module that a node names is not there, or is that of another node in another precision.
        """
        row = self.check_one(code)
        network = self.networks.build(self.of_networks(row))
        chosen = self.chosen(row)
        named = dict(network.named_modules(remove_duplicate=False))
        said: dict[int, tuple[str, object]] = {}  # by module: the node that it is of, and its precision
        for node in self.networks.nodes:
            precision = chosen.get((node.block or node.name) + _ENDING)
            if precision is None or node.one_module not in named:
                if precision is not None and node.optional is None:
                    raise CandidateError(
                        f"node '{node.name}' names the module '{node.one_module}', which it does not have"
                    )
                continue
            module = named[node.one_module]
            other, before = said.setdefault(id(module), (node.name, precision))
            if before != precision:
                raise CandidateError(f"nodes '{other}' and '{node.name}' are one module, which has one precision")
            setattr(module, BLOCK, precision)
        setattr(network, OUTSIDE, chosen[REST + _ENDING])
        return network

    @property
    def reference(self) -> Codes:
        """See :class:`NetworkSpace`; each design all in int8, which mostly pays, and then all in float32."""
        rows = self.networks.reference
        n = len(self.further)
        int8, float32 = (np.full((len(rows), n), PRECISIONS.index(one)) for one in ("int8", "float32"))
        both = [np.concatenate([rows, precisions], axis=1) for precisions in (int8, float32)]
        found: Codes = np.stack(both, axis=1).reshape(2 * len(rows), self.n_choices)
        return found

    def describe(self) -> dict[str, Any]:
        """See :class:`NetworkSpace`."""
        return super().describe() | {"options": self.options}


def precisions_of(network: nn.Module) -> dict[str, Precision]:
    """The precisions that were chosen for a network's blocks, by dotted name, or for a block alone; often none."""
    return {name: vars(module)[BLOCK] for name, module in network.named_modules() if BLOCK in vars(module)}


def rest_precision_of(network: nn.Module) -> Precision | None:
    """The precision of a network outside of its blocks; None where none was chosen."""
    return next((vars(module)[OUTSIDE] for module in network.modules() if OUTSIDE in vars(module)), None)


def all_float32(network: nn.Module) -> bool:
    """Whether each block of a network, and what belongs to none, was chosen to be in float32."""
    return {rest_precision_of(network), *precisions_of(network).values()} == {"float32"}


def rest_precision(space: Space) -> str:
    """The choice of the precision of what belongs to no block; empty where a space has no precisions."""
    return REST + _ENDING if _has_precisions(space) else ""


def precision_choice(space: Space, block: str) -> str | None:
    """The choice of a block's precision; None where there is none."""
    return block + _ENDING if _has_precisions(space) and block + _ENDING in space.names else None


def precision_names(space: Space) -> frozenset[str]:
    """The choices of precisions, of which the parameters of a network do not depend; none where there are none."""
    return frozenset(name for name in space.names if name.endswith(_ENDING)) if _has_precisions(space) else frozenset()


def _has_precisions(space: Space) -> bool:
    return isinstance(space, NetworkSpace) and isinstance(whole_of(networks_of(space)), PrecisionSpace)


def _modules(networks: NetworkSpace) -> dict[str, list[str]]:
    """Block -> dotted names of its modules, of blocks all of whose nodes are modules."""
    found: dict[str, list[str]] = {}
    for node in networks.nodes:
        found.setdefault(node.block or node.name, []).append(node.one_module)
    return {block: modules for block, modules in found.items() if all(modules)}


def _in_precisions(node: Node) -> Node:
    name = (node.block or node.name) + _ENDING
    return (
        Node(
            node.name, (*node.choices, name), node.input_shape, node.output_shape, node.block, node.one_module,
            node.optional,
        )
        if node.one_module
        else node
    )  # fmt: skip
