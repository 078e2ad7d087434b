"""What each block of one network costs: its MACs, counted in the network, and its milliseconds, timed alone.

MACs are a poor guide to latency where a block moves much data and computes little (depthwise convolutions, wide maps
of few channels), or consists of many small operations; this table says where.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from searchkit.blocks.latency_tables import Measure, times_of
from searchkit.blocks.latency_terms import Timed
from searchkit.costs.counts import module_macs
from searchkit.errors import SearchkitError
from searchkit.random_state import seeded
from searchkit.runtime.threads import one_thread
from searchkit.space import NetworkSpace, Node
from searchkit.space.inputs import plain_inputs
from searchkit.types import Codes

OUTSIDE = "outside the blocks"


@dataclass(frozen=True)
class BlockCost:
    """One block of a network.

    Attributes:
        block: its name: that of its node, or of the block that several nodes form.
        choice: what the network has there.
        macs: of one image.
        ms: milliseconds of its modules, each timed alone, without what a call takes; 0 where nothing is computed.
    """

    block: str
    choice: str
    macs: int
    ms: float


@dataclass(frozen=True)
class BlockCosts:
    """The blocks of a network, and the network.

    Attributes:
        blocks: in the order of the space's nodes.
        macs: of the network, for one image.
        ms: of the network, timed in turn with its blocks.
        call_ms: of a call that computes nothing, which is taken off the time of every module; 0 on a card, where graphs
            are timed without their launch.
        method: how it was timed.
    """

    blocks: tuple[BlockCost, ...]
    macs: int
    ms: float
    call_ms: float
    method: str

    @property
    def outside(self) -> BlockCost:
        """What is left of the network without its blocks.

        Its milliseconds are below 0 where the blocks take longer alone than within the network.
        """
        macs, ms = (sum(getattr(one, what) for one in self.blocks) for what in ("macs", "ms"))
        return BlockCost(OUTSIDE, "", self.macs - round(macs), self.ms - ms)

    def shares(self, one: BlockCost) -> tuple[float, float]:
        """The shares of the network's MACs and milliseconds that a block has."""
        return one.macs / self.macs if self.macs else 0.0, one.ms / self.ms if self.ms else 0.0

    @property
    def sorted(self) -> list[BlockCost]:
        """The blocks, first the one whose two shares are furthest apart."""
        return sorted(self.blocks, key=lambda one: -abs(self.shares(one)[1] - self.shares(one)[0]))

    def said(self) -> str:
        """One sentence on the block whose shares are furthest apart."""
        first = self.sorted[0]
        of_macs, of_ms = self.shares(first)
        return f"'{first.block}' has {100 * of_macs:.0f} % of the MACs and {100 * of_ms:.0f} % of the milliseconds"

    def plain(self) -> dict[str, object]:
        """JSON values, which :meth:`read` takes."""
        return asdict(self) | {"blocks": [asdict(one) for one in self.blocks]}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> BlockCosts:
        """The inverse of :meth:`plain`."""
        blocks = tuple(BlockCost(*(one[part.name] for part in fields(BlockCost))) for one in plain["blocks"])
        return cls(blocks, plain["macs"], plain["ms"], plain["call_ms"], plain["method"])


