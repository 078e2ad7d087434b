"""The shape that a network's outputs must have."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from searchkit.errors import CandidateError


def check_outputs(outputs: object, n: int, output_shape: Sequence[int]) -> None:
    """Refuse what is not one output per example: a row with one column per class, label or quantity, or a map of them.

    Args:
        outputs: of a network for a batch of n examples.
        output_shape: ``(k,)``, or ``(k, height, width)`` where each pixel has its own.

    Raises:
        CandidateError: the message has both shapes.
    """
    shape = (n, *output_shape)
    what = "one column per class" if len(shape) == 2 else "one channel per class or quantity"
    wanted = f"{shape}, {what if shape[1] > 1 else what.replace('one column per class', 'a single column')}"
    if not isinstance(outputs, torch.Tensor):
        raise CandidateError(f"the network returned {type(outputs).__name__}, not a tensor of shape {wanted}")
    if tuple(outputs.shape) != shape:
        raise CandidateError(
            f"the network's outputs for {n} examples have shape {tuple(outputs.shape)}, and should have {wanted}"
        )
