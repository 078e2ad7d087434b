"""Jacobian covariance: how uncorrelated the gradients of the output are from image to image.

Mellor et al., Neural Architecture Search without Training, first version (arXiv 2006.04647v1), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from searchkit.errors import CandidateError
from searchkit.runtime.transfer import to_host
from searchkit.scoring.passes.forward import Forward, ForwardRecording

_K = 1e-5


@dataclass(frozen=True)
class Jacov:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlations of the images' input gradients.

    Args:
        batch: number of images.
    """

    batch: int = 32

    names = ("jacov",)

    @property
    def passes(self) -> tuple[Forward, ...]:
        return (Forward(frozenset({"input_gradient"}), batch=self.batch),)

    def values(self, recordings: Sequence[ForwardRecording]) -> Mapping[str, float]:
        """``{"jacov": score}``; refused where an image has a constant gradient, which correlates with nothing."""
        gradient = recordings[0].input_gradient
        if gradient is None:
            raise CandidateError("it follows gradients to the inputs, and tokens have none")
        rows = gradient.to(torch.float64)
        rows = rows - rows.mean(dim=1, keepdim=True)
        norms = rows.norm(dim=1, keepdim=True)
        rows = rows / norms
        correlations, norms = to_host([rows @ rows.T, norms])
        if not bool((norms > 0).all()) or not bool(torch.isfinite(norms).all()):
            raise CandidateError("its output does not depend on its input, or not finitely")
        # Symmetric, and no eigenvalue of correlations is negative: what is below 0 is rounding.
        eigenvalues = torch.linalg.eigvalsh(correlations).clamp(min=0) + _K
        # Mellor et al. (version 1), section 3: the score of the eigenvalues of the correlation matrix
        return {"jacov": -float((eigenvalues.log() + 1 / eigenvalues).sum())}
