"""A network whose nodes run all their alternatives at once, weighted by a softmax of architecture weights.

Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019 (arXiv 1806.09055).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.errors import ProxyError
from searchkit.random_state import seeded
from searchkit.runtime.submodules import put
from searchkit.space import NetworkSpace, Node
from searchkit.space.inputs import plain_inputs
from searchkit.space.parameters import check_listed
from searchkit.types import Codes

MOST = 64  # alternatives of one node
Options = tuple[int, ...]


@dataclass(frozen=True)
class MixedNode:
    """A node and what may be chosen there.

    Attributes:
        columns: of the codes that decide it.
        alternatives: the option indices that these may take, one row each.
        places: dotted names of its modules in the network.
    """

    node: Node
    columns: tuple[int, ...]
    alternatives: tuple[Options, ...]
    places: tuple[str, ...]


class Mixed(nn.Module):
    """All alternatives of one node at one place; their outputs have one shape."""

    def __init__(self, modules: Sequence[nn.Module | None], weights: nn.Parameter, index: int, skips: bool) -> None:
        super().__init__()
        self.options = nn.ModuleList([nn.Identity() if one is None else one for one in modules])
        self.there = [one is not None or skips for one in modules]  # else it gives zeros
        self._weights, self._index = [weights], index  # in a list, so that it is no parameter of each place

    def forward(self, x: Tensor) -> Tensor:
        shares = self._weights[0][self._index, : len(self.options)].softmax(0)
        parts = [share * option(x) for share, option, on in zip(shares, self.options, self.there, strict=True) if on]
        return torch.stack(parts).sum(0)


class MixedNetwork(nn.Module):
    """A network of a space with :class:`Mixed` modules at its nodes.

    Args:
        space: whose nodes name their modules.
        seed: of the weights.

    Attributes:
        nodes: those that are mixed, in depth order.
        alphas: ``(nodes, most alternatives)`` architecture weights; beyond a node's alternatives they are not used.

    Raises:
        ProxyError: no node has a module, or alternatives of one give different shapes.
    """

    def __init__(self, space: NetworkSpace, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            base, self.base, self.nodes = base_of(space)
            self.alphas = nn.Parameter(
                1e-3 * torch.randn(len(self.nodes), max(len(n.alternatives) for n in self.nodes))
            )
            for index, node in enumerate(self.nodes):
                networks = [_built(space, _with(self.base, node, options)) for options in node.alternatives]
                for place in node.places:
                    found = [_module(network, place) for network in networks]
                    put(base, place, Mixed(found, self.alphas, index, skips=node.node.optional is not None))
        self.network = base
        self.network.train()
        self._check_shapes(space)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x)
        return outputs

    def shares(self) -> list[Tensor]:
        """For each node, the softmax over its alternatives."""
        return [self.alphas[i, : len(node.alternatives)].softmax(0) for i, node in enumerate(self.nodes)]

    def log_shares(self, codes: Codes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """``(n,)`` sum over nodes of the logarithms of what the codes ``(n, d)`` chose."""
        total = np.zeros(len(codes))
        for node, share in zip(self.nodes, self.shares(), strict=True):
            place = {options: i for i, options in enumerate(node.alternatives)}
            picked = [place[tuple(row)] for row in codes[:, node.columns].tolist()]
            total += share.detach().double().log().cpu().numpy()[picked]
        return total

    def best(self) -> Codes:
        """``(d,)`` the candidate with the alternative of the largest share at every node."""
        code = self.base.copy()
        for node, share in zip(self.nodes, self.shares(), strict=True):
            code[list(node.columns)] = node.alternatives[int(share.argmax())]
        return code

    def _check_shapes(self, space: NetworkSpace) -> None:
        try:
            with torch.no_grad():
                self.network(plain_inputs(2, space.input_shape))
        except RuntimeError as error:
            raise ProxyError(
                f"alternatives of a node of space '{space.name}' give different shapes, so that they cannot be mixed: "
                f"{error}"
            ) from error


def base_of(space: NetworkSpace) -> tuple[nn.Module, Codes, list[MixedNode]]:
    """A network that has a module at every place of every node, its code, and the nodes.

    Raises:
        ProxyError: no node names modules, or no network has all of them.
    """
    check_listed(space.choices, "mixed networks")
    named = [node for node in space.nodes if node.module]
    if not named:
        raise ProxyError(
            f"space '{space.name}' names no modules at its nodes, so that there is nothing to mix: give "
            "NetworkSpace(nodes=) with searchkit.Node(module=)"
        )
    sizes = [len(choice.options) for choice in space.choices]
    most: tuple[int, nn.Module, Codes, list[MixedNode]] | None = None
    for k in range(max(sizes)):
        code = np.array([min(k, size - 1) for size in sizes], dtype=np.int64)
        network = _built(space, code)
        nodes = [_mixed_node(space, node, network) for node in named]
        there = sum(bool(node.places) for node in nodes)
        if most is None or there > most[0]:
            most = there, network, code, nodes
    assert most is not None
    lacking = [node.node.name for node in most[3] if not node.places]
    if lacking:
        raise ProxyError(f"no network of space '{space.name}' has a module at every node: '{lacking[0]}' has none")
    return most[1], most[2], most[3]


def _mixed_node(space: NetworkSpace, node: Node, network: nn.Module) -> MixedNode:
    columns = tuple(space.names.index(name) for name in node.choices if name in space.names)
    n = int(np.prod([len(space.choices[column].options) for column in columns]))
    if n > MOST:
        raise ProxyError(f"node '{node.name}' of space '{space.name}' has {n} alternatives; {MOST} can be mixed")
    options = tuple(itertools.product(*(range(len(space.choices[column].options)) for column in columns)))
    depth = node.module.count(".")
    names = (name for name, _ in network.named_modules() if name.count(".") == depth)
    return MixedNode(node, columns, options, tuple(name for name in names if fnmatchcase(name, node.module)))


def _built(space: NetworkSpace, code: Codes) -> nn.Module:
    """The network of a code as it is written: its canonical form may have fewer nodes."""
    choices: Mapping[str, object] = space.decode(code)[0]
    outputs = space.output_shape if space.takes_shape else space.n_classes
    return space.builder(choices, space.input_shape, outputs)


def _with(base: Codes, node: MixedNode, options: Options) -> Codes:
    code = base.copy()
    code[list(node.columns)] = options
    return code


def _module(network: nn.Module, name: str) -> nn.Module | None:
    return dict(network.named_modules()).get(name)
