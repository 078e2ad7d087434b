"""The library: for each node of a network the cheaper modules that can stand in its place, made from its weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from searchkit.compression.attention import fewer_heads
from searchkit.compression.channels import Group, groups_of
from searchkit.compression.cheaper_layers import changed, grouped, low_rank, separable, smaller_kernel
from searchkit.compression.cutting import Cut, CutNode, cut_given, recorded
from searchkit.compression.given import Given, given
from searchkit.compression.layers import OfInputAlone
from searchkit.compression.linear_maps import linear_map
from searchkit.compression.narrowing import narrowed, sound, width_of
from searchkit.costs.counts import count
from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON, CandidateError, ModelError, first_line_said
from searchkit.random_state import seeded, untouched
from searchkit.runtime.copies import copied

ORIGINAL = "original"
SHARES = {"1/2": 1 / 2, "1/4": 1 / 4, "1/8": 1 / 8}
HELD = 2**29  # bytes of activations that are held at a time
PICTURES = 32  # of the example that are used at most

log = logging.getLogger("searchkit")

Own = Callable[[str, nn.Module, tuple[int, ...], tuple[int, ...]], Mapping[str, nn.Module]]


@dataclass(frozen=True)
class Alternative:
    """A module that can stand at a node, with what it costs.

    Attributes:
        params, macs: of the module alone, for one input.
    """

    module: nn.Module
    params: int
    macs: int


@dataclass
class Library:
    """The alternatives of the nodes of a network.

    Attributes:
        alternatives: node -> label -> alternative; the first is "original".
        left_out: node -> label -> why it is no alternative.
    """

    alternatives: dict[str, dict[str, Alternative]] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)

    def report(self) -> str:
        """A table of the alternatives with their share of the original's parameters and MACs, and what is left out."""
        lines = []
        for node, options in self.alternatives.items():
            lines.append(node)
            first = options[ORIGINAL]
            for label, one in options.items():
                params, macs = one.params / max(first.params, 1), one.macs / max(first.macs, 1)
                lines.append(f"  {label:16} {params:7.1%} of the params  {macs:7.1%} of the MACs")
            lines += [f"  left out: {label}: {why}" for label, why in self.left_out.get(node, {}).items()]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.report()


def library_of(
    model: nn.Module, example: npt.ArrayLike | Tensor, *, cut: Cut | None = None, alternatives: Own | None = None
) -> Library:
    """The alternatives of every node of a trained network, each no dearer than the original and made from its weights.

    Args:
        model: as in :func:`searchkit.compression.cutting.cut`; not changed.
        example: ``(n, c, h, w)`` pictures that the network is used on; up to 32 tell which channels matter.
        cut: its nodes; found where not given.
        alternatives: ``(name, module, input_shape, output_shape) -> {label: module}``, further ones of a node; the
            module is a copy, shapes are without the batch.

    Raises:
        ModelError: of :func:`searchkit.compression.cutting.cut`; or ``alternatives`` raises, or returns something else.
    """
    checked = given(model, example)
    return library_given(checked, cut or cut_given(checked), alternatives)


def library_given(checked: Given, cut: Cut, own: Own | None = None) -> Library:
    """:func:`library_of` of a network that was checked before."""
    library = Library()
    for some in _portions(cut.nodes):
        names = [node.name for node in some]
        n = _n_pictures(some, len(checked.example))
        seen = recorded(checked.model, names, checked.example[:n])
        for node in some:
            module = checked.model.get_submodule(node.name)
            maker = _Maker(node, module, *seen.pop(node.name))
            maker.make(own)
            library.alternatives[node.name] = maker.found
            if maker.left_out:
                library.left_out[node.name] = maker.left_out
    return library


def _bytes(node: CutNode) -> int:
    return 4 * (torch.Size(node.input_shape).numel() + torch.Size(node.output_shape).numel())


