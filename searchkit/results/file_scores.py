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

from searchkit.costs.task_scores import SCORES
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.training.answer_scores import Examples, examples_of, score_of

BATCH = 256  # examples that a network is run on at a time


@dataclass(frozen=True)
class FileScore:
    """What a file's answers are worth beside those of the network that it was made from.

    Attributes:
        metric: the first score of the task, such as "accuracy", or "r2"; the scores below are of it.
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
            scores = f"{titled(self.metric)} {self.file:.4f} ({self.network:.4f} of the network)"
        return f"{what}: {scores} on the {self.part} part, {self.bytes / 1000:.1f} kB"


def titled(metric: str) -> str:
    """What people call a score."""
    return "R²" if metric == "r2" else metric


def metric_of(data: Data) -> str:
    """The score by which files are judged."""
    return SCORES[data.task][0]


def judged_part(data: Data) -> tuple[str, Split]:
    """The part on which files are judged, and its name: the test part, or validation where there is none."""
    return ("test", data.test) if len(data.test) else ("validation", data.val)


def judged(
    network: nn.Module, outputs: Callable[[Examples], npt.NDArray[Any]], files: Sequence[Path], data: Data
) -> tuple[FileScore, npt.NDArray[Any], npt.NDArray[Any]]:
    """A file judged beside its network; and the outputs ``(n, ...)`` of the two, the network's first.

    Args:
        network: takes raw inputs, as the file does.
        outputs: of the file.
        files: of the format.
    """
    (part, split), metric = judged_part(data), metric_of(data)
    x = examples_of(split)
    with torch.inference_mode():
        answers = [network(torch.from_numpy(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)]
    expected, got = np.concatenate(answers), outputs(x)
    right, n_bytes = score_of(expected, split, data, metric), sum(file.stat().st_size for file in files)
    return FileScore(metric, part, right, score_of(got, split, data, metric), n_bytes), expected, got
