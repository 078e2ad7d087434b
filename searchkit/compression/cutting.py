"""A trained network cut into nodes: modules with one tensor in and one out, that can be replaced one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt
from torch import Tensor, nn

from searchkit.compression.given import Given, given, same, shape_of
from searchkit.compression.tracing import hindrances, trace
from searchkit.costs.counts import count, module_macs
from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON, ModelError, first_line_said, nearest
from searchkit.random_state import untouched

LEAST = 0.02  # share of the MACs, or of the parameters, of a layer that is a node by itself
LEASTS = (LEAST, 0.005)  # tried in this order, until the nodes cover enough
MOST = 0.5  # share of the MACs of a block from which it is taken apart where it holds others, or several layers
ENOUGH = 0.95  # share of the MACs
HEAVY = 0.05  # share of a module's MACs of a layer that counts as one of its large ones
SEQUENCE = 3  # large layers in a row that are one node; longer rows are taken apart
GROUP = 0.12  # share of the MACs of a block of blocks from which it is taken apart
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class CutNode:
    """A module of the network that can be replaced.

    Attributes:
        name: dotted name of the module in the network.
        input_shape, output_shape: without the batch.
        macs: of one input.
        params: number of parameters.
        share: of the network's MACs.
        kind: "convolution", "attention", "linear" or "other".
        block: it merges two activations, as a residual block does; else a sequence or a single layer.
        further: the network calls it with further arguments, without which it does the same.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    macs: int
    params: int
    share: float
    kind: str
    block: bool
    further: bool = False


@dataclass(frozen=True)
class Cut:
    """A network in nodes.

    Attributes:
        nodes: in the order of the network's modules; none is inside another.
        macs, params: of the whole network.
        kept: dotted name of a module that is kept as it is -> why.
    """

    nodes: tuple[CutNode, ...]
    macs: int
    params: int
    kept: Mapping[str, str]

    @property
    def covered(self) -> float:
        """Share of the network's MACs that lies in nodes."""
        return sum(node.macs for node in self.nodes) / max(self.macs, 1)

    def report(self) -> str:
        """A table of the nodes, the share that they cover, and what is kept and why."""
        width = max(map(len, (node.name for node in self.nodes)))
        lines = [f"{len(self.nodes)} nodes with {self.covered:.1%} of {self.macs:,} MACs"]
        for node in self.nodes:
            shapes = f"{'x'.join(map(str, node.input_shape))} -> {'x'.join(map(str, node.output_shape))}"
            costs = f"{node.share:6.1%} of the MACs  {node.params:>11,} params"
            lines.append(f"  {node.name:{width}}  {node.kind:11}  {costs}  {shapes}")
        lines += [f"  kept: {name}: {why}" for name, why in self.kept.items()]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.report()


def cut(model: nn.Module, example: npt.ArrayLike | Tensor, *, nodes: Sequence[str] | None = None) -> Cut:
    """Find the modules of a trained network that can be replaced one by one.

    A node is called once, with one tensor in and one out. Looked for are, from the outside to the inside, blocks, whose
    own forward merges two activations (a residual block, a concatenation); then sequences without merges; then single
    layers of at least 2 % of the MACs or of the parameters. The network is run on a copy and is not changed.

    Args:
        model: in any mode and on any device, in float32.
        example: ``(n, c, h, w)`` pictures; two of them are used.
        nodes: dotted names of the modules that are to be nodes, in place of those that are found.

    Raises:
        ModelError: of :func:`searchkit.compression.given.given`; nothing of the network can be a node; or a module that
            ``nodes`` names is not there or cannot be one.
    """
    return cut_given(given(model, example), nodes)


