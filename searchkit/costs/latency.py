"""Latency of one network on one device, its spread, and the method that measured it.

**CPU: ONNX Runtime, one thread.** Networks are often deployed with it, and it shows differences between them best. On
two cores of a shared server, a NAS-Bench-201 network of one cell per stage took 0.06 ms in ONNX Runtime. Eager torch
took 1.0 to 1.5 ms, most of it in Python, which hides the differences between networks. Export by tracing, with loading,
took 0.1 to 0.2 s. The dynamo exporter took 1.5 to 4 s, for the same latency; torch.jit took 0.3 to 0.5 s, and its
networks ran 2 to 10 times slower.

**Noise.** A core whose hyperthread sibling is busy runs 1.2 to 1.5 times slower, for milliseconds or for seconds. This
is a second mode of the distribution and not a tail, so more repeats of a median do not help. Four things do. Runs are
timed in blocks, and of each block the fastest run is used. Between blocks, two small fixed networks (the references)
are timed, and a block counts only if the core was at full speed before and after it. If these blocks are too few,
measuring goes on for a while. If there are still fewer than two, all blocks count, each divided by an estimate of its
slowdown. The estimate is interpolated between the slowdowns of the references: one consists mostly of dispatch, which
slows down most, and one mostly of arithmetic, which slows down least. Full speed is the fastest time of a reference in
this process.

**CUDA: a CUDA graph** of the forward pass, replayed in blocks between two events after a warm-up, one network at a time
on the card (:mod:`searchkit.costs.gpu_timing`); eager torch where a graph cannot be captured.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from searchkit.costs.gpu_timing import Precision, Runs, measured_on_card, on_events, timed
from searchkit.costs.onnx_session import file_runner, onnx_runner, subject_of
from searchkit.errors import DeviceError, UnknownNameError
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.processor import cpu_name
from searchkit.runtime.threads import one_thread
from searchkit.types import Floats

Run = Callable[[], object]

_METHODS = ("onnxruntime", "torch", "torch-graph")
_BLOCK_SECONDS = 0.005  # of runs between two timings of the references
_BLOCK_RUNS = 8  # at least; the first ones run with a cold cache
_REFERENCE_SECONDS = 0.0005
_FULL_SPEED = 1.07  # a reference up to this many times slower than its best counts as full speed
# A network this fast is mostly dispatch: slowdowns of 1.4 to 1.5 were measured below it, and of 1.2 at ten times it.
_DISPATCH_MS = 0.06
_ENOUGH = 5  # blocks at full speed, with which the measurement may end
_PATIENCE = 3.0  # times the given seconds; after that it ends even with fewer


@dataclass(frozen=True)
class Latency:
    """Latency of a forward pass, and how it was measured.

    Attributes:
        median_ms: milliseconds per batch: the median over blocks of the fastest run (CPU) or the mean run (card).
        spread: interquartile range of the blocks, relative to the median.
        n: number of timed runs in the blocks that count.
        method: what ran the network and how the blocks were chosen.
        device: name of the processor.
        threads: number of CPU threads.
        batch: images per run.
        mad_ms: median absolute deviation of the blocks from their median.
        precision: of weights and activations.
        driver: version of the card's driver, empty where it is not known; None for a CPU.
    """

    median_ms: float
    spread: float
    n: int
    method: str
    device: str
    threads: int
    batch: int
    mad_ms: float = 0.0
    precision: Precision = "float32"
    driver: str | None = None

    @property
    def label(self) -> str:
        """Method and device, for records and tables."""
        if self.driver is None:
            return f"{self.method}; batch {self.batch}, {self.threads} threads, {self.device}"
        driver = self.driver or "unknown"
        return f"{self.method}; batch {self.batch}, {self.precision}, {self.device}, driver {driver}"


def latency(
    network: nn.Module,
    input_shape: Sequence[int],
    *,
    device: str = "cpu",
    batch: int = 1,
    method: str | None = None,
    precision: Precision = "float32",
    seconds: float = 0.15,
) -> Latency:
    """Measure the forward pass of a network in evaluation mode, with random or trained weights.

    Args:
        network: not changed; a copy is measured.
        input_shape: of one image, without the batch: ``(channels, height, width)``.
        device: "cpu", "cuda" or "cuda:<index>".
        batch: images per run.
        method: "onnxruntime", "torch" (eager) or, on CUDA, "torch-graph". None: ONNX Runtime on a CPU and a CUDA
            graph on a card, eager torch where these cannot run the network. ``Latency.method`` says which was used.
        precision: "float32", or "bfloat16" on CUDA.
        seconds: of timing, and up to three times as many on a CPU that is not at full speed; export and warm-up are
            not included.

    Raises:
        DeviceError: the device is not available, or the method or precision cannot be used on it.
        UnknownNameError: the method or precision is unknown.
    """
    if method is not None and method not in _METHODS:
        raise UnknownNameError.of("latency method", method, _METHODS)
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise DeviceError(f"latency is measured on 'cpu' or 'cuda'; got device {device!r}")
    if precision not in get_args(Precision):
        raise UnknownNameError.of("precision", precision, get_args(Precision))
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} was asked for, but torch sees no CUDA device")
    if kind == "cuda" and method == "onnxruntime":
        raise DeviceError(f"latency on {device!r} is measured with method 'torch-graph' or 'torch'; got 'onnxruntime'")
    if kind == "cpu" and (method == "torch-graph" or precision != "float32"):
        asked = f"precision {precision!r}" if precision != "float32" else f"method {method!r}"
        raise DeviceError(f"latency with {asked} is measured on 'cuda'; got device {device!r}")
    if kind == "cuda":
        return _on_cuda(network, input_shape, resolve_device(device), batch, method, precision, seconds)
    x = np.random.default_rng(0).standard_normal((batch, *input_shape), dtype=np.float32)
    with one_thread(), torch.inference_mode(), subject_of(network, x) as subject:
        run, ran_by = runner(subject, x, method)
        return _on_cpu(run, ran_by, batch, seconds)


def runner(network: nn.Module, x: npt.NDArray[np.float32], method: str | None) -> tuple[Run, str]:
    """A function that runs the network once, and the name of what runs it."""
    tensor = torch.from_numpy(x)
    if method != "torch":
        try:
            return onnx_runner(network, x), f"onnxruntime {onnxruntime.__version__}"
        except Exception:  # the exporter raises errors of many kinds; a broken network fails in torch as well
            if method is not None:
                raise
    return lambda: network(tensor), f"torch {torch.__version__} eager"


def latency_of_file(file: Path, x: npt.NDArray[np.float32], seconds: float = 0.15) -> Latency:
    """Measure an ONNX file on one thread of the CPU.

    Args:
        x: ``(batch, ...)`` its inputs.
        seconds: see :func:`latency`.
    """
    with one_thread():
        return _on_cpu(file_runner(file, x), f"onnxruntime {onnxruntime.__version__}", len(x), seconds)


def _on_cpu(run: Run, ran_by: str, batch: int, seconds: float) -> Latency:
    references = _references()
    for _ in range(3):
        run()
    blocks: list[list[float]] = []  # ms of each run
    looks = [references.look()]  # ms of the references before and after each block
    begun = time.perf_counter()
    while True:
        blocks.append(_block(run, _BLOCK_SECONDS))
        looks.append(references.look())
        elapsed = time.perf_counter() - begun
        slowdowns = np.array(looks) / references.best
        counts = np.maximum(slowdowns[:-1, 0], slowdowns[1:, 0]) < _FULL_SPEED
        if elapsed >= seconds and (counts.sum() >= _ENOUGH or elapsed >= _PATIENCE * seconds):
            break
    fastest = np.array([min(block) for block in blocks])
    how = "at full speed"
    if counts.sum() < 2:
        how = "corrected for a busy core"
        fastest /= _expected_slowdown(fastest, (slowdowns[:-1] + slowdowns[1:]) / 2)
        counts = np.ones(len(blocks), dtype=np.bool_)
    n = sum(len(block) for block, counted in zip(blocks, counts, strict=True) if counted)
    return _latency(fastest[counts], n, f"{ran_by}, {how}", cpu_name(), batch)


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
        now = np.array([min(_block(run, _REFERENCE_SECONDS)) for run in self._runs])
        self.best = np.minimum(self.best, now)
        return now


@functools.cache
def _references() -> _References:
    return _References()


def fastest_of(run: Run, seconds: float) -> float:
    """Milliseconds of the fastest of several consecutive runs."""
    return min(_block(run, seconds))


def _block(run: Run, seconds: float) -> list[float]:
    """Milliseconds of each of several consecutive runs."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _BLOCK_RUNS or time.perf_counter() < end:
        start = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - start) * 1e-6)
    return times


def _on_cuda(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    batch: int,
    method: str | None,
    precision: Precision,
    seconds: float,
) -> Latency:
    """Time runs that are queued without pause, so that the host and the launch of a single run do not count."""

    def measure(runs: Runs) -> Latency:
        found = timed(on_events(runs.run), seconds)
        how = f"{runs.method}, CUDA events"
        return _latency(found.blocks, found.n, how, runs.card.name, batch, precision, runs.card.driver)

    graph = None if method is None else method == "torch-graph"
    return measured_on_card(network, input_shape, device, measure, batch=batch, precision=precision, graph=graph)


def _latency(
    blocks: Floats,
    n: int,
    method: str,
    device: str,
    batch: int,
    precision: Precision = "float32",
    driver: str | None = None,
) -> Latency:
    """Statistics of blocks ``(blocks,)``, in ms per run."""
    low, median, high = np.quantile(blocks, [0.25, 0.5, 0.75])
    mad = float(np.median(np.abs(blocks - median)))
    spread = float((high - low) / median)
    return Latency(float(median), spread, n, method, device, 1, batch, mad, precision, driver)
