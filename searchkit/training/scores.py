"""How good a network's outputs are on a part of the data: accuracy and log loss, or R^2 and root mean square error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.loader import Normaliser, in_order
from searchkit.data.splits import Split
from searchkit.errors import CandidateError

Answers = tuple[torch.Tensor, torch.Tensor]  # a network's outputs for some examples, and their y

SCORE_BATCH = 512  # images, of up to 90x90 pixels
SCORE_PIXELS = 2**22  # and so many pixels, or features, of larger ones


def scores(network: nn.Module, split: Split, data: Data, device: torch.device) -> dict[str, float]:
    """The scores of a network in eval mode, which is on the device; see :func:`scores_of`."""
    return scores_of(list(answers(network, split, data, device)), data)


def answers(network: nn.Module, split: Split, data: Data, device: torch.device) -> Iterator[Answers]:
    """``(outputs, y)``, batch by batch, each computed when it is asked for."""
    for x, y in in_order(split, score_batch(data), Normaliser(data, device), device):
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(x)
        yield outputs, y


def score_batch(data: Data) -> int:
    """Examples that are scored at a time: fewer of large images."""
    return max(1, min(SCORE_BATCH, SCORE_PIXELS // max(1, math.prod(data.input_shape[-2:]))))


def scores_of(found: Sequence[Answers], data: Data) -> dict[str, float]:
    """How good answers are.

    Returns:
        of classes ``accuracy`` and ``balanced_accuracy`` (mean over classes of the share that is recognised), both 0 to
        1, and ``log_loss``; of quantities ``r2`` and ``rmse``, the latter in the target's own unit.

    Raises:
        CandidateError: outputs are not finite.
    """
    outputs, y = (torch.cat(parts) for parts in zip(*found, strict=True))
    if not bool(torch.isfinite(outputs).all()):
        raise CandidateError("diverged: the trained network's outputs are not finite")
    return _of_classes(outputs, y) if data.target is None else _of_quantities(outputs, y, data.target)


def _of_classes(logits: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    right = logits.argmax(1) == y
    per_class = torch.bincount(y, minlength=logits.shape[1])
    recognised = torch.bincount(y[right], minlength=logits.shape[1])
    there = per_class > 0
    return {
        "accuracy": int(right.sum()) / len(y),
        "balanced_accuracy": float((recognised[there] / per_class[there]).double().mean()),
        "log_loss": float(functional.cross_entropy(logits.double(), y)),
    }


def _of_quantities(outputs: torch.Tensor, y: torch.Tensor, target: tuple[float, float]) -> dict[str, float]:
    """R^2 of targets that are all alike is 0, as nothing can be explained; 1 where they are met exactly."""
    mean, std = target
    missed = float((outputs.squeeze(1).double() * std + mean - y).square().sum())
    varied = float((y - y.mean()).square().sum())
    r2 = 1 - missed / varied if varied > 0 else float(missed == 0)
    return {"r2": r2, "rmse": math.sqrt(missed / len(y))}
