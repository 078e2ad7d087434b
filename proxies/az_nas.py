"""AZ-NAS: expressivity, progressivity, trainability and complexity of a network's primary blocks.

Lee and Ham, AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search, CVPR 2024 (arXiv 2403.19232),
equations 1 to 9. All four come from one forward and one backward pass. The paper adds up log(rank / n) of the four.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from searchkit.runtime.transfer import equal, to_host
from searchkit.scoring.passes.counts import CountPass
from searchkit.scoring.passes.forward import Forward, ForwardRecording

_EPSILON = 1e-6
_UNTRAINABLE = -1 / _EPSILON + 2  # trainability of a block that passes no gradient, or is the identity: norm 0


@dataclass(frozen=True)
class AZNAS:
    """The four signals; higher is better for each.

    Args:
        batch: number of inputs.
        source: "noise", as in the paper, or "images"; on images expressivity ranked NAS-Bench-201 clearly worse.
    """

    batch: int = 32
    source: Literal["noise", "images"] = "noise"

    names = ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity")
    missing: ClassVar[Mapping[str, str]] = {  # why a signal that is NaN is
        "az_progressivity": "progressivity compares blocks that do different things to the shape of maps; it has one "
        "block, or attention and blocks of one shape",
        "az_trainability": "trainability is of blocks behind the first, and it has one block",
    }

    @property
    def passes(self) -> tuple[Forward, CountPass]:
        forward = Forward(frozenset({"blocks", "pullbacks"}), source=self.source, batch=self.batch)
        return forward, CountPass()

    def values(self, recordings: Sequence[ForwardRecording | Mapping[str, float]]) -> Mapping[str, float]:
        """The four by name; what needs two blocks is NaN for a network that has one.

        So is progressivity of networks with attention whose blocks all have one shape: layers that have as much room
        as those before them need not say more, and the paper leaves it out for transformers. In other networks it is
        that of all steps but those from one block of attention to the next of the same shape.
        """
        forward, counts = recordings
        assert isinstance(forward, ForwardRecording)
        assert isinstance(counts, Mapping)
        covariances = to_host([channel_covariance(block) for block in forward.blocks])
        entropies = [entropy(covariance) for covariance in covariances]
        again = [
            shape == after and all(forward.attending[i : i + 2])
            for i, (shape, after) in enumerate(itertools.pairwise(block.shape for block in forward.blocks))
        ]
        steps = [b - a for (a, b), same in zip(itertools.pairwise(entropies), again, strict=True) if not same]
        alike = forward.attends and len({block.shape for block in forward.blocks}) == 1
        pulled = trainabilities(forward.pullbacks)
        return {  # Lee and Ham, section 3: each proxy, from the values of the primary blocks
            "az_expressivity": sum(entropies) if entropies else math.nan,
            "az_progressivity": min(steps) if steps and not alike else math.nan,
            "az_trainability": sum(pulled) / len(pulled) if pulled else math.nan,
            "az_complexity": counts["macs"],
        }


def channel_covariance(features: Tensor) -> Tensor:
    """``(c, c)`` of features ``(batch, c, h, w)`` or ``(batch, c, length)``; ``(batch, units)`` are one pixel."""
    rows = _maps(features).permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    rows = rows - rows.mean(dim=0)
    return rows.T @ rows


def entropy(covariance: Tensor) -> float:
    """Entropy of the eigenvalues of a covariance ``(c, c)``, divided by their sum."""
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0)
    share = eigenvalues / eigenvalues.sum()
    # Lee and Ham: expressivity of a block, the entropy of the normalised eigenvalues of its features' covariance
    return float(-(share * (share + 1e-8).log()).sum())


def trainabilities(pairs: Sequence[tuple[Tensor, Tensor | None]]) -> list[float]:
    """-s - 1/s + 2 of each block, at best 0, where s is the spectral norm of the mean outer product of its cotangents.

    Args:
        pairs: the cotangent at a block's output, and the same pulled back to its input; see :class:`ForwardRecording`.
    """
    arrived = [(i, cotangent, pulled) for i, (cotangent, pulled) in enumerate(pairs) if pulled is not None]
    alike = [(cotangent, pulled) for _, cotangent, pulled in arrived if cotangent.shape == pulled.shape]
    identities = iter(equal(alike))
    trained = [one for one in arrived if not (one[1].shape == one[2].shape and next(identities))]
    values = [_UNTRAINABLE] * len(pairs)
    squares = to_host([_squared(cotangent, pulled) for _, cotangent, pulled in trained])
    for (i, _, _), square in zip(trained, squares, strict=True):
        norm = float(torch.linalg.eigvalsh(square)[-1].clamp(min=0).sqrt())
        values[i] = -norm - 1 / (norm + _EPSILON) + 2  # Lee and Ham: trainability of a block
    return values


def _squared(cotangent: Tensor, pulled: Tensor) -> Tensor:
    """``(c, c)`` float64, of which the norm's square is the largest eigenvalue."""
    cotangent, pulled = _maps(cotangent), _maps(pulled)
    stride = max(1, round(pulled.shape[2] / cotangent.shape[2]))
    if pulled.shape[2:] != cotangent.shape[2:]:  # an odd side, 7 to 4 with stride 2, lacks a row and a column of zeros
        rows, columns = (stride * size - have for size, have in zip(cotangent.shape[2:], pulled.shape[2:], strict=True))
        pulled = functional.pixel_unshuffle(functional.pad(pulled, (0, columns, 0, rows)), stride)
    n, c = cotangent.shape[0] * cotangent.shape[2] * cotangent.shape[3], cotangent.shape[1]
    covariance = pulled.permute(0, 2, 3, 1).reshape(n, -1).T @ cotangent.permute(0, 2, 3, 1).reshape(n, c) / n
    return (covariance.T @ covariance).double()


def _maps(features: Tensor) -> Tensor:
    while features.ndim < 4:
        features = features[..., None]
    return features
