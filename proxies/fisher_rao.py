"""Fisher-Rao: how much the loss changes as a network's weights grow, after a few steps of training or none.

Zhu et al., SiGeo: Sub-One-Shot NAS via Information Theory and Geometry of Loss Landscape, 2023 (arXiv 2311.13169): its
score is this, ZiCo and minus the training loss, summed. Liang et al., Fisher-Rao Metric, Geometry, and Complexity of
Neural Networks, AISTATS 2019 (arXiv 1711.01530).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from searchkit.errors import CandidateError, ProxyError
from searchkit.scoring.passes.passes import Built
from searchkit.training.tasks.losses import plain_loss
from searchkit.training.tasks.outputs import check_outputs


@dataclass(frozen=True)
class FisherRao:
    """log |sum over weights of weight times the gradient of the loss, summed over minibatches|; higher is better.

    With ``weights=`` of a short training (``SharedWeights(space, data, epochs=0.1)``) it is SiGeo's; without, of random
    weights. SiGeo's own steps of the optimiser while it scores are left out.

    Args:
        batch: labelled images in each minibatch.
        n_batches: number of minibatches; the released code's 4.
    """

    batch: int = 32
    n_batches: int = 4

    names = ("fisher_rao",)

    def __post_init__(self) -> None:
        if self.batch < 2 or self.n_batches < 1:
            raise ProxyError(
                f"fisher_rao takes 1 or more minibatches of 2 or more, not {self.n_batches} of {self.batch}"
            )

    @property
    def passes(self) -> tuple[GrowthPass, ...]:
        return (GrowthPass(self.batch, self.n_batches),)

    def values(self, recordings: Sequence[float]) -> Mapping[str, float]:
        """``{"fisher_rao": logarithm}``; refused where the sum is 0 or not finite."""
        total = abs(recordings[0])
        if not math.isfinite(total) or total == 0:
            raise CandidateError("its loss does not depend on its weights, or is not finite")
        return {"fisher_rao": math.log(total)}


@dataclass(frozen=True)
class GrowthPass:
    """Forward and backward passes in training mode, and what weights and gradients come to together."""

    batch: int
    n_batches: int

    @property
    def key(self) -> Hashable:
        return ("growth", self.batch, self.n_batches)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> float:
        """Sum over parameters of parameter times gradient, over all minibatches."""
        for i in range(self.n_batches):  # gradients add up
            x, y = built.inputs.images(self.batch, i)
            outputs = built.network(x)
            check_outputs(outputs, len(y), built.inputs.output_shape)
            plain_loss(outputs, y, built.inputs.task).backward()  # type: ignore[no-untyped-call]
        parts = [
            (parameter.detach().double() * parameter.grad.double()).sum()
            for parameter in built.network.parameters()
            if parameter.grad is not None
        ]
        return float(torch.stack(parts).sum()) if parts else 0.0
