"""A supernet of one block: the modules of every alternative of its nodes, taken from networks that the space builds.

A path takes one alternative of each node. The layers before and after the block are shared by all paths: the space's
own stem, or a 1x1 convolution from the channels of the block's input; and a module that maps the output to the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from searchkit.blocks.additive import Blocks
from searchkit.blocks.modules import NodeModule, node_modules
from searchkit.errors import ProxyError
from searchkit.random_state import seeded
from searchkit.space import NetworkSpace, Node
from searchkit.types import Bools, Codes

Shape = tuple[int, ...]
Ending = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Part:
    """One block that is made of modules.

    Attributes:
        index: of the block among all blocks of the space.
        nodes: in depth order.
        taken: ``(a, q)`` the alternative that each node takes, for every alternative of the block.
        absent: ``(a, q)`` whether that is "no block".
    """

    index: int
    name: str
    nodes: tuple[Node, ...]
    taken: Codes
    absent: Bools


def parts_of(space: NetworkSpace, blocks: Blocks) -> list[Part]:
    """The blocks of which supernets can be made, in depth order.

    Raises:
        ProxyError: the space names no nodes, or none that are modules of its networks.
    """
    nodes = {node.name: node for node in space.nodes}
    if not nodes:
        raise ProxyError(
            f"space '{space.name}' names no nodes, so that it cannot be rated block by block: give NetworkSpace(nodes=)"
            " with a searchkit.Node for each place where a block is chosen, and the node's module="
        )
    named = [node for node in nodes.values() if node.one_module]
    if not named:
        raise ProxyError(
            f"the nodes of space '{space.name}' ({', '.join(list(nodes)[:3])}, ...) are no modules of its networks; "
            "block-wise training needs Node(module=), as the spaces 'macro' and 'mobilenet' give it"
        )
    parts = []
    for name in dict.fromkeys(node.block or node.name for node in named):
        i = blocks.names.index(name)
        left_out = [
            np.array([label == "no block" for label in labels])[column]
            for labels, column in zip(blocks.labels[i], blocks.taken[i].T, strict=True)
        ]
        members = tuple(nodes[one] for one in blocks.nodes[i])
        parts.append(Part(i, name, members, blocks.taken[i], np.column_stack(left_out)))
    return parts


class Supernet(nn.Module):
    """All alternatives of one block, run one path at a time.

    Args:
        before: maps the supernet's input to the first node's input.
        nodes: for each node, the module of each alternative.
        after: number of output channels of the last node -> module that maps them to the target.
    """

    def __init__(self, before: nn.Module, nodes: Sequence[Sequence[nn.Module]], after: nn.ModuleDict) -> None:
        super().__init__()
        self.before = before
        self.nodes = nn.ModuleList(nn.ModuleList(modules) for modules in nodes)
        self.after = after

    def forward(self, x: Tensor, path: Sequence[int] | Codes) -> Tensor:
        """``(batch, c, h, w)`` along a path ``(q,)`` of alternatives."""
        x = self.along(x, path)
        y: Tensor = self.ending(x)(x)
        return y

    def along(self, x: Tensor, path: Sequence[int] | Codes) -> Tensor:
        """The output of the last node of a path."""
        x = self.before(x)
        for j, alternative in enumerate(path):
            x = self.module(j, int(alternative))(x)
        return x

    def module(self, node: int, alternative: int) -> nn.Module:
        """The module of one alternative of one node."""
        alternatives = self.nodes[node]
        assert isinstance(alternatives, nn.ModuleList)
        return alternatives[int(alternative)]

    def ending(self, x: Tensor) -> nn.Module:
        """The module after the last node, applied to its output."""
        return self.after[str(x.shape[1])]


def supernet(space: NetworkSpace, blocks: Blocks, part: Part, fed: Shape | None, ending: Ending, seed: int) -> Supernet:
    """The untrained supernet of a block.

    Args:
        fed: shape ``(channels, height, width)`` of its input; None: images, through the space's own stem.
        ending: number of channels -> module after the last node.
        seed: of the weights.

    Raises:
        SpaceError: the networks lack a module that the space names, or it is of another shape.
    """
    with seeded(seed):
        modules = node_modules(space, blocks, part.index)
        n_in = part.nodes[0].input_shape[0]
        before: nn.Module = nn.Identity()
        if fed is None:
            before = Stem(
                space.build(blocks.codes(np.zeros((1, len(blocks.names)), dtype=np.int64))[0]), part.nodes[0].one_module
            )
        elif fed[0] != n_in:
            before = nn.Sequential(nn.Conv2d(fed[0], n_in, 1, bias=False), nn.BatchNorm2d(n_in))
        after = nn.ModuleDict({str(channels): ending(channels) for channels in sorted(_ends(part, modules))})
        return Supernet(before, [[one.module if one else nn.Identity() for one in node] for node in modules], after)


class Stem(nn.Module):
    """The part of a network that runs before one of its modules."""

    def __init__(self, network: nn.Module, first: str) -> None:
        super().__init__()
        self.network, self.first = network, first

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` images to the input of that module."""
        found: list[Tensor] = []

        def stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found.append(args[0])
            raise _InputReached

        handle = self.network.get_submodule(self.first).register_forward_pre_hook(stop)
        try:
            self.network(x)
        except _InputReached:
            pass
        finally:
            handle.remove()
        return found[0]


class _InputReached(Exception):  # noqa: N818 - no error: the way out of a forward pass
    pass


def _ends(part: Part, modules: Sequence[Sequence[NodeModule | None]]) -> set[int]:
    """The possible numbers of output channels of the last node that a path has."""
    ends = set()
    for path in part.taken:
        there = [one for node, a in zip(modules, path, strict=True) for one in [node[a]] if one is not None]
        ends.add(there[-1].output_shape[0] if there else part.nodes[0].input_shape[0])
    return ends
