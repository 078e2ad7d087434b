"""NASWOT: how differently a network's ReLUs respond to different images.

Mellor et al., Neural Architecture Search without Training, ICML 2021 (arXiv 2006.04647), equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from searchkit.errors import CandidateError
from searchkit.runtime.transfer import to_host
from searchkit.scoring.passes.forward import Forward, ForwardRecording


@dataclass(frozen=True)
class NASWOT:
    """log |det K|, where K counts for each pair of images the ReLUs on whose sign they agree.

    Args:
        batch: number of images. The paper has 128; 64 and 32 agreed with published values alike.
    """

    batch: int = 32

    names = ("naswot",)

    @property
    def passes(self) -> tuple[Forward, ...]:
        return (Forward(frozenset({"agreement"}), batch=self.batch),)

    def values(self, recordings: Sequence[ForwardRecording]) -> Mapping[str, float]:
        """``{"naswot": log-determinant}``; refused for a network without ReLUs, or with a singular K."""
        signs = recordings[0].signs
        if signs.n_relus == 0:
            raise CandidateError("it has no ReLU")
        sign, logdet = torch.linalg.slogdet(*to_host([signs.kernel]))  # eq. (2) of Mellor et al.: log |K|, K by eq. (1)
        if float(sign) <= 0 or not torch.isfinite(logdet):
            raise CandidateError("two images are alike to all its ReLUs, so that the determinant is zero")
        return {"naswot": float(logdet)}
