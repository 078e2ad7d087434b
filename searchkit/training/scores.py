"""Scores of a network on a part of the data: accuracy and log loss, or R^2 and root mean square error."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.loader import Normaliser, in_order
from searchkit.data.splits import Split
from searchkit.errors import CandidateError
from searchkit.random_state import untouched

Answers = tuple[torch.Tensor, torch.Tensor]  # a network's outputs for some examples, and their y

TIMED = 128  # examples on which the time of scoring is measured
SCORE_BATCH = 512  # examples per batch at most; reached by images of up to 90 x 90 pixels
SCORE_PIXELS = 2**22  # pixels or features per batch at most


def scores(network: nn.Module, split: Split, data: Data, device: torch.device) -> dict[str, float]:
    """The scores of a network that is on the device and in eval mode; see :func:`scores_of`."""
    return scores_of(list(answers(network, split, data, device)), data, split.weight)


def answers(network: nn.Module, split: Split, data: Data, device: torch.device) -> Iterator[Answers]:
    """``(outputs (n, k), y (n,))``, batch by batch; each batch is computed when it is requested."""
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
    """Compute the scores from a network's outputs.

    Args:
        weight: ``(n,)`` how much each example counts, as ``sample_weight`` of scikit-learn's scores; None: all alike.

    Returns:
        for classification ``accuracy`` and ``balanced_accuracy`` (the mean over classes of their recall), both from 0
        to 1, and ``log_loss``; for regression ``r2``, and ``rmse`` in the target's own unit.

    Raises:
        CandidateError: an output is not finite, or the outputs have the wrong shape.
    """
    finite, parts = True, []
    for outputs, y in found:
        check_outputs(outputs, len(y), data.n_classes)
        finite = finite and bool(torch.isfinite(outputs).all())
        parts.append(_of_quantity(outputs) if data.target is not None else _of_logits(outputs, y))
    if not finite:
        raise CandidateError("diverged: the trained network's outputs are not finite")
    said, y = torch.cat(parts), torch.cat([y for _, y in found])
    counts = torch.ones(len(y)) if weight is None else weight / weight.max()
    counts = counts.to(y.device, torch.float64)
    if data.target is not None:
        return _of_quantities(said, y, data.target, counts)
    return _of_classes(said, y, counts, data.n_classes)


def check_outputs(outputs: object, n: int, n_outputs: int) -> None:
    """Refuse what is not one row per example with one column per class (one column in regression).

    Args:
        outputs: of a network for a batch of n examples.
        n_outputs: number of classes; 1 in regression.

    Raises:
        CandidateError: the message has both shapes.
    """
    wanted = f"({n}, {n_outputs}), {'one column per class' if n_outputs > 1 else 'a single column'}"
    if not isinstance(outputs, torch.Tensor):
        raise CandidateError(f"the network returned {type(outputs).__name__}, not a tensor of shape {wanted}")
    if tuple(outputs.shape) != (n, n_outputs):
        raise CandidateError(
            f"the network's outputs for {n} examples have shape {tuple(outputs.shape)}, and should have {wanted}"
        )


def _of_logits(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``(n, 2)`` float64: the class with the largest logit, and the log loss; little even where classes are many."""
    lost = functional.cross_entropy(logits if logits.dtype is torch.float64 else logits.float(), y, reduction="none")
    return torch.stack([logits.argmax(1).double(), lost.double()], dim=1)


def _of_quantity(outputs: torch.Tensor) -> torch.Tensor:
    """``(n,)`` float64."""
    return outputs.squeeze(1).double()


def _of_classes(said: torch.Tensor, y: torch.Tensor, counts: torch.Tensor, n_classes: int) -> dict[str, float]:
    right = said[:, 0] == y
    per_class = torch.bincount(y, counts, minlength=n_classes)
    recognised = torch.bincount(y[right], counts[right], minlength=n_classes)
    there = per_class > 0
    total = float(counts.sum())
    return {
        "accuracy": float(counts[right].sum()) / total,
        "balanced_accuracy": float((recognised[there] / per_class[there]).mean()),
        "log_loss": float((said[:, 1] * counts).sum()) / total,
    }


def _of_quantities(
    said: torch.Tensor, y: torch.Tensor, target: tuple[float, float], counts: torch.Tensor
) -> dict[str, float]:
    """If all targets are equal, R^2 is defined as 1 for exact outputs and 0 otherwise."""
    mean, std = target
    total = float(counts.sum())
    missed = float(((said * std + mean - y).square() * counts).sum())
    varied = float(((y - (y * counts).sum() / total).square() * counts).sum())
    r2 = 1 - missed / varied if varied > 0 else float(missed == 0)
    return {"r2": r2, "rmse": math.sqrt(missed / total)}