def _n_pictures(nodes: Sequence[CutNode], n: int) -> int:
    """Pictures of which the activations at some nodes can be held."""
    return min(n, PICTURES, max(2, HELD // max(1, sum(map(_bytes, nodes)))))


def _portions(nodes: Sequence[CutNode]) -> Iterator[list[CutNode]]:
    """Nodes in portions of which the activations of 8 pictures can be held."""
    portion: list[CutNode] = []
    for node in nodes:
        if portion and 8 * sum(map(_bytes, [*portion, node])) > HELD:
            yield portion
            portion = []
        portion.append(node)
    if portion:
        yield portion


class _Maker:
    """The alternatives of one node."""

    def __init__(self, node: CutNode, module: nn.Module, fed: Tensor, wanted: Tensor) -> None:
        self.node, self.module, self.fed, self.wanted = node, module, fed, wanted
        cost = count(module, node.input_shape)
        self.found = {ORIGINAL: Alternative(module, cost["params"], cost["macs"])}
        self.left_out: dict[str, str] = {}

    def make(self, own: Own | None) -> None:
        """Make all, and the user's."""
        with seeded(0):
            for label, made in self._all():
                self._add(label, made)
        for label, module in self._own(own).items():
            self._add(label, partial(_itself, module), users=True)

    def _all(self) -> Iterator[tuple[str, Callable[[], nn.Module | None]]]:
        groups = sound(self.module, groups_of(self.module, self.fed), self.fed[:2])
        for label, share in SHARES.items():
            if groups:
                yield f"width {label}", partial(self._narrower, groups, share)
            else:
                single = self.wanted if isinstance(self.module, nn.Conv2d | nn.Linear) else None
                yield f"rank {label}", partial(changed, self.module, low_rank(share, single))
        if not groups and self.node.block:
            self.left_out["width"] = "no inner channels were found that can be removed"
        for label, module in fewer_heads(self.module, self.fed, SHARES).items():
            yield f"heads {label}", partial(_itself, module)
            if groups:
                yield f"heads {label}, width 1/2", partial(self._narrower_attention, module)
        yield "separable", partial(changed, self.module, separable)
        yield "grouped 4", partial(changed, self.module, grouped(4))
        for size in (3, 1):
            yield f"kernel {size}", partial(changed, self.module, smaller_kernel(size))
        yield "linear map", partial(linear_map, self.fed, self.wanted)
        if self.node.input_shape == self.node.output_shape:
            yield "no block", nn.Identity

    def _narrower(self, groups: Sequence[Group], share: float) -> nn.Module:
        kept = [(group, group.most_important(width_of(group, share))) for group in groups]
        return narrowed(self.module, kept)

    def _narrower_attention(self, module: nn.Module) -> nn.Module | None:
        groups = sound(module, groups_of(module, self.fed), self.fed[:2])
        kept = [(group, group.most_important(width_of(group, 0.5))) for group in groups]
        return narrowed(module, kept) if kept else None

    def _own(self, own: Own | None) -> Mapping[str, nn.Module]:
        """What the user's function gives for the node."""
        if own is None:
            return {}
        name = self.node.name
        try:
            with untouched():
                given = own(name, copied(self.module), self.node.input_shape, self.node.output_shape)
        except PASSED_ON:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {first_line_said(error)}"
            raise ModelError(f"alternatives= raised for node '{name}': {said}") from error
        if not isinstance(given, Mapping) or not all(
            isinstance(label, str) and label and isinstance(module, nn.Module) for label, module in given.items()
        ):
            raise ModelError(
                f"alternatives= returned {given!r:.80} for node '{name}'; it returns a dictionary of labels and modules"
            )
        taken = sorted({*given} & {*self.found, *self.left_out})
        if taken:
            raise ModelError(f"alternatives= returned '{taken[0]}' for node '{name}', which is there already")
        return given

    def _add(self, label: str, made: Callable[[], nn.Module | None], users: bool = False) -> None:
        """Add an alternative, or say why it is none."""
        try:
            module = made()
            if module is None:
                return  # of this kind there is none for this node
            module = copied(module).to("cpu").eval() if users else module.eval()
            why, cost = self._why_not(module)
        except PASSED_ON:
            raise
        except Exception as error:
            why, cost = f"it raises {type(error).__name__}: {first_line_said(error)}", {}
            if isinstance(error, CandidateError):
                why = str(error)
        if why:
            self.left_out[label] = why
            if users:
                log.warning("alternative '%s' of node '%s' is left out: %s", label, self.node.name, why)
            return
        assert module is not None
        module = OfInputAlone(module) if self.node.further else module
        self.found[label] = Alternative(module.requires_grad_(True), cost["params"], cost["macs"])

    def _why_not(self, module: nn.Module) -> tuple[str, dict[str, int]]:
        with no_gradients(), untouched():
            out: Any = module(self.fed[:2].clone())
        if not isinstance(out, Tensor) or out.shape != self.wanted[:2].shape:
            shape = tuple(out.shape[1:]) if isinstance(out, Tensor) else type(out).__name__
            return f"it gives {shape} and not {self.node.output_shape}", {}
        if not torch.isfinite(out).all():
            return "it gives values that are NaN or infinite", {}
        cost = count(module, self.node.input_shape)
        first = self.found[ORIGINAL]
        if cost["params"] > first.params or cost["macs"] > first.macs:
            return f"it is dearer: {cost['params']:,} params and {cost['macs']:,} MACs", cost
        if cost["params"] == first.params and cost["macs"] == first.macs:
            return "it saves nothing", cost
        for label, other in self.found.items():
            if (other.params, other.macs) == (cost["params"], cost["macs"]) and _same_kind(label, other, module):
                return f"it is '{label}'", cost
        return "", cost


def _same_kind(label: str, other: Alternative, module: nn.Module) -> bool:
    """Whether two alternatives of one cost are one: all their tensors have the same shapes."""
    mine, others = ([(name, tuple(t.shape)) for name, t in m.state_dict().items()] for m in (module, other.module))
    return mine == others and label != ORIGINAL


def _itself(module: nn.Module) -> nn.Module:
    return module
