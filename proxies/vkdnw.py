"""VKDNW: how evenly the Fisher information of a network's weights is spread over its eigenvalues.

Tybl and Neumann, Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights, CVPR
2025 (arXiv 2502.04975). Alone, the paper ranks by the number of layers first: by the sum of ``layers`` and ``vkdnw``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.errors import CandidateError, ProxyError, plural
from searchkit.proxies.eproxy_pass import draw_weights
from searchkit.proxies.vkdnw_jacobian import SingleWeight, jacobian
from searchkit.runtime.transfer import to_host
from searchkit.scoring.passes.passes import Built
from searchkit.space.inputs import kind_of

MOST = 128  # weight tensors that are looked at
_FEWEST_INPUTS, _MOST_INPUTS = 16, 64
_SMOOTHED = 0.05  # share of the uniform distribution in what the network says of the classes
_STREAM = 4  # of the candidate's random numbers


@dataclass(frozen=True)
class VKDNW:
    """Entropy of the nine deciles of the eigenvalues of the Fisher information, as shares of their sum.

    The Fisher information of at most 128 weights, one of each convolution, linear layer or other tensor of two or more
    dimensions, in evaluation mode, with Kaiming's normal weights. At most log 9, where all deciles are equal; larger is
    better. Which number of a tensor is taken is drawn from the candidate's seed; of more than 128 tensors those that
    divide the depth evenly.

    Args:
        batch: number of inputs, 1 to 64; None: of 16 to 64 as few as tell 128 weights apart, of which each input tells
            as many as there are classes but one. With fewer, deep networks have eigenvalues of 0.
        source: "noise" (standard normal) or "images" (training images; noise where there are no data).
    """

    batch: int | None = None
    source: Literal["noise", "images"] = "noise"

    names = ("vkdnw",)

    def __post_init__(self) -> None:
        if self.batch is not None and not 1 <= self.batch <= _MOST_INPUTS:
            raise ProxyError(f"vkdnw takes 1 to {_MOST_INPUTS} inputs, not {self.batch}")
        if self.source not in ("noise", "images"):
            raise ProxyError(f"vkdnw takes 'noise' or 'images', not {self.source!r}")

    @property
    def passes(self) -> tuple[FisherPass, ...]:
        return (FisherPass(self.source, self.batch),)

    def values(self, recordings: Sequence[Tensor]) -> Mapping[str, float]:
        """``{"vkdnw": entropy}``; refused for a network with one weight tensor, or with hardly any that matter."""
        return {"vkdnw": spectral_entropy(recordings[0])}


@dataclass(frozen=True)
class FisherPass:
    """A forward pass in evaluation mode, and a backward pass for every class."""

    source: Literal["noise", "images"]
    batch: int | None

    @property
    def key(self) -> Hashable:
        return ("fisher", self.source, self.batch)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> Tensor:
        """``(k, k)`` float64 on the CPU: Fisher information of k weights, times a number."""
        if kind_of(built.inputs.input_shape) == "tokens":
            raise CandidateError("it follows gradients to the inputs, and tokens have none")
        inputs, network, generator = built.inputs, built.network.eval(), built.generator(_STREAM)
        needed = -(-MOST // max(1, inputs.n_classes - 1))
        batch = self.batch or min(max(needed, _FEWEST_INPUTS), _MOST_INPUTS)
        x = (inputs.noise if self.source == "noise" else inputs.images)(batch)[0]
        draw_weights(network, "kaiming_normal", generator)
        weights = chosen_weights(network, generator)
        if len(weights) < 2:
            raise CandidateError(f"it has {plural(len(weights), 'weight tensor')}, and compares two or more")
        outputs, derivatives = jacobian(network, x, weights, inputs.output_shape)
        return fisher(
            *to_host([outputs.double(), derivatives.double()]), quantities=inputs.task in ("regression", "maps")
        )


def chosen_weights(network: nn.Module, generator: torch.Generator) -> list[SingleWeight]:
    """One number of each of at most :data:`MOST` trainable tensors of two or more dimensions, in their order."""
    tensors = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter.ndim > 1]
    n = min(MOST, len(tensors))
    kept = [tensors[i * len(tensors) // n] for i in range(n)]
    drawn = torch.rand(n, generator=generator, dtype=torch.float64).tolist()
    places = [int(share * tensor.numel()) for share, tensor in zip(drawn, kept, strict=True)]
    return [SingleWeight(t, tuple(map(int, np.unravel_index(p, t.shape)))) for t, p in zip(kept, places, strict=True)]


def fisher(outputs: Tensor, derivatives: Tensor, *, quantities: bool = False) -> Tensor:
    """``(k, k)`` mean over examples of J^T (diag p - p p^T) J, divided by the largest square in J.

    Args:
        outputs: ``(n, c)`` float64 logits, whose softmax p is smoothed; with c = 1 a quantity with normal errors, for
            which it is J^T J.
        quantities: whether all outputs are such.
        derivatives: ``(n, c, k)`` float64 J.

    Raises:
        CandidateError: they are not finite, or no weight counts.
    """
    scale = derivatives.abs().max()
    if not bool(torch.isfinite(outputs).all()) or not bool(torch.isfinite(scale)):
        raise CandidateError("its outputs or their gradients are not finite")
    if float(scale) == 0:
        raise CandidateError("its outputs depend on none of its weights")
    rows, n_classes = derivatives / scale, outputs.shape[1]
    if n_classes > 1 and not quantities:
        p = ((1 - _SMOOTHED) * outputs.softmax(dim=1) + _SMOOTHED / n_classes)[:, :, None]
        rows = p.sqrt() * (rows - (p * rows).sum(dim=1, keepdim=True))  # so that no eigenvalue is negative
    flat = rows.flatten(0, 1)
    return flat.T @ flat / len(outputs)


def spectral_entropy(information: Tensor) -> float:
    """Entropy of the nine deciles of the eigenvalues of a symmetric ``(k, k)`` matrix, as shares of their sum.

    Deciles of fewer than ten eigenvalues lie between two of them. Eigenvalues within rounding of 0 are 0.

    Raises:
        CandidateError: all deciles are 0.
    """
    eigenvalues = torch.linalg.eigvalsh(information)
    rounding = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues[-1]
    eigenvalues = torch.where(eigenvalues > rounding, eigenvalues, 0.0)
    deciles = torch.quantile(eigenvalues, torch.arange(1, 10, dtype=eigenvalues.dtype) / 10)
    total = deciles.sum()
    if not bool(total > 0):
        raise CandidateError("its outputs depend on fewer than a tenth of its weight tensors")
    return float(torch.special.entr(deciles / total).sum())  # the entropy of Tybl and Neumann, section 3
