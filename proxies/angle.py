"""Angle: how far training has turned a network's weights.

Hu et al., Angle-based Search Space Shrinking for Neural Architecture Search, ECCV 2020 (arXiv 2004.13431), which GeNAS
(arXiv 2305.08611) takes beside flatness. There, pooling and skips count as constant weights; here only weights do.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from searchkit.errors import CandidateError
from searchkit.scoring.passes.passes import Built


@dataclass(frozen=True)
class Angle:
    """The angle, from 0 to pi, between a network's weights before and after they were trained; larger is better.

    Only where the weights that are given know what they were: those of ``searchkit.SharedWeights`` do.
    """

    names = ("angle",)

    @property
    def passes(self) -> tuple[TurnedPass, ...]:
        return (TurnedPass(),)

    def values(self, recordings: Sequence[float]) -> Mapping[str, float]:
        """``{"angle": radians}``."""
        return {"angle": recordings[0]}


@dataclass(frozen=True)
class TurnedPass:
    """The angle between all weights of two or more dimensions as they were and as they are."""

    @property
    def key(self) -> Hashable:
        return "turned"

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> float:
        """The angle in radians.

        Raises:
            CandidateError: it is not known what the weights were, or the network has none.
        """
        if not built.before:
            raise CandidateError(
                "it compares weights with what they were before training, which searchkit.SharedWeights know: give "
                "these as weights="
            )
        product = first = last = torch.zeros((), dtype=torch.float64)
        for name, parameter in built.network.named_parameters():
            if parameter.ndim > 1 and name in built.before:
                before, after = built.before[name].double().cpu(), parameter.detach().double().cpu()
                product = product + (before * after).sum()
                first, last = first + before.square().sum(), last + after.square().sum()
        if not float(first * last) > 0:
            raise CandidateError("it has no weights of two or more dimensions that were trained")
        return math.acos(max(-1.0, min(1.0, float(product / (first * last).sqrt()))))
