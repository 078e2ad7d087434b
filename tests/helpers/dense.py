"""Small data with something to predict for each pixel, and a space of networks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from searchkit import Choice, NetworkSpace


def masked(n: int = 120, side: int = 12, classes: int = 3) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Noisy pictures of one bright rectangle each, whose brightness is its class, and their masks."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 40, (n, side, side)), np.zeros((n, side, side), dtype=np.int64)
    for picture, mask in zip(x, y, strict=True):
        top, left = rng.integers(0, side // 2, 2)
        height, width = rng.integers(3, side // 2 + 1, 2)
        of = int(rng.integers(1, classes))
        mask[top : top + height, left : left + width] = of
        picture[top : top + height, left : left + width] += 60 * of
    return x.astype(np.uint8), y


class Pixelwise(nn.Module):
    """Two convolutions, the second one to the outputs of each pixel."""

    def __init__(self, channels: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), nn.BatchNorm2d(hidden), nn.ReLU())
        self.last = nn.Conv2d(hidden, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.first(x))
        return outputs


def build(choices: Mapping[str, Any], input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> nn.Module:
    return Pixelwise(input_shape[0], choices["hidden"], output_shape[0])


def pixelwise() -> NetworkSpace:
    """Three networks."""
    return NetworkSpace([Choice("hidden", [2, 4, 8])], build, name="pixelwise")
