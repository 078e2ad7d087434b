"""Timing of a run on one thread of the CPU: warm-up, blocks of runs, and references that tell how fast the core is.

See :mod:`searchkit.costs.latency` for the reasons.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from searchkit.costs.onnx_session import onnx_runner
from searchkit.types import Floats

Run = Callable[[], object]

AT_FULL_SPEED, CORRECTED = "at full speed", "corrected for a busy core"  # how blocks were chosen

_BLOCK_SECONDS = 0.005  # of runs between two timings of the references
_BLOCK_RUNS = 8  # at least; the first ones run with a cold cache
_REFERENCE_SECONDS = 0.0005
_FULL_SPEED = 1.07  # a reference up to this many times slower than its best counts as full speed
# A network this fast is mostly dispatch: slowdowns of 1.4 to 1.5 were measured below it, and of 1.2 at ten times it.
_DISPATCH_MS = 0.06
_LONG_SECONDS, _LONG_RUNS = 0.05, 2  # a block that takes so long ends with so many runs: a cold cache matters little
_ENOUGH = 5  # blocks at full speed, with which the measurement may end; and blocks without which it may not
_PATIENCE = 3.0  # times the given seconds; after that it ends even with fewer

_WARM_RUNS = 3  # at least in each block of the warm-up
_WARM = 0.03  # part of its time by which the fastest run of a block must be faster for the warm-up to go on
_WARM_SECONDS = 0.3  # of warm-up, after which no other block begins


@dataclass(frozen=True)
class CpuTimes:
    """Milliseconds of runs in the blocks that count; divided by the estimated slowdown of a busy core where that is.

    Attributes:
        blocks: ``(b,)`` of the fastest run of each.
        runs: ``(n,)`` of every run.
        how: how the blocks were chosen.
    """

    blocks: Floats
    runs: Floats
    how: str


def timed_on_cpu(run: Run, seconds: float) -> CpuTimes:
    """Time a run that is warmed up, for ``seconds``, and up to three times as many while the core is busy."""
    references = _references()
    warm_up(run)
    blocks: list[list[float]] = []  # ms of each run
    looks = [references.look()]  # ms of the references before and after each block
    begun = time.perf_counter()
    while True:
        blocks.append(block(run, _BLOCK_SECONDS, most=_LONG_SECONDS))
        looks.append(references.look())
        elapsed = time.perf_counter() - begun
        slowdowns = np.array(looks) / references.best
        counts = np.maximum(slowdowns[:-1, 0], slowdowns[1:, 0]) < _FULL_SPEED
        if (
            len(blocks) >= _ENOUGH
            and elapsed >= seconds
            and (counts.sum() >= _ENOUGH or elapsed >= _PATIENCE * seconds)
        ):
            break
    fastest, how = np.array([min(one) for one in blocks]), AT_FULL_SPEED
    factors = np.ones(len(blocks))
    if counts.sum() < 2:
        how = CORRECTED
        factors = _expected_slowdown(fastest, (slowdowns[:-1] + slowdowns[1:]) / 2)
        counts = np.ones(len(blocks), dtype=np.bool_)
    kept = np.flatnonzero(counts)
    runs = np.concatenate([np.array(blocks[i]) / factors[i] for i in kept])
    return CpuTimes((fastest / factors)[kept], runs, how)


def warm_up(run: Run) -> None:
    """Make runs until the fastest of a few is hardly faster than those before: caches are filled, the clock has risen.

    It ends after 0.3 s in any case, and with three runs where these take as long.
    """
    until = time.perf_counter() + _WARM_SECONDS
    best = np.inf
    while True:
        fastest = min(block(run, _BLOCK_SECONDS, _WARM_RUNS))
        if fastest > (1 - _WARM) * best or time.perf_counter() >= until:
            return
        best = fastest


def fastest_of(run: Run, seconds: float) -> float:
    """Milliseconds of the fastest of several consecutive runs."""
    return min(block(run, seconds))


def block(run: Run, seconds: float, least: int = _BLOCK_RUNS, most: float = math.inf) -> list[float]:
    """Milliseconds of each of several consecutive runs: for ``seconds``, and ``least`` at least.

    Args:
        most: seconds after which two runs are enough.
    """
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < least or time.perf_counter() < begun + seconds:
        if len(times) >= _LONG_RUNS and time.perf_counter() >= begun + most:
            break
        start = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - start) * 1e-6)
    return times


def _expected_slowdown(milliseconds: Floats, references: Floats) -> Floats:
    """Slowdown ``(blocks,)``: the two of the references ``(blocks, 2)``, weighted by the share of dispatch in a run."""
    dispatch = np.minimum(1.0, _DISPATCH_MS / milliseconds)
    slowdown: Floats = references[:, 0] * dispatch + references[:, 1] * (1 - dispatch)
    return slowdown


class _References:
    """Two fixed networks whose times show how fast the core is now: many small operations, and few large ones."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            small: list[nn.Module] = []
            for _ in range(4):
                depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64)
                small += [nn.Conv2d(32, 64, 1), nn.ReLU(), depthwise, nn.ReLU(), nn.Conv2d(64, 32, 1)]
            large = [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
            self._runs = [
                onnx_runner(nn.Sequential(*layers).eval(), np.ones((1, *shape), dtype=np.float32))
                for layers, shape in ((small, (32, 8, 8)), (large, (16, 32, 32)))
            ]
        self.best = np.full(2, np.inf)
        for _ in range(200):
            self.look()

    def look(self) -> Floats:
        """Milliseconds ``(2,)`` of one run of each now; ``best`` is the minimum over all calls."""
        now = np.array([fastest_of(run, _REFERENCE_SECONDS) for run in self._runs])
        self.best = np.minimum(self.best, now)
        return now


@functools.cache
def _references() -> _References:
    return _References()
