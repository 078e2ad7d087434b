"""Gradient norm at initialisation, layer by layer.

Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021 (arXiv 2101.08134), section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from searchkit.errors import CandidateError
from searchkit.scoring.passes.forward import Forward, ForwardRecording


@dataclass(frozen=True)
class GradNorm:
    """Sum over convolutions and linear layers of the norm of the cross-entropy's gradient.

    Args:
        batch: number of labelled images.
    """

    batch: int = 32

    names = ("grad_norm",)

    @property
    def passes(self) -> tuple[Forward, ...]:
        return (Forward(frozenset({"weight_gradients"}), batch=self.batch),)

    def values(self, recordings: Sequence[ForwardRecording]) -> Mapping[str, float]:
        """``{"grad_norm": sum}``; refused where the loss overflows."""
        # Abdelfattah et al., section 3.2: grad_norm
        norm = float(sum(gradient.norm() for gradient in recordings[0].weight_gradients))
        if not norm < float("inf"):
            raise CandidateError("its loss or its gradients are not finite")
        return {"grad_norm": norm}
