"""What a network's training minimises: cross-entropy of classes, squared error of quantities."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.training.recipe import Recipe

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loss_of(data: Data, recipe: Recipe, device: torch.device) -> Loss:
    """``(outputs (n, k), y (n,)) -> scalar``: y is class numbers, or standardised targets with k = 1."""
    if data.task == "regression":
        return squared_error
    weights = None if data.class_weights is None else torch.tensor(data.class_weights, device=device)

    def cross_entropy(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(outputs, y, weight=weights, label_smoothing=recipe.label_smoothing)

    return cross_entropy


def squared_error(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared error of ``(n, 1)`` outputs."""
    return functional.mse_loss(outputs.squeeze(1), y)
