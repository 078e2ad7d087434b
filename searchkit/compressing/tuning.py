"""The fine-tuning of networks that were put together of trained blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from searchkit.blocks.additive import Additive, blocks_of
from searchkit.compression.assembled import ModelSpace
from searchkit.compression.assembly import Cost, choose
from searchkit.data.data import Data
from searchkit.random_state import untouched
from searchkit.runtime.threads import one_thread
from searchkit.training.optimisation import Steps
from searchkit.training.recipe import Recipe
from searchkit.training.speed import step_seconds
from searchkit.training.train import place


def fine_tuning(epochs: int) -> dict[str, object]:
    """The fine-tuning: from weights that are good already, at a low rate, mostly from the answers of the original."""
    return {
        "epochs": max(1, epochs),
        "batch_size": 32,
        "lr": 0.02,
        "label_smoothing": 0.0,
        "warm_up": 0.1,
        "distillation": 0.9,
    }


def of_seconds(
    space: ModelSpace, quality: Additive, costs: Sequence[Cost], data: Data, recipe: dict[str, object], seconds: float
) -> dict[str, object]:
    """The recipe with as many steps as the best network makes in a time."""
    picked = choose(space, quality, costs).picked
    code = np.zeros(space.n_choices, int) if picked is None else blocks_of(space).codes(picked[None])[0]
    network, device = space.build(code).train(), torch.device("cpu")
    with one_thread(), untouched():
        place(network, device)
        step = step_seconds(Steps(network, data, Recipe(**recipe), device, 0, None, space.original), device)  # type: ignore[arg-type]
    return {name: value for name, value in recipe.items() if name != "epochs"} | {"steps": max(1, int(seconds / step))}
