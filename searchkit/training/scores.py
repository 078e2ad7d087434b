"""Scores of a network on a part of the data."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.data.loader import in_order
from searchkit.data.normalising import Normaliser
from searchkit.data.splits import Split
from searchkit.errors import CandidateError
from searchkit.random_state import untouched
from searchkit.training.tasks.outputs import check_outputs
from searchkit.training.tasks.totals import of_each, scores_of_all

Answers = tuple[torch.Tensor, torch.Tensor]  # a network's outputs for some examples, and their y

TIMED = 128  # examples on which the time of scoring is measured
SCORE_BATCH = 512  # examples per batch at most; reached by images of up to 90 x 90 pixels
SCORE_PIXELS = 2**22  # pixels or features per batch at most


def scores(network: nn.Module, split: Split, data: Data, device: torch.device) -> dict[str, float]:
    """The scores of a network that is on the device and in eval mode; see :func:`scores_of`."""
    tally = Tally(data)
    for outputs, y in answers(network, split, data, device):
        tally.add(outputs, y)
    return tally.scores(split.weight)


def answers(network: nn.Module, split: Split, data: Data, device: torch.device) -> Iterator[Answers]:
    """``(outputs (n, k, ...), y (n, ...))``, batch by batch; each batch is computed when it is requested."""
    for x, y in in_order(split, score_batch(data), Normaliser(data, device), device):
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(x)
        yield outputs, y


def scoring_time(network: nn.Module, data: Data, device: torch.device) -> float:
    """Seconds that scoring takes for an example, measured on a few of the validation part with weights as they are.

    The network is on the device, and is left as it was. 0 where nothing can be scored.
    """
    part = data.val.rows(torch.arange(min(TIMED, len(data.val))))
    if not len(part):
        return 0.0
    training, taken = network.training, []
    with untouched():
        network.eval()
        for _ in range(2):  # the first pass initialises libraries
            began = time.perf_counter()
            with contextlib.suppress(CandidateError):  # without its weights, an output may not be finite
                scores(network, part, data, device)
            taken.append(time.perf_counter() - began)
        network.train(training)
    return min(taken) / len(part)


def score_batch(data: Data) -> int:
    """Number of examples that are scored at a time; fewer if images are large."""
    return max(1, min(SCORE_BATCH, SCORE_PIXELS // max(1, math.prod(data.input_shape[-2:]))))


def scores_of(found: Sequence[Answers], data: Data, weight: torch.Tensor | None = None) -> dict[str, float]:
    """Compute the scores from a network's outputs; see :func:`~searchkit.training.tasks.totals.scores_of_all`.

    Args:
        weight: ``(n,)`` how much each example counts, as ``sample_weight`` of scikit-learn's scores; None: all alike.

    Raises:
        CandidateError: an output is not finite, or the outputs have the wrong shape.
    """
    tally = Tally(data)
    for outputs, y in found:
        tally.add(outputs, y)
    return tally.scores(weight)


class Tally:
    """Gathers batches of outputs for the scores of all, of each only what the scores need."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._parts: list[torch.Tensor] = []
        self._finite: list[torch.Tensor] = []  # read at the end, since reading waits for a card

    def add(self, outputs: torch.Tensor, y: torch.Tensor) -> None:
        """A network's outputs for a batch, and its y.

        Raises:
            CandidateError: the outputs have the wrong shape.
        """
        check_outputs(outputs, len(y), self._data.output_shape)
        self._finite.append(torch.isfinite(outputs).all())
        self._parts.append(of_each(outputs, y, self._data))

    def scores(self, weight: torch.Tensor | None = None) -> dict[str, float]:
        """The scores of all that was added.

        Args:
            weight: see :func:`scores_of`.

        Raises:
            CandidateError: an output is not finite.
        """
        if not all(map(bool, self._finite)):
            raise CandidateError("diverged: the trained network's outputs are not finite")
        found = torch.cat(self._parts)
        counts = torch.ones(len(found)) if weight is None else weight / weight.max()
        return scores_of_all(found, self._data, counts.to(found.device, torch.float64))
