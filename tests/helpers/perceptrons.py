"""A space of 60 small perceptrons for digits, whose files differ in size and are told apart by it."""

from __future__ import annotations

from typing import Any

from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace

DIGITS = searchkit.load_data("digits", limit=150)


def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(64, choices["width"]), nn.ReLU()]
    for _ in range(choices["depth"]):
        layers += [nn.Linear(choices["width"], choices["width"]), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(choices["width"], n_classes))


SPACE = NetworkSpace(
    [Choice("width", tuple(range(4, 44, 2)), ordered=True), Choice("depth", (0, 1, 2), ordered=True)], build, name="mlp"
)
