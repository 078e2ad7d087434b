"""Scores of what an exported file answers, in the scale in which a search scores its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.training.scores import scores_of

Examples = npt.NDArray[np.float32]

BATCH = 256  # examples that a network is run on at a time


@dataclass(frozen=True)
class FileScore:
    """What a file's answers are worth beside those of the network that it was made from.

    Attributes:
        metric: "accuracy", or "r2" in regression; the scores below are of it.
        part: of the data on which they were scored: "test", or "validation" where there is no test part.
        network, file: scores of the two.
        bytes: of all files of the format.
    """

    metric: str
    part: str
    network: float
    file: float
    bytes: int

    def line(self, what: str) -> str:
        """One sentence for people."""
        if self.metric == "accuracy":
            scores = f"{100 * self.file:.1f} % accuracy ({100 * self.network:.1f} % of the network)"
        else:
            scores = f"R² {self.file:.4f} ({self.network:.4f} of the network)"
        return f"{what}: {scores} on the {self.part} part, {self.bytes / 1000:.1f} kB"


def metric_of(data: Data) -> str:
    """The score by which files are judged."""
    return "r2" if data.target is not None else "accuracy"


def judged_part(data: Data) -> tuple[str, Split]:
    """The part on which files are judged, and its name: the test part, or validation where there is none."""
    return ("test", data.test) if len(data.test) else ("validation", data.val)


def examples_of(split: Split, n: int | None = None) -> Examples:
    """Raw inputs ``(n, ...)`` of a part of the data, or n of them; evenly spaced, as classes may be in order."""
    every = len(split) if n is None else min(n, len(split))
    return np.asarray(split.x[torch.linspace(0, len(split) - 1, every).long()], dtype=np.float32)


def score_of(answers: npt.NDArray[Any], split: Split, data: Data) -> float:
    """The score of answers for a part of the data: logits ``(n, classes)``, or values ``(n,)`` in the targets' unit."""
    outputs = torch.from_numpy(answers)
    if data.target is not None:  # scores expect standardised ones
        mean, deviation = data.target
        outputs = ((outputs - mean) / deviation).reshape(-1, 1)
    return scores_of([(outputs, split.y)], data, split.weight)[metric_of(data)]


def judged(
    network: nn.Module, outputs: Callable[[Examples], npt.NDArray[Any]], files: Sequence[Path], data: Data
) -> tuple[FileScore, npt.NDArray[Any], npt.NDArray[Any]]:
    """A file judged beside its network; and the outputs ``(n, ...)`` of the two, the network's first.

    Args:
        network: takes raw inputs, as the file does.
        outputs: of the file.
        files: of the format.
    """
    part, split = judged_part(data)
    x = examples_of(split)
    with torch.inference_mode():
        answers = [network(torch.from_numpy(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)]
    expected, got = np.concatenate(answers), outputs(x)
    right, n_bytes = score_of(expected, split, data), sum(file.stat().st_size for file in files)
    return FileScore(metric_of(data), part, right, score_of(got, split, data), n_bytes), expected, got
