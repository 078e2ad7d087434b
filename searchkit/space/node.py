"""The nodes of a network space, at which blocks of its networks are chosen, and how a user gives them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchkit.errors import SpaceError, nearest

if TYPE_CHECKING:
    from searchkit.space.network_space import NetworkSpace


@dataclass(frozen=True)
class Node:
    """A node of a modular space, where one block of the network is chosen: its choices, and the shapes it maps between.

    Shapes are ``(channels, height, width)`` of one image, without the batch.

    Args:
        choices: whose options are the node's alternatives.
        block: nodes of one name form a block, such as the layers of a stage. The space's canonical map
            may change choices within a block but not move them between blocks. A node without a block name is a block
            of its own.
        module: dotted name of the node's module in a built network, such as "stages.0.1". One that is repeated is named
            by a pattern in which "*" is any one part: "stages.*.*.edges.edge_0_to_1" of a cell. Empty where what is
            chosen is no module.
        optional: ``(choice, least)``: the node is there only where the option of that choice is at least ``least``,
            such as ``("depth", 3)`` for a third layer. Elsewhere it is "no block". The choice belongs to the block.
    """

    name: str
    choices: tuple[str, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    block: str = ""
    module: str = ""
    optional: tuple[str, Any] | None = None

    @property
    def one_module(self) -> str:
        """``module`` where it is one; empty where it is a pattern, as there is no one module to run alone."""
        return "" if "*" in self.module else self.module

    def part_of(self, choice: str) -> str:
        """The part of a choice's name that is not the node's: "kernel" of "kernel_2_1"."""
        words = [word for word in choice.removeprefix(self.name + "_").split("_") if not word.isdigit()]
        return " ".join(words) or choice

    def left_out(self, options: Mapping[str, Any]) -> bool:
        """Whether a network with these options has nothing at the node, see ``optional``."""
        return self.optional is not None and bool(options[self.optional[0]] < self.optional[1])


NodesOf = Callable[["NetworkSpace"], Sequence[Node]]


def read_nodes(given: object, names: Collection[str]) -> NodesOf | None:
    """What ``nodes=`` of a network space means: a function of the space, as it is, or the nodes themselves.

    Args:
        names: of the space's choices.

    Raises:
        SpaceError: it is neither.
    """
    if given is None or callable(given):
        return given
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise SpaceError(f"nodes are a list of searchkit.Node, or a function (space) -> one, not {given!r:.80}")
    return functools.partial(_always, checked_nodes(given, names))


def checked_nodes(given: object, names: Collection[str]) -> tuple[Node, ...]:
    """Nodes as a user has given them, or a function of the user's has returned them.

    Raises:
        SpaceError: one is no node, two have one name, or one is of a choice that there is not.
    """
    if not isinstance(given, Sequence):
        raise SpaceError(f"nodes= returns a list of searchkit.Node, not {given!r:.80}")
    found: set[str] = set()
    for node in given:
        if not isinstance(node, Node):
            raise SpaceError(f"nodes are searchkit.Node objects, not {type(node).__name__}: {node!r:.80}")
        if node.name in found:
            raise SpaceError(f"two nodes have the name '{node.name}'")
        found.add(node.name)
        choices: object = node.choices
        if isinstance(choices, str):
            raise SpaceError(f"the choices of node '{node.name}' are a tuple of names, not {choices!r}")
        for choice in (*node.choices, *([] if node.optional is None else [node.optional[0]])):
            if choice not in names:
                near = nearest(choice, names)
                hint = f"; is {near!r} meant?" if near else ""
                raise SpaceError(
                    f"node '{node.name}' is of choices that the space has, which are {', '.join(names)}, not {choice!r}"
                    f"{hint}"
                )
    return tuple(given)


def _always(nodes: tuple[Node, ...], space: NetworkSpace) -> tuple[Node, ...]:
    return nodes
