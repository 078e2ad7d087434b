"""SWAP: the number of distinct activation patterns that a network's units show over a batch of images.

Peng et al., SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS, ICLR 2024 (arXiv 2403.04161), definition 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from searchkit.errors import CandidateError, ProxyError
from searchkit.scoring.passes.activation_signs import MOST_PATTERNS
from searchkit.scoring.passes.forward import Forward, ForwardRecording


@dataclass(frozen=True)
class SWAP:
    """Number of distinct rows of the binary matrix (units x images).

    Args:
        batch: number of images in the forward pass.
        images: how many of these are columns of the matrix. With many, nearly every unit differs from every other, and
            the score only counts units.
    """

    batch: int = 32
    images: int = 32

    names = ("swap",)

    def __post_init__(self) -> None:
        if not 1 <= self.images <= min(self.batch, MOST_PATTERNS):
            raise ProxyError(f"swap compares 1 to {min(self.batch, MOST_PATTERNS)} images, not {self.images}")

    @property
    def passes(self) -> tuple[Forward, ...]:
        return (Forward(frozenset(), batch=self.batch, n_patterns=self.images),)

    def values(self, recordings: Sequence[ForwardRecording]) -> Mapping[str, float]:
        """``{"swap": number of distinct patterns}``; refused for a network without ReLUs."""
        signs = recordings[0].signs
        if signs.n_relus == 0:
            raise CandidateError("it has no ReLU")
        return {"swap": float(signs.distinct(self.images))}  # Peng et al., definition 3.2: the number of patterns