def cut_given(checked: Given, nodes: Sequence[str] | None = None) -> Cut:
    """:func:`cut` of a network that was checked before."""
    cutter = _Cutter(checked)
    found = cutter.find() if nodes is None else cutter.named(nodes)
    seen = recorded(checked.model, found, checked.example[:2])
    alone = {name: _off_alone(checked.model.get_submodule(name), *seen[name]) for name in found}
    for name, off in alone.items():
        if off and nodes is not None:
            raise ModelError(f"nodes= names '{name}', which cannot be a node: {off}")
        if off:
            cutter.kept[name] = off
    whole = count(checked.model, shape_of(checked.example))
    described = tuple(cutter.node(name) for name in found if not alone[name])
    if not described:
        why = "; ".join(f"'{name}': {why}" for name, why in list(cutter.kept.items())[:3])
        raise ModelError(
            f"{type(checked.model).__name__} has no block that can be cut: a node is a module that is called once, "
            "with one tensor in and one out, and has at least 2 % of the multiplications" + (f" ({why})" if why else "")
        )
    return Cut(described, whole["macs"], whole["params"], dict(cutter.kept))


class _Cutter:
    """The search for nodes in one network."""

    def __init__(self, checked: Given) -> None:
        self.model = checked.model
        self.modules = dict(self.model.named_modules())
        self.facts = trace(self.model, checked.example[:2])
        self.why_not = hindrances(self.model, self.facts)
        further = [name for name, fact in self.facts.items() if fact.other_arguments and name not in self.why_not]
        for name, seen in recorded(self.model, further, checked.example[:2]).items():
            if _off_alone(self.model.get_submodule(name), *seen):
                self.why_not[name] = "it is called with further arguments, without which it does something else"
        self.macs = module_macs(self.model, shape_of(checked.example))
        self.params = {name: sum(p.numel() for p in m.parameters()) for name, m in self.modules.items()}
        self.kept: dict[str, str] = {}
        self.least = LEAST

    def find(self) -> list[str]:
        found: list[str] = []
        for self.least in LEASTS:
            self.kept = {}
            found = [name for child in self._children("") for name in self._visit(child)]
            if sum(self.macs[name] for name in found) >= ENOUGH * self.macs[""]:
                break
        order = {name: i for i, name in enumerate(self.modules)}
        return sorted(found, key=order.__getitem__)

    def named(self, nodes: Sequence[str]) -> list[str]:
        """The user's nodes, checked."""
        if isinstance(nodes, str) or not nodes:
            raise ModelError(f"nodes= is a list of dotted names of modules, not {nodes!r}")
        for name in nodes:
            if name not in self.modules or not name:
                near = nearest(name, [other for other in self.modules if other and other not in self.why_not])
                hint = f" Did you mean '{near}'?" if near else ""
                raise ModelError(f"nodes= names {name!r}, and {type(self.model).__name__} has no such module.{hint}")
            if name in self.why_not:
                raise ModelError(f"nodes= names '{name}', which cannot be a node: {self.why_not[name]}")
            above = next((other for other in nodes if name != other and name.startswith(f"{other}.")), None)
            if above is not None or list(nodes).count(name) > 1:
                other = f"is inside '{above}'" if above else "is there more than once"
                raise ModelError(f"nodes= names '{name}', which {other}; nodes stand beside each other")
        order = {name: i for i, name in enumerate(self.modules)}
        return sorted(nodes, key=order.__getitem__)

    def node(self, name: str) -> CutNode:
        fact = self.facts[name]
        assert fact.input_shape is not None
        assert fact.output_shape is not None
        share = self.macs[name] / max(self.macs[""], 1)
        kind = _kind(self.modules[name])
        return CutNode(
            name, fact.input_shape, fact.output_shape, self.macs[name], self.params[name], share, kind, fact.merges,
            fact.other_arguments,
        )  # fmt: skip

    def _children(self, name: str) -> list[str]:
        inside = f"{name}." if name else ""
        children = (inside + child for child, _ in self.modules[name].named_children())
        return [child for child in children if child in self.modules]

    def _inside(self, name: str) -> Iterator[str]:
        return (other for other in self.modules if other.startswith(f"{name}."))

    def _visit(self, name: str) -> list[str]:
        """The nodes at and inside a module."""
        if not any(self.macs[other] for other in (name, *self._inside(name))) and not self._is_part(name):
            return []
        why = self.why_not.get(name)
        if why and self.facts[name].calls > 1:
            self.kept[name] = why
            return []
        before = dict(self.kept)
        inside = [found for child in self._children(name) for found in self._visit(child)]
        if why is None and self._is_node(name, inside):
            self.kept = before
            return [name]
        if (
            why
            and self.macs[name]
            and self.facts[name].calls
            and sum(map(self.macs.__getitem__, inside)) < self.macs[name] / 2
        ):
            self.kept = before | {name: why}
        return inside

    def _is_node(self, name: str, inside: Sequence[str]) -> bool:
        """Whether a module that can be a node is one, or is taken apart into the nodes inside it."""
        share = self.macs[name] / max(self.macs[""], 1)
        merging = [other for other in self._inside(name) if self._merges(other)]
        whole = sum(self.macs[other] for other in inside) >= 0.8 * self.macs[name]
        composite = [other for other in inside if self._n_large(other) > 1 or self._merges(other)]
        if self._merges(name):
            blocks = [other for other in inside if self._merges(other)]
            if whole and (len(composite) > 4 or (len(composite) > 2 and share > GROUP)):
                return False
            if share > MOST and whole and len(inside) > SEQUENCE:
                return False
            return not (share > MOST and blocks and sum(map(self.macs.__getitem__, blocks)) >= 0.5 * self.macs[name])
        if merging or not self._is_part(name):
            return False
        return self._n_large(name) <= SEQUENCE and len(composite) < 2

    def _merges(self, name: str) -> bool:
        return self.facts[name].merges and self.macs[name] > 0

    def _is_part(self, name: str) -> bool:
        """Whether a module has a share that is worth to be a node."""
        macs, params = max(self.macs[""], 1), max(self.params[""], 1)
        return self.macs[name] >= self.least * macs or self.params[name] >= LEAST * params

    def _n_large(self, name: str) -> int:
        """Layers with weights of their own that have a share of a module's MACs; or of its parameters, without MACs."""
        layers = [
            other
            for other in (name, *self._inside(name))
            if any(True for _ in self.modules[other].parameters(recurse=False))
        ]
        return sum(self.macs[layer] >= HEAVY * self.macs[name] > 0 for layer in layers)


