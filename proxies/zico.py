"""ZiCo: large gradients that agree from minibatch to minibatch.

Li et al., ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients, ICLR 2023 (arXiv 2301.11300),
equation 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from searchkit.errors import CandidateError, ProxyError
from searchkit.scoring.passes.forward import Forward, ForwardRecording


@dataclass(frozen=True)
class ZiCo:
    """Sum over layers of log(sum over weights of mean |g| / std g), over minibatches.

    Args:
        batch: labelled images in each minibatch.
        n_batches: number of minibatches, at least 2; the paper's 2.
    """

    batch: int = 32
    n_batches: int = 2

    names = ("zico",)

    def __post_init__(self) -> None:
        if self.n_batches < 2:
            raise ProxyError(f"zico compares 2 or more minibatches, not {self.n_batches}")

    @property
    def passes(self) -> tuple[Forward, ...]:
        return tuple(Forward(frozenset({"weight_gradients"}), batch=self.batch, index=i) for i in range(self.n_batches))

    def values(self, recordings: Sequence[ForwardRecording]) -> Mapping[str, float]:
        """``{"zico": sum}``; a layer that no gradient reaches adds nothing. Refused where the loss overflows."""
        ratios, finite = [], []
        for layer in zip(*(recording.weight_gradients for recording in recordings), strict=True):
            if len(layer) == 2:  # as below, without stacking
                mean, std = (layer[0].abs() + layer[1].abs()) / 2, (layer[0] - layer[1]).abs() / 2
            else:
                gradients = torch.stack(layer)
                mean, std = gradients.abs().mean(dim=0), gradients.std(dim=0, correction=0)
            ratios.append(torch.where(std > 0, mean / std, 0.0).sum())  # the inner sum of eq. (7) of Li et al.
            finite += [torch.isfinite(gradient).all() for gradient in layer]
        found = torch.stack(ratios).tolist()
        if not all(map(math.isfinite, found)) or not bool(torch.stack(finite).all()):
            raise CandidateError("its loss or its gradients are not finite")
        total = 0.0
        for ratio in found:
            total += math.log(ratio) if ratio > 0 else 0.0  # eq. (7): the logarithms summed over layers
        return {"zico": total}
