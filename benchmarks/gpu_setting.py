"""What the parts of benchmarks/gpu.py have in common: networks, images, and a clock that waits for the device."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from _machine import describe

from searchkit.card_timing import on_events, timed
from searchkit.cards import card_of
from searchkit.data import Data, load_data
from searchkit.errors import DataError
from searchkit.space import Codes, NetworkSpace
from searchkit.spaces.nas_bench_201 import nas_bench_201

_PATTERNS = 8  # of a class of the drawn images


@dataclass(frozen=True)
class Setting:
    """How much of everything.

    Attributes:
        width, cells: of the networks; published 16 and 5.
        loaders: processes of the plain loop's DataLoader.
        executor: worker processes of searchkit's training; None: none.
        matrix: side of the matrix product that the ceiling is measured with.
    """

    device: torch.device
    data: Data
    width: int
    cells: int
    networks: int
    epochs: int
    loaders: int
    executor: int | None
    pairs: int
    candidates: int
    matrix: int

    @property
    def space(self) -> NetworkSpace:
        """NAS-Bench-201 for the images."""
        return nas_bench_201(
            width=self.width, cells=self.cells, input_shape=self.data.input_shape, n_classes=self.data.n_classes
        )

    def codes(self, n: int) -> Codes:
        """``(n, 6)`` distinct networks, the same in every run; each has a convolution, so that there is work to do."""
        drawn = self.space.sample(20 * n, np.random.default_rng(0))
        some = drawn[np.isin(drawn, (2, 3)).any(axis=1)]
        _, first = np.unique(some, axis=0, return_index=True)
        return some[np.sort(first)][:n]


def setting(given: argparse.Namespace, device: torch.device) -> Setting:
    """From the command line."""
    if given.tiny:
        data = load_data(drawn_images(400, 100, side=16, n_classes=10), name="drawn", augment="crop-flip")
        return Setting(device, data, 4, 1, 2, 1, 1, given.executor, 2, 4, 128)
    data = load_data(drawn_images(50_000, 10_000), name="drawn", augment="crop-flip")
    if not given.drawn:
        try:
            data = load_data("cifar-10")
        except DataError as error:
            print(f"Drawn images: {error}.")
    return Setting(
        device, data, 16, 5, given.networks, given.epochs, given.loaders, given.executor, given.pairs, given.candidates,
        8192,
    )  # fmt: skip


def drawn_images(
    n_train: int, n_test: int, side: int = 32, n_classes: int = 10
) -> tuple[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]], ...]:
    """Images and labels of a train and a test set that can be learned, but not at a glance.

    A class has eight smooth patterns, shifted up or down, under noise that is stronger than they are; where the
    contrast is lowest nothing can tell them apart, so that no network comes near 100 %.
    """
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((n_classes * _PATTERNS, 3, 8, 8)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(side, side), mode="bicubic").numpy()
    parts = []
    for n in (n_train, n_test):
        labels = rng.integers(0, n_classes, n)
        pattern = smooth[labels * _PATTERNS + rng.integers(0, _PATTERNS, n)]
        pattern *= rng.uniform(0.05, 1.0, (n, 1, 1, 1)).astype(np.float32)
        rows = (np.arange(side) + rng.integers(-side // 8, side // 8 + 1, (n, 1))) % side
        shifted = np.take_along_axis(pattern, rows[:, None, :, None], axis=2)
        noisy = 127 + 30 * (shifted + 2.0 * rng.standard_normal(shifted.shape, dtype=np.float32))
        parts.append((noisy.clip(0, 255).astype(np.uint8), labels.astype(np.int64)))
    return tuple(parts)


def describe_device(device: torch.device) -> str:
    """Machine, card and driver."""
    if device.type == "cpu":
        return f"{describe()}, no card"
    card = card_of(device)
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"{card.name}, {memory:.0f} GiB, driver {card.driver or 'unknown'}, CUDA {torch.version.cuda}; {describe()}"


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Of one call, on the clock, from an idle device to an idle one."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def ms_of(run: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of one of many runs in a row: a median over blocks."""

    def on_clock(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            run()
        return (time.perf_counter() - start) * 1e3 / n

    return float(np.median(timed(on_events(run) if device.type == "cuda" else on_clock, 0.2).blocks))