def _kind(module: nn.Module) -> str:
    parts = list(module.modules())
    if any(isinstance(part, nn.MultiheadAttention) or hasattr(part, "num_heads") for part in parts):
        return "attention"
    if any(isinstance(part, _CONVOLUTIONS) for part in parts):
        return "convolution"
    return "linear" if any(isinstance(part, nn.Linear) for part in parts) else "other"


def recorded(model: nn.Module, names: Sequence[str], example: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """The input and the output of modules in one forward pass of a model in evaluation mode, by their names."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    handles = []
    for name in names:

        def enter(module: nn.Module, args: tuple[Tensor, ...], name: str = name) -> None:
            inputs[name] = args[0].detach().clone()  # the module may change it in place

        def leave(module: nn.Module, args: tuple[Tensor, ...], out: Tensor, name: str = name) -> None:
            outputs[name] = out.detach().clone()

        module = model.get_submodule(name)
        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with no_gradients(), untouched():
            model(example.clone())
    finally:
        for handle in handles:
            handle.remove()
    return {name: (inputs[name], outputs[name]) for name in names}


def _off_alone(module: nn.Module, fed: Tensor, wanted: Tensor) -> str:
    """Why a module that looks like a node is none: it does other things alone than in the network. Else empty."""
    try:
        with no_gradients(), untouched():
            alone = module(fed.clone())
    except PASSED_ON:
        raise
    except BaseException as error:
        return f"alone it raises {type(error).__name__}: {first_line_said(error)}"
    return "" if same(alone, wanted) else "alone it gives another output than in the network"
