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

**Tails.** ``Latency.p95_ms`` is of single runs, as a user of the network meets them: also of the first ones of each
block, whose cache is cold.

**CUDA: a CUDA graph** of the forward pass, replayed in blocks between two events after a warm-up, one network at a time
on the card (:mod:`searchkit.costs.gpu_timing`); eager torch where a graph cannot be captured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from searchkit.costs.cpu_timing import Run, timed_on_cpu
from searchkit.costs.gpu_timing import Precision, Runs, measured_on_card, on_events, timed
from searchkit.costs.onnx_session import file_runner, onnx_runner, subject_of
from searchkit.errors import DeviceError, UnknownNameError, UnsteadyError
from searchkit.problem.numbers import is_real, is_whole, shown
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.processor import cpu_name, speed
from searchkit.runtime.threads import one_thread
from searchkit.space.inputs import fixed_noise
from searchkit.types import Floats

_METHODS = ("onnxruntime", "torch", "torch-graph")
_LONGER = (2, 4)  # times the given seconds, of the measurements after one that was not steady enough


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
        p95_ms: 95th percentile: of single runs in the blocks that count (CPU), or of the blocks' means (card). NaN
            where it is not known.
        conditions: of a CPU, the governor of its clock and the power supply, as far as the system tells.
        mhz: of a CPU, its clock right after the timing; None where it is not known.
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
    p95_ms: float = math.nan
    conditions: str = ""
    mhz: float | None = None

    def __str__(self) -> str:
        """One line: the latency, how far its runs differ, and how it was measured."""
        tail = "" if math.isnan(self.p95_ms) else f", 95 % within {self.p95_ms:.4g} ms"
        clock = "" if self.mhz is None else f", {self.mhz:,.0f} MHz"
        return f"{self.median_ms:.4g} ms{tail}, spread {100 * self.spread:.1f} % ({self.label}{clock})"

    @property
    def label(self) -> str:
        """Method and device, for records and tables."""
        if self.driver is None:
            conditions = f", {self.conditions}" if self.conditions else ""
            return f"{self.method}; batch {self.batch}, {self.threads} threads, {self.device}{conditions}"
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
    most_spread: float | None = None,
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
        most_spread: the largest ``Latency.spread`` that is taken, such as 0.3. Above it the network is measured again,
            twice as long and then four times; the first of the three that is within it counts. None: any.

    Raises:
        DeviceError: the device is not available, or the method or precision cannot be used on it; or a network, shape,
            batch or seconds that are none.
        UnsteadyError: none of three measurements is within ``most_spread``; a DeviceError.
        UnknownNameError: the method or precision is unknown.
    """
    device = str(device)
    _check(device, method, precision, most_spread)
    _check_measured(network, input_shape, batch, seconds)
    if device.startswith("cuda"):
        return _on_cuda(network, input_shape, resolve_device(device), batch, method, precision, seconds, most_spread)
    x = fixed_noise(batch, input_shape)
    with one_thread(), torch.inference_mode(), subject_of(network, x) as subject:
        run, ran_by = runner(subject, x, method)
        return _steady(lambda time: _on_cpu(run, ran_by, batch, time), seconds, most_spread)


def _check(device: str, method: str | None, precision: str, most_spread: float | None) -> None:
    """See :func:`latency`."""
    if method is not None and method not in _METHODS:
        raise UnknownNameError.of("latency method", method, _METHODS)
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise DeviceError(f"latency is measured on 'cpu' or 'cuda'; got device {device!r}")
    if precision not in get_args(Precision):
        raise UnknownNameError.of("precision", precision, get_args(Precision))
    if most_spread is not None and not (is_real(most_spread) and most_spread > 0):
        raise DeviceError(f"most_spread is a number above 0, such as 0.3, or None; got {most_spread!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} was asked for, but torch sees no CUDA device")
    if kind == "cuda" and method == "onnxruntime":
        raise DeviceError(f"latency on {device!r} is measured with method 'torch-graph' or 'torch'; got 'onnxruntime'")
    if kind == "cpu" and (method == "torch-graph" or precision != "float32"):
        asked = f"precision {precision!r}" if precision != "float32" else f"method {method!r}"
        raise DeviceError(f"latency with {asked} is measured on 'cuda'; got device {device!r}")


def _check_measured(network: object, input_shape: object, batch: object, seconds: object) -> None:
    """See :func:`latency`."""
    if not isinstance(network, nn.Module):
        raise DeviceError(f"a latency is of a torch.nn.Module; got {shown(network)}")
    sizes = input_shape if isinstance(input_shape, Sequence) and not isinstance(input_shape, str) else [-1]
    if not all(is_whole(size) and size >= 0 for size in sizes):
        raise DeviceError(f"the shape of an input is whole numbers such as (3, 32, 32); got {shown(input_shape)}")
    if not is_real(seconds) or not 0 < seconds < np.inf or not is_whole(batch) or batch < 1:
        raise DeviceError(f"a latency is of a whole number of images from 1 on, in seconds above 0: {batch}, {seconds}")


def _steady(measured: Callable[[float], Latency], seconds: float, most_spread: float | None) -> Latency:
    """The first of up to three measurements, each longer than the last, that is steady enough.

    Args:
        measured: measures for a number of seconds.

    Raises:
        UnsteadyError: none is.
    """
    found = [measured(seconds)]
    if most_spread is None:
        return found[0]
    for longer in _LONGER:
        if found[-1].spread <= most_spread:
            break
        found.append(measured(longer * seconds))
    if found[-1].spread <= most_spread:
        return found[-1]
    least = min(one.spread for one in found)
    raise UnsteadyError(
        f"its runs differ by {100 * least:.0f} % in the steadiest of {len(found)} measurements (interquartile range "
        f"over the median; at most {100 * most_spread:.0f} % is taken), since the machine is busy or its clock changes"
    )


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
    times = timed_on_cpu(run, seconds)
    now = speed()
    return replace(
        _latency(times.blocks, times.runs, f"{ran_by}, {times.how}", cpu_name(), batch),
        conditions=now.conditions,
        mhz=now.mhz,
    )


def _on_cuda(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    batch: int,
    method: str | None,
    precision: Precision,
    seconds: float,
    most_spread: float | None,
) -> Latency:
    """Time runs that are queued without pause, so that the host and the launch of a single run do not count."""

    def measure(runs: Runs) -> Latency:
        def timed_for(time: float) -> Latency:
            found = timed(on_events(runs.run), time)
            how = f"{runs.method}, CUDA events"
            known = _latency(found.blocks, found.blocks, how, runs.card.name, batch)
            return replace(known, n=found.n, precision=precision, driver=runs.card.driver)

        return _steady(timed_for, seconds, most_spread)

    graph = None if method is None else method == "torch-graph"
    return measured_on_card(network, input_shape, device, measure, batch=batch, precision=precision, graph=graph)


def _latency(blocks: Floats, runs: Floats, method: str, device: str, batch: int) -> Latency:
    """Statistics of blocks ``(blocks,)`` and of what was timed in them ``(runs,)``, in ms per run."""
    low, median, high = np.quantile(blocks, [0.25, 0.5, 0.75])
    mad = float(np.median(np.abs(blocks - median)))
    spread, p95 = float((high - low) / median), float(np.quantile(runs, 0.95))
    return Latency(float(median), spread, len(runs), method, device, 1, batch, mad, p95_ms=p95)
