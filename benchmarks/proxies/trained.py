"""Small spaces whose networks are trained here: sizes alone, depths alone, both with kernels, and operations.

    python -m benchmarks.proxies.trained [--networks 60]

Small convolutional networks on Fashion-MNIST at half its resolution. Each random network is trained once, and its
accuracy on the test part of the data kept in ``$SEARCHKIT_CACHE``; what was trained is not trained again. Published
tables are of large networks that were trained to the end, in which operations vary.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.common.machine import describe
from benchmarks.common.tables import CACHE, table
from searchkit import Choice, NetworkSpace
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.space import distinct_rows, keys
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, train
from searchkit.types import Codes, Floats

WIDTHS = (4, 6, 8, 12, 16, 24)
EXAMPLES = 2000  # that a network is trained with
EPOCHS = 6
SHAPE, CLASSES = (1, 14, 14), 10


def plain(layers: list[tuple[int, int, int]], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """A network of convolutions with batch norms and ReLUs.

    Args:
        layers: of each the channels, the kernel size and the stride.
    """
    channels = input_shape[0]
    parts: list[nn.Module] = []
    for width, kernel, stride in layers:
        parts += _layer(channels, width, kernel, stride)
        channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes))


def sizes() -> NetworkSpace:
    """Five ordered widths: nothing but sizes varies."""

    def build(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return plain([(choices[f"width{i}"], 3, 2 if i in (1, 3) else 1) for i in range(5)], shape, n_classes)

    return NetworkSpace(
        [Choice(f"width{i}", WIDTHS, ordered=True) for i in range(5)], build,
        input_shape=SHAPE, n_classes=CLASSES, name="trained-sizes",
    )  # fmt: skip


def depths() -> NetworkSpace:
    """Three ordered depths: nothing but the number of layers of each resolution varies."""

    def build(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
        layers = []
        for stage in range(3):
            width = 8 * 2**stage
            layers += [(width, 3, 2 if stage and not i else 1) for i in range(choices[f"depth{stage}"])]
        return plain(layers, shape, n_classes)

    return NetworkSpace(
        [Choice(f"depth{i}", tuple(range(1, 6)), ordered=True) for i in range(3)], build,
        input_shape=SHAPE, n_classes=CLASSES, name="trained-depths",
    )  # fmt: skip


class Residual(nn.Module):
    """A layer whose input is added to its output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layer(x)
        return added


def mixed() -> NetworkSpace:
    """Width, depth and kernel size of two stages of residual layers, as one would write a first space."""

    def build(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
        channels = shape[0]
        parts: list[nn.Module] = []
        for stage in range(2):
            width, kernel = choices[f"width{stage}"], choices[f"kernel{stage}"]
            parts.append(_layer(channels, width, 3, 1 + stage))
            parts += [Residual(_layer(width, width, kernel, 1)) for _ in range(choices[f"depth{stage}"])]
            channels = width
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes))

    choices = []
    for stage in range(2):
        choices += [
            Choice(f"width{stage}", (4, 8, 16, 24), ordered=True),
            Choice(f"depth{stage}", (0, 1, 2, 3), ordered=True),
            Choice(f"kernel{stage}", (1, 3, 5)),
        ]
    return NetworkSpace(choices, build, input_shape=SHAPE, n_classes=CLASSES, name="trained-mixed")


def operations() -> NetworkSpace:
    """Five layers of one width, each one of five operations, of which three have weights."""

    def build(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
        parts: list[nn.Module] = [_layer(shape[0], 16, 3, 1)]
        for i in range(5):
            parts.append(_operation(choices[f"layer{i}"], 16))
            if i in (1, 3):
                parts.append(nn.MaxPool2d(2))
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, n_classes))

    kinds = ("conv3", "conv1", "separable3", "pool", "none")
    return NetworkSpace(
        [Choice(f"layer{i}", kinds) for i in range(5)], build,
        input_shape=SHAPE, n_classes=CLASSES, name="trained-operations",
    )  # fmt: skip


def cells() -> NetworkSpace:
    """NAS-Bench-201's cells in networks of a few thousand parameters."""
    return nas_bench_201(width=8, cells=1, input_shape=SHAPE, n_classes=CLASSES)


def _layer(channels: int, width: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


def _operation(kind: str, width: int) -> nn.Module:
    if kind == "pool":
        return nn.Sequential(nn.AvgPool2d(3, 1, padding=1))
    if kind == "none":
        return nn.Sequential(nn.Identity())
    if kind == "separable3":
        return nn.Sequential(*_layer(width, width, 3, 1, groups=width), *_layer(width, width, 1, 1))
    return _layer(width, width, int(kind[-1]), 1)


SPACES: Mapping[str, Callable[[], NetworkSpace]] = {
    "sizes": sizes, "depths": depths, "mixed": mixed, "operations": operations, "cells": cells,
}  # fmt: skip


@cache
def images() -> Data:
    """Fashion-MNIST at half its resolution; the 10,000 test images are the validation part, on which is scored."""
    table("images/fashion-mnist/train-images-idx3-ubyte.gz")
    whole = load_data("fashion-mnist")
    parts = []
    for part in (whole.train, whole.test):
        pixels = np.asarray(part.x, dtype=np.float32)
        parts.append((pixels.reshape(len(pixels), 1, 14, 2, 14, 2).mean(axis=(3, 5)), np.asarray(part.y)))
    data = load_data(tuple(parts), limit=EXAMPLES * 5 // 4, augment="none", name="fashion-mnist-14")
    return replace(data, val=data.test)


def _accuracy(space: NetworkSpace, code: Codes) -> float:
    network = build_seeded(space, code, 0)
    recipe = Recipe(epochs=EPOCHS, batch_size=64, lr=0.05, augment="none")
    return 100 * train(network, images(), recipe=recipe, seed=0, device="cpu").accuracy


def trained(which: str, n: int) -> tuple[NetworkSpace, Codes, Floats]:
    """A space, ``(n, d)`` distinct random candidates of it, and their accuracies ``(n,)`` in percent."""
    space = SPACES[which]()
    codes = distinct_rows(space.sample(8 * n, np.random.default_rng(0)))[:n]
    path = CACHE / f"trained-{which}.accuracies.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        entry = json.loads(line)
        known[keys(np.array([entry["code"]]))[0]] = entry["accuracy"]
    with path.open("a") as file:
        for code in codes:
            key = keys(code[None])[0]
            if key not in known:
                known[key] = _accuracy(space, code)
                file.write(json.dumps({"code": code.tolist(), "accuracy": known[key]}) + "\n")
                file.flush()
    return space, codes, np.array([known[key] for key in keys(codes)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60, help="of each space")
    given = parser.parse_args()
    print(f"{describe()}.\n")
    for which in SPACES:
        began = time.perf_counter()
        space, codes, accuracy = trained(which, given.networks)
        print(
            f"{space.name}: {len(codes)} networks, {accuracy.min():.1f} to {accuracy.max():.1f} %, "
            f"{time.perf_counter() - began:.0f} s"
        )
