"""One forward pass in training mode, and the backward passes that start from it.

All proxies share the forward pass; each backward pass (to the input, to the blocks, to the weights) is run only where
a proxy needs it, on the same graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor, nn

from searchkit.errors import CandidateError
from searchkit.scoring.passes.activation_signs import Signs
from searchkit.scoring.passes.feature_maps import Maps, attends, map_axes, recording
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built
from searchkit.training.tasks.losses import plain_loss
from searchkit.training.tasks.outputs import check_outputs
from searchkit.types import Task

Reads = Literal["agreement", "stages", "blocks", "input_gradient", "pullbacks", "weight_gradients"]
_BACKWARD = {"input_gradient", "pullbacks", "weight_gradients"}


@dataclass(frozen=True)
class Forward:
    """A forward pass of ``batch`` inputs in training mode, with whichever of these recorded:

    Args:
        reads: "agreement" (signs of the ReLUs), "stages", "blocks" (feature maps), "input_gradient" (of the sum of
            logits), "pullbacks" (random cotangents at each block's output, pulled back to its input),
            "weight_gradients" (of the mean cross-entropy).
        source: "noise" (standard normal) or "images" (training images; noise where there are no data).
        batch: number of inputs.
        index: another index is another batch.
        n_patterns: of how many images (at most 60) the ReLUs' sign patterns are kept; 0 for none.
    """

    reads: frozenset[Reads]
    source: Literal["noise", "images"] = "images"
    batch: int = 32
    index: int = 0
    n_patterns: int = 0

    @property
    def key(self) -> Hashable:
        return ("forward", self.source, self.batch, self.index)

    def joined(self, other: Self) -> Self:
        return replace(self, reads=self.reads | other.reads, n_patterns=max(self.n_patterns, other.n_patterns))

    def run(self, built: Built) -> ForwardRecording:
        """The pass; see :class:`ForwardRecording`."""
        x, y = (built.inputs.noise if self.source == "noise" else built.inputs.images)(self.batch, self.index)
        backward = bool(_BACKWARD & self.reads)
        to_input = "input_gradient" in self.reads and x.is_floating_point()
        x = x.detach().requires_grad_(to_input)
        with ExitStack() as stack:
            stack.enter_context(nullcontext() if backward else torch.no_grad())
            maps, blocks = Maps(), bool({"blocks", "pullbacks"} & self.reads)
            if {"stages", "blocks", "pullbacks"} & self.reads:
                maps = stack.enter_context(recording(built.network, blocks=blocks, n_axes=map_axes(x)))
            signs = Signs(self.batch, built.device, agreement="agreement" in self.reads, n_patterns=self.n_patterns)
            if "agreement" in self.reads or self.n_patterns:
                stack.enter_context(signs)
            logits = built.network(x)
        check_outputs(logits, self.batch, built.inputs.output_shape)
        signs.forget_activations()
        recorded = ForwardRecording(signs, [m.detach() for m in maps.stages], [m.detach() for m in maps.blocks])
        recorded.attends, recorded.attending = attends(built.network), maps.attending
        if to_input:
            recorded.input_gradient = _input_gradient(logits, x)
        if "pullbacks" in self.reads:
            recorded.pullbacks = _pullbacks(maps.blocks, built.inputs)
        if "weight_gradients" in self.reads:
            recorded.loss, recorded.weight_gradients = _weight_gradients(built.network, logits, y, built.inputs.task)
        return recorded


@dataclass
class ForwardRecording:
    """What :class:`Forward` recorded; fields that were not asked for are empty.

    Attributes:
        signs: of the ReLUs.
        stages, blocks: feature maps ``(batch, c, h, w)``, shallow to deep; ``(batch, units)`` of a table, ``(batch, c,
            length)`` of signals and tokens.
        input_gradient: ``(batch, c * h * w)``; None of tokens, which have none.
        pullbacks: for every block but the first, the random +-1 cotangent at its output and the same pulled back to the
            block before, which is None where nothing arrives there.
        loss: ``()`` the mean loss of the task, on the device, because reading it would wait for a GPU.
        weight_gradients: one for each convolution and linear layer, shaped as its weight.
        attends, attending: whether the network has attention, and which of its blocks have.
    """

    signs: Signs
    stages: list[Tensor]
    blocks: list[Tensor]
    input_gradient: Tensor | None = None
    pullbacks: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    loss: Tensor | None = None
    weight_gradients: list[Tensor] = field(default_factory=list)
    attends: bool = False
    attending: list[bool] = field(default_factory=list)


def weight_layers(network: nn.Module) -> list[nn.Module]:
    """Convolutions and linear layers."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return [module for module in network.modules() if isinstance(module, kinds)]


def _input_gradient(logits: Tensor, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), x, retain_graph=True)
    return gradient.flatten(1)


def _pullbacks(blocks: list[Tensor], inputs: ProxyInputs) -> list[tuple[Tensor, Tensor | None]]:
    """One call per block, each over that block's part of the graph only; together they cost one backward pass."""
    pairs: list[tuple[Tensor, Tensor | None]] = []
    for before, after in itertools.pairwise(blocks):
        cotangent = inputs.signs(tuple(after.shape))
        if not (after.requires_grad and before.requires_grad):
            pairs.append((cotangent, None))
            continue
        (pulled,) = torch.autograd.grad(after, before, cotangent, retain_graph=True, allow_unused=True)
        pairs.append((cotangent, pulled))
    return pairs


def _weight_gradients(network: nn.Module, logits: Tensor, y: Tensor, task: Task) -> tuple[Tensor, list[Tensor]]:
    weights = [p for layer in weight_layers(network) if isinstance(p := layer.weight, Tensor) and p.requires_grad]
    if not weights:
        raise CandidateError("it has no convolution and no linear layer")
    loss = plain_loss(logits, y, task)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    zeros = (torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True))
    return loss.detach(), list(zeros)
