"""Zen score: how much features change when the input of a network with Gaussian weights does.

Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition, ICCV 2021 (arXiv 2102.01063),
algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from searchkit.errors import CandidateError
from searchkit.runtime.torch_compat import BatchNorm
from searchkit.runtime.transfer import to_device
from searchkit.scoring.passes.feature_maps import stage_maps
from searchkit.scoring.passes.forward import weight_layers
from searchkit.scoring.passes.passes import Built
from searchkit.space.inputs import kind_of


@dataclass(frozen=True)
class Zen:
    """log of the mean change of the last feature map, plus log of each batch norm's mean standard deviation.

    Args:
        batch: number of inputs, standard normal.
        perturbation: size of the change, in standard deviations of the input.
        repeats: draws of weights and input that are averaged; the paper has 32, and each costs as much as the first.
    """

    batch: int = 16
    perturbation: float = 0.01
    repeats: int = 1

    names = ("zen",)

    @property
    def passes(self) -> tuple[ZenPass, ...]:
        return (ZenPass(self.batch, self.perturbation, self.repeats),)

    def values(self, recordings: Sequence[float]) -> Mapping[str, float]:
        """``{"zen": score}``; without batch norm its variances' term is 0."""
        if not math.isfinite(recordings[0]):
            raise CandidateError("its features do not depend on its input, or not finitely")
        return {"zen": recordings[0]}


@dataclass(frozen=True)
class ZenPass:
    """Two forward passes a repeat, without gradients: of an input, and of the same perturbed."""

    batch: int
    perturbation: float
    repeats: int

    @property
    def key(self) -> Hashable:
        return ("zen", self.batch, self.perturbation, self.repeats)

    def joined(self, other: Self) -> Self:
        return self

    @torch.no_grad()
    def run(self, built: Built) -> float:
        """The score."""
        kind = kind_of(built.inputs.input_shape)
        if kind == "table":
            raise CandidateError("it reads feature maps of images, and a network for tables has none")
        if kind == "tokens":
            raise CandidateError("it perturbs its inputs a little, and tokens are no quantities")
        scores = []
        for repeat in range(self.repeats):
            _draw_weights(built.network, built.generator(repeat + 2))
            x = built.inputs.noise(self.batch, 2 * repeat)[0]
            change = built.inputs.noise(self.batch, 2 * repeat + 1)[0]
            with ExitStack() as stack:
                norms = [module for module in built.network.modules() if isinstance(module, nn.BatchNorm2d)]
                for norm in norms:  # so that their running variance is this batch's
                    stack.callback(setattr, norm, "momentum", norm.momentum)
                    norm.momentum = 1.0
                before = stage_maps(built.network, x)[-1]
                deviations = [n.running_var.mean().sqrt().log() for n in norms if n.running_var is not None]
                after = stage_maps(built.network, x + self.perturbation * change)[-1]
            change_of_features = (before - after).abs().mean().log()
            scores.append(change_of_features + sum(deviations))  # Lin et al., algorithm 1: the Zen score
        found: list[float] = torch.stack(scores).tolist()
        return sum(found) / len(found)


def _draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """N(0, 1) weights, no biases, batch norms that only normalise."""
    layers = weight_layers(network)
    weights = [layer.weight for layer in layers if isinstance(layer.weight, Tensor)]
    drawn = [torch.randn(weight.shape, generator=generator) for weight in weights]
    for weight, values in zip(weights, to_device(drawn, weights[0].device) if weights else (), strict=True):
        weight.copy_(values)
    for layer in layers:
        if isinstance(layer.bias, Tensor):
            layer.bias.zero_()
    for module in network.modules():
        if isinstance(module, BatchNorm) and module.affine:
            module.weight.fill_(1.0)
            module.bias.fill_(0.0)
