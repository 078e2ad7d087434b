"""Scores of what a file of a network answers, in the scale in which a search scores its networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.data import Data
from searchkit.data.normalising import standardised
from searchkit.data.splits import Split
from searchkit.training.scores import scores_of

Examples = npt.NDArray[np.float32]  # int64 of tokens


def examples_of(split: Split, n: int | None = None) -> Examples:
    """Raw inputs ``(n, ...)`` of a part of the data, or n of them; evenly spaced, as classes may be in order."""
    every = len(split) if n is None else min(n, len(split))
    chosen = split.x[torch.linspace(0, len(split) - 1, every).long()]
    return np.asarray(chosen, dtype=np.int64 if chosen.dtype == torch.int64 else np.float32)


def score_of(answers: npt.NDArray[Any], split: Split, data: Data, score: str) -> float:
    """A score of answers for a part of the data: logits ``(n, k, ...)``, or values in the targets' unit."""
    outputs = torch.from_numpy(answers)
    if data.target is not None:  # scores expect standardised ones
        outputs = standardised(outputs.reshape(-1, 1) if outputs.ndim == 1 else outputs, data.target)
    return scores_of([(outputs, split.y)], data, split.weight)[score]
