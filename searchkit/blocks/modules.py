"""The modules that networks have at a node: one for each of its alternatives, with the shapes it maps between.

They are taken from networks that the space builds; so a space has only to name the modules of its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.blocks.additive import Blocks
from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace, Node
from searchkit.space.inputs import plain_inputs
from searchkit.types import Codes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeModule:
    """The module at a node for one of its alternatives.

    Attributes:
        input_shape, output_shape: ``(channels, height, width)`` in a forward pass, without the batch.
    """

    module: nn.Module
    input_shape: Shape
    output_shape: Shape


def node_modules(space: NetworkSpace, blocks: Blocks, block: int) -> list[list[NodeModule | None]]:
    """For each node of a block and each of its alternatives the module; None where the network has none.

    Networks are built until each alternative was in one of them; seed torch before for a fixed draw of weights.

    Args:
        block: its index.

    Raises:
        SpaceError: the networks lack a module that the space names, or it maps to another height and width.
    """
    labels, taken = blocks.labels[block], blocks.taken[block]
    nodes = {node.name: node for node in space.nodes}
    members = [nodes[name] for name in blocks.nodes[block]]
    found: list[list[NodeModule | None]] = [[None] * len(names) for names in labels]
    missing = {(j, int(a)) for j, names in enumerate(labels) for a in np.unique(taken[:, j]) if names[a] != "no block"}
    while missing:
        row = _richest(taken, missing)
        new = [(j, int(a)) for j, a in enumerate(taken[row]) if (j, int(a)) in missing]
        network = space.build(_code(blocks, block, row))
        named = dict(network.named_modules())
        for j, a in new:
            if not members[j].one_module or members[j].one_module not in named:
                raise SpaceError(
                    f"node '{members[j].name}' of space '{space.name}' names the module '{members[j].one_module}', "
                    f"which the network with '{labels[j][a]}' there does not have"
                )
        seen = _seen(space, network, [members[j] for j, _ in new])
        for (j, a), module in zip(new, seen, strict=True):
            found[j][a] = module
        missing.difference_update(new)
    return found


def _richest(taken: Codes, missing: set[tuple[int, int]]) -> int:
    """The alternative of the block with the most modules that are still missing."""
    count = np.zeros(len(taken), dtype=np.int64)
    for j, a in missing:
        count += taken[:, j] == a
    return int(np.argmax(count))


def _code(blocks: Blocks, block: int, row: int) -> Codes:
    """``(d,)`` a candidate with one alternative of the block, and the first of all others."""
    picked = np.zeros((1, len(blocks.names)), dtype=np.int64)
    picked[0, block] = row
    code: Codes = blocks.codes(picked)[0]
    return code


def _seen(space: NetworkSpace, network: nn.Module, nodes: list[Node]) -> list[NodeModule]:
    """The nodes' modules with their shapes in one forward pass; height and width must be as the space says."""
    shapes: dict[str, tuple[Shape, Shape]] = {}
    handles = []
    for node in nodes:

        def hook(module: nn.Module, x: tuple[Tensor, ...], y: Tensor, name: str = node.name) -> None:
            shapes[name] = tuple(x[0].shape[1:]), tuple(y.shape[1:])

        handles.append(network.get_submodule(node.one_module).register_forward_hook(hook))
    with torch.no_grad():
        network.eval()(plain_inputs(1, space.input_shape))
    for handle in handles:
        handle.remove()
    for node in nodes:
        if node.name not in shapes or shapes[node.name][1][1:] != tuple(node.output_shape[1:]):
            gives = shapes[node.name][1] if node.name in shapes else "nothing"
            raise SpaceError(
                f"node '{node.name}' of space '{space.name}' is said to give {tuple(node.output_shape)} and its module "
                f"'{node.one_module}' gives {gives}; block-wise methods need one height and width at each node"
            )
    return [NodeModule(network.get_submodule(node.one_module), *shapes[node.name]) for node in nodes]
