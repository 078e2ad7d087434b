"""Flatness: how little a trained network's loss rises where its weights are moved a little.

Jeong et al., GeNAS: Neural Architecture Search with Better Generalization, IJCAI 2023 (arXiv 2305.08611). Its released
code adds the loss itself over the first deviation, which outweighs the slopes; here are the slopes alone, and the noise
is relative to the size of each tensor, so that the scale of a layer does not matter.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from searchkit.errors import CandidateError, ProxyError
from searchkit.scoring.passes.passes import Built
from searchkit.training.recalibration import fresh_statistics
from searchkit.training.tasks.losses import plain_loss
from searchkit.training.tasks.outputs import check_outputs

_STREAM = 5  # of the candidate's random numbers


@dataclass(frozen=True)
class Flatness:
    """Minus the mean slope of the loss along random directions from trained weights; higher is flatter.

    Only for networks with weights that are given (``weights=``): those at random are nowhere near a minimum.

    Args:
        deviations: of the noise, rising, each times the root mean square of a tensor.
        batch: of the images that statistics are taken on, and of those that the loss is of.
    """

    deviations: tuple[float, ...] = (0.02, 0.05, 0.1)
    batch: int = 128

    names = ("flatness",)

    def __post_init__(self) -> None:
        rising = list(self.deviations) == sorted({d for d in self.deviations if d > 0})
        if not self.deviations or not rising:
            raise ProxyError(f"flatness takes deviations above 0 that rise, not {self.deviations!r}")

    @property
    def passes(self) -> tuple[PerturbedPass, ...]:
        return (PerturbedPass(self.deviations, self.batch),)

    def values(self, recordings: Sequence[list[float]]) -> Mapping[str, float]:
        """``{"flatness": minus the mean slope}`` of the losses without noise and with each deviation."""
        losses, at = recordings[0], (0.0, *self.deviations)
        slopes = [
            abs(losses[i + 1] - losses[i]) / (at[i + 1] - at[i]) for i in range(len(self.deviations))
        ]  # the sum of GeNAS, equation 3, without the level
        return {"flatness": -sum(slopes) / len(slopes)}


@dataclass(frozen=True)
class PerturbedPass:
    """Losses of a trained network without noise and with each deviation, along one direction."""

    deviations: tuple[float, ...]
    batch: int

    @property
    def key(self) -> Hashable:
        return ("perturbed", self.deviations, self.batch)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> list[float]:
        """The losses.

        Raises:
            CandidateError: no weights were given for the network.
        """
        if not built.taken:
            raise CandidateError("it is for trained weights: give weights=, such as searchkit.SharedWeights")
        network, generator = built.network, built.generator(_STREAM)
        statistics = built.inputs.images(self.batch, 0)[0]
        x, y = built.inputs.images(self.batch, 1)
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        started = [parameter.detach().clone() for parameter in parameters]
        noise = [_direction(parameter, generator) for parameter in parameters]
        losses = []
        with torch.no_grad():
            for deviation in (0.0, *self.deviations):
                for parameter, first, direction in zip(parameters, started, noise, strict=True):
                    parameter.copy_(first + deviation * direction)
                with fresh_statistics(network):
                    network(statistics)
                outputs = network(x)
                check_outputs(outputs, len(y), built.inputs.output_shape)
                losses.append(float(plain_loss(outputs, y, built.inputs.task)))
        return losses


def _direction(parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise of the size of a tensor."""
    drawn = torch.randn(parameter.shape, generator=generator).to(parameter.device)
    return drawn * parameter.detach().square().mean().sqrt()