def block_costs(
    space: NetworkSpace, code: Codes, *, device: str = "cpu", seconds: float = 0.1, measure: Measure | None = None
) -> BlockCosts:
    """Count and time the blocks of one candidate ``(d,)`` of a space, with random weights.

    On a CPU all modules and the network are timed in turn, in short repeats of which the fastest counts
    (:mod:`searchkit.costs.together`). Choices that are no node's are part of the network, and of no block.

    Args:
        device: as for :func:`searchkit.costs.latency.latency`.
        seconds: of timing for each module and the network.
        measure: ``(module, input_shape) -> milliseconds``, in place of timing on the device.

    Raises:
        SearchkitError: the space names no module of its networks, or the network cannot be run block by block.
    """
    with seeded(0), one_thread():
        network = space.build(code).eval()
        groups = _groups(space, code, network)
        nodes = [node for there in groups.values() for node in there]
        modules = _called(space, network, nodes)
        working = [node for node in nodes if not isinstance(modules[node.name][0][0], nn.Identity)]
        subjects = [modules[node.name][0] for node in working]
        call: list[Timed] = [(nn.Identity(), (1, 1, 1))] if device == "cpu" else []
        halves, method = times_of([*subjects, (network, space.input_shape), *call], device, seconds, measure)
        times = halves.min(axis=0)
        macs = module_macs(network, space.input_shape)
    *alone, whole, call_ms = times.tolist() if call else [*times.tolist(), 0.0]
    ms = {
        node.name: max(0.0, time - call_ms) * modules[node.name][1] for node, time in zip(working, alone, strict=True)
    }
    options = space.decode(code)[0]
    blocks = tuple(
        BlockCost(
            name,
            ", ".join(_chosen(node, options) for node in there) or "no block",
            sum(macs.get(node.one_module, 0) for node in there),
            sum(ms.get(node.name, 0.0) for node in there),
        )
        for name, there in groups.items()
    )
    return BlockCosts(blocks, macs[""], whole, call_ms, method)


def has_modules(space: object) -> bool:
    """Whether a space names modules of its networks, so that blocks can be timed."""
    return isinstance(space, NetworkSpace) and any(node.one_module for node in space.nodes)


def _groups(space: NetworkSpace, code: Codes, network: nn.Module) -> dict[str, list[Node]]:
    """For each block those of its nodes that the network has."""
    if not has_modules(space):
        raise SearchkitError(
            f"space '{space.name}' names no modules of its networks, so that their blocks cannot be timed alone; "
            "Node(module=) says which module a node is, as in the spaces 'macro' and 'mobilenet'"
        )
    options, named = space.decode(code)[0], dict(network.named_modules())
    groups: dict[str, list[Node]] = {}
    for node in space.nodes:
        there = groups.setdefault(node.block or node.name, []) if node.one_module else []
        if not node.one_module or node.left_out(options):
            continue
        if node.one_module not in named:
            raise SearchkitError(
                f"node '{node.name}' of space '{space.name}' names the module '{node.one_module}', which the network "
                "does not have"
            )
        there.append(node)
    outer = {f"{node.one_module}." for there in groups.values() for node in there}
    inside = {name for name, there in groups.items() if any(_is_in(node, outer) for node in there)}
    for name in inside:  # a module within another node's is a part of that one, and counts once
        groups[name] = [node for node in groups[name] if not _is_in(node, outer)]
    return {name: there for name, there in groups.items() if there or name not in inside}


def _is_in(node: Node, outer: Collection[str]) -> bool:
    return any(node.one_module.startswith(prefix) for prefix in outer)


def _called(space: NetworkSpace, network: nn.Module, nodes: Sequence[Node]) -> dict[str, tuple[Timed, int]]:
    """Each node's module with the shape of its input, and how often it is called in one forward pass."""
    shapes: dict[str, list[tuple[int, ...]]] = {node.name: [] for node in nodes}
    handles = []
    for node in nodes:

        def hook(module: nn.Module, given: tuple[Tensor, ...], more: dict[str, Any], name: str = node.name) -> None:
            shapes[name].append(tuple(given[0].shape[1:]) if len(given) == 1 and not more else ())

        handles.append(network.get_submodule(node.one_module).register_forward_pre_hook(hook, with_kwargs=True))
    try:
        with torch.no_grad():
            network(plain_inputs(1, space.input_shape))
    finally:
        for handle in handles:
            handle.remove()
    for node in nodes:
        if len(set(shapes[node.name])) != 1 or not shapes[node.name][0]:
            raise SearchkitError(
                f"the module '{node.one_module}' of node '{node.name}' of space '{space.name}' cannot be timed alone: "
                "it has to be called, always with one tensor of one shape"
            )
    return {
        node.name: ((network.get_submodule(node.one_module), shapes[node.name][0]), len(shapes[node.name]))
        for node in nodes
    }


def _chosen(node: Node, options: Mapping[str, Any]) -> str:
    """What the network has at a node; of several choices each with the part of its name that differs."""
    if len(node.choices) == 1:
        return str(options[node.choices[0]])
    return " ".join(f"{node.part_of(name)} {options[name]}" for name in node.choices)
