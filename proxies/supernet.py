"""A supernet of one block: the modules of every alternative of its nodes, taken from networks that the space builds.

A path takes one alternative of each node. What comes before the block and behind it belongs to no path: the space's own
stem or a 1x1 convolution from the channels of what the block is fed, and whatever maps its output to what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.additive import Blocks
from searchkit.errors import ProxyError
from searchkit.space import Bools, Codes, NetworkSpace, Node

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
    named = [node for node in nodes.values() if node.module]
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
        before: maps what is fed to the first node's input.
        nodes: for each node, the module of each alternative.
        after: by number of channels that come out of the last node, what maps them to what is asked for.
    """

    def __init__(self, before: nn.Module, nodes: Sequence[Sequence[nn.Module]], after: nn.ModuleDict) -> None:
        super().__init__()
        self.before = before
        self.nodes = nn.ModuleList(nn.ModuleList(modules) for modules in nodes)
        self.after = after

    def forward(self, x: Tensor, path: Sequence[int]) -> Tensor:
        """``(batch, c, h, w)`` along a path ``(q,)`` of alternatives."""
        x = self.before(x)
        for j, alternative in enumerate(path):
            x = self.module(j, alternative)(x)
        y: Tensor = self.ending(x)(x)
        return y

    def module(self, node: int, alternative: int) -> nn.Module:
        """The module of one alternative of one node."""
        alternatives = self.nodes[node]
        assert isinstance(alternatives, nn.ModuleList)
        return alternatives[int(alternative)]

    def ending(self, x: Tensor) -> nn.Module:
        """What follows the last node, for what that gave."""
        return self.after[str(x.shape[1])]


def supernet(space: NetworkSpace, blocks: Blocks, part: Part, fed: Shape | None, ending: Ending, seed: int) -> Supernet:
    """The untrained supernet of a block.

    Args:
        fed: shape of what it is fed, ``(channels, height, width)``; None: images, by way of the space's own stem.
        ending: a number of channels -> what follows the last node.
        seed: of the weights.

    Raises:
        ProxyError: the networks lack a module that the space names, or it is of another shape.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules, channels = _modules(space, blocks, part)
        n_in = part.nodes[0].input_shape[0]
        before: nn.Module = nn.Identity()
        if fed is None:
            before = Stem(space.build(_code(blocks, part, 0)), part.nodes[0].module)
        elif fed[0] != n_in:
            before = nn.Sequential(nn.Conv2d(fed[0], n_in, 1, bias=False), nn.BatchNorm2d(n_in))
        return Supernet(before, modules, nn.ModuleDict({str(c): ending(c) for c in sorted(channels)}))


class Stem(nn.Module):
    """What a network does with images before one of its modules runs; the rest of it is never reached."""

    def __init__(self, network: nn.Module, first: str) -> None:
        super().__init__()
        self.network, self.first = network, first

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` images to what that module is fed."""
        found: list[Tensor] = []

        def stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found.append(args[0])
            raise _Reached

        handle = self.network.get_submodule(self.first).register_forward_pre_hook(stop)
        try:
            self.network(x)
        except _Reached:
            pass
        finally:
            handle.remove()
        return found[0]


class _Reached(Exception):  # noqa: N818 - no error: the way out of a forward pass
    pass


def _modules(space: NetworkSpace, blocks: Blocks, part: Part) -> tuple[list[list[nn.Module]], set[int]]:
    """For each node the module of each of its alternatives; and the numbers of channels that paths end with.

    Networks are built until each alternative was in one of them.
    """
    labels = blocks.labels[part.index]
    missing = {(j, int(a)) for j in range(len(part.nodes)) for a in np.unique(part.taken[:, j])}
    modules: dict[tuple[int, int], nn.Module] = {}
    n_out: dict[tuple[int, int], int] = {}
    while missing:
        row = _richest(part.taken, missing)
        network = space.build(_code(blocks, part, row))
        named = dict(network.named_modules())
        new = [(j, int(a)) for j, a in enumerate(part.taken[row]) if (j, int(a)) in missing]
        there = {key: part.nodes[key[0]] for key in new if labels[key[0]][key[1]] != "no block"}
        for key, node in there.items():
            if node.module not in named:
                raise ProxyError(
                    f"node '{node.name}' of space '{space.name}' names the module '{node.module}', which the network "
                    f"with '{labels[key[0]][key[1]]}' there does not have"
                )
            modules[key] = named[node.module]
        n_out |= {key: shape[0] for key, shape in _shapes(space, network, there).items()}
        missing.difference_update(new)
    ends = {n_out[key] for path in part.taken for key in [_last(path, n_out)] if key is not None}
    if any(_last(path, n_out) is None for path in part.taken):
        ends.add(part.nodes[0].input_shape[0])
    return [[modules.get((j, a), nn.Identity()) for a in range(len(names))] for j, names in enumerate(labels)], ends


def _richest(taken: Codes, missing: set[tuple[int, int]]) -> int:
    """The path with the most alternatives that no network had so far."""
    count = np.zeros(len(taken), dtype=np.int64)
    for j, a in missing:
        count += taken[:, j] == a
    return int(np.argmax(count))


def _code(blocks: Blocks, part: Part, row: int) -> Codes:
    """``(d,)`` a candidate with one alternative of the block, and the first of all others."""
    picked = np.zeros((1, len(blocks.names)), dtype=np.int64)
    picked[0, part.index] = row
    code: Codes = blocks.codes(picked)[0]
    return code


def _shapes(
    space: NetworkSpace, network: nn.Module, nodes: dict[tuple[int, int], Node]
) -> dict[tuple[int, int], Shape]:
    """The output shape of each node's module, in one pass; height and width must be as the space says."""
    seen: dict[tuple[int, int], Shape] = {}
    handles = []
    for key, node in nodes.items():

        def hook(module: nn.Module, x: object, y: Tensor, key: tuple[int, int] = key) -> None:
            seen[key] = tuple(y.shape[1:])

        handles.append(network.get_submodule(node.module).register_forward_hook(hook))
    with torch.no_grad():
        network.eval()(torch.zeros(1, *space.input_shape))
    for handle in handles:
        handle.remove()
    for key, node in nodes.items():
        if key not in seen or seen[key][1:] != tuple(node.output_shape[1:]):
            raise ProxyError(
                f"node '{node.name}' of space '{space.name}' is said to give {tuple(node.output_shape)} and its module "
                f"'{node.module}' gives {seen.get(key, 'nothing')}"
            )
    return seen


def _last(path: Codes, n_out: dict[tuple[int, int], int]) -> tuple[int, int] | None:
    """The last node of a path that is there, with its alternative."""
    there = [(j, int(a)) for j, a in enumerate(path) if (j, int(a)) in n_out]
    return there[-1] if there else None
