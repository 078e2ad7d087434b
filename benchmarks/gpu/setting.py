"""What the parts of ``python -m benchmarks.gpu`` share: networks, images, and a clock that waits for the device."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.common.machine import describe
from searchkit.costs.gpu_timing import on_events, timed
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import DataError
from searchkit.runtime.gpu_lock import card_of
from searchkit.space import NetworkSpace, distinct_rows
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes

_PATTERNS = 8  # of a class of the drawn images
_ALL = 40_000  # images of CIFAR-10 that are left to learn from


@dataclass(frozen=True)
class Setting:
    """How much of everything.

    Attributes:
        width, cells: of the networks; published 16 and 5.
        loaders: processes of the plain loop's DataLoader.
        executor, at_once: of searchkit's training: a number of worker processes, or "interleaved" and how many.
        matrix: side of the matrix product that the ceiling is measured with.
        workers: processes that score networks at the same time; 1: no others than this one.
        timed: networks that the plain loop trains alone, for the time; the others side by side. 0: all alone.
    """

    device: torch.device
    data: Data
    width: int
    cells: int
    networks: int
    epochs: int
    loaders: int
    executor: int | str
    at_once: int
    pairs: int
    candidates: int
    matrix: int
    workers: int = 8
    timed: int = 0

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
        return distinct_rows(some)[:n]


def setting(given: argparse.Namespace, device: torch.device) -> Setting:
    """From the command line; loaders are no more than there are cores, as torch advises."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if given.tiny:
        data = load_data(drawn_images(400, 100, side=16, n_classes=10), name="drawn", augment="crop-flip")
        return Setting(device, data, 4, 1, 2, 1, 1, given.executor, 2, 2, 4, 128)
    data = load_data("cifar-10") if given.cifar else _images(given.drawn)
    return Setting(
        device, data, 16, 5, given.networks, given.epochs, min(given.loaders, cores), given.executor,
        given.at_once, given.pairs,
        given.candidates, 8192,
    )  # fmt: skip


def _images(drawn: bool) -> Data:
    """CIFAR-10 where all of it is there and wanted, else drawn images, which take some seconds and 3 GB to draw."""
    if not drawn:
        try:
            data = load_data("cifar-10")
            if len(data.train) >= _ALL - 10:  # a stratified split rounds by class
                return data
            print(f"Drawn images: {data.name} is a part of CIFAR-10, and an epoch of it is shorter.")
        except DataError as error:
            print(f"Drawn images: {error}.")
    return load_data(drawn_images(50_000, 10_000), name="drawn", augment="crop-flip")


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
    """Machine, card and driver; memory in use tells whether others are on the card, where times mean little."""
    if device.type == "cpu":
        return f"{describe()}, no card"
    card = card_of(device)
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info(device))
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions = f"driver {card.driver or 'unknown'}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
    return f"{card.name}, {total - free:.1f} of {total:.0f} GiB in use, {versions}; {describe()}"


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

    # Events are of the current card and its current stream.
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        return float(np.median(timed(on_events(run) if device.type == "cuda" else on_clock, 0.2).blocks))
