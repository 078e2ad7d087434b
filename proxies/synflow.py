"""Synaptic flow: how much of the weights reaches the output, computed without data.

Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, NeurIPS 2020 (arXiv
2006.05467), equation 5; as a score of networks, Abdelfattah et al., ICLR 2021 (arXiv 2101.08134).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from searchkit.errors import CandidateError
from searchkit.runtime.torch_compat import BatchNorm
from searchkit.scoring.passes.forward import weight_layers
from searchkit.scoring.passes.passes import Built
from searchkit.space.inputs import kind_of

# What a norm over a sample's own values gives does not grow with its input: all that flows in front of it would be 0.
_NORMS = (BatchNorm, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Synflow:
    """log of sum |w dR/dw|: R is the output for an input of ones, with absolute weights and no batch or layer norm."""

    names = ("synflow",)

    @property
    def passes(self) -> tuple[SynflowPass, ...]:
        return (SynflowPass(),)

    def values(self, recordings: Sequence[float]) -> Mapping[str, float]:
        """``{"synflow": log of the sum}``; refused where nothing flows."""
        if not 0 < recordings[0] < math.inf:
            raise CandidateError("no signal reaches its output, or an infinite one")
        return {"synflow": math.log(recordings[0])}


@dataclass(frozen=True)
class SynflowPass:
    """One forward and one backward pass of a single input in float64: products of a hundred layers overflow float32.

    A layer is linear in its weights w: summed over them, w dR/dw equals the sum of (y - bias) dR/dy over its output y.
    So the gradients of the weights are never needed. With absolute weights no term is negative, but for those of
    attention's queries and keys, whose flow is the difference of what they raise and what they lower.
    """

    @property
    def key(self) -> Hashable:
        return "synflow"

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> float:
        """sum |w dR/dw| over convolutions and linear layers."""
        if kind_of(built.inputs.input_shape) == "tokens":
            raise CandidateError("it feeds ones to the network, and tokens are no quantities")
        network = built.network
        outputs: list[tuple[nn.Module, Tensor]] = []

        def seen(module: nn.Module, args: Any, output: Tensor) -> None:
            outputs.append((module, output))

        with ExitStack() as stack:
            stack.callback(network.float)
            for module in network.modules():
                if isinstance(module, _NORMS):
                    stack.callback(module.__dict__.pop, "forward")
                    module.forward = _identity  # type: ignore[assignment,method-assign]
            for layer in weight_layers(network):
                stack.callback(layer.register_forward_hook(seen).remove)
            network.eval().double()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.abs_().requires_grad_(False)
            shape = (1, *built.inputs.input_shape)
            x = torch.ones(shape, dtype=torch.float64, device=built.device, requires_grad=True)
            out = network(x).sum()  # R of Tanaka et al., eq. (5): all-ones input, absolute weights
            gradients = torch.autograd.grad(out, [y for _, y in outputs], allow_unused=True)
        flows = [
            (_without_bias(layer, y.detach()) * gradient).sum()  # synaptic saliency dR/dw * w, summed over a layer
            for (layer, y), gradient in zip(outputs, gradients, strict=True)
            if gradient is not None
        ]
        total = 0.0
        for flow in torch.stack(flows).tolist() if flows else ():
            total += flow
        return total


def _identity(x: Tensor) -> Tensor:
    return x


def _without_bias(layer: nn.Module, y: Tensor) -> Tensor:
    if not isinstance(bias := layer.bias, Tensor):
        return y
    channel = -1 if isinstance(layer, nn.Linear) else 1
    shape = [1] * y.ndim
    shape[channel] = -1
    return y - bias.abs().to(y.dtype).view(shape)
