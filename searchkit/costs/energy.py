"""Energy of one network's forward pass on a card, read from the card's energy counter.

The counter (NVML: nvmlDeviceGetTotalEnergyConsumption, from Volta on) covers the whole card, including its idle power,
and is updated every few tens of milliseconds. The network is therefore run for one second without pause, three times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from searchkit.costs.gpu_timing import Precision, Runs, measured_on_card, on_events, timed
from searchkit.errors import DeviceError
from searchkit.types import Floats

REPEATS = 3


@dataclass(frozen=True)
class Energy:
    """Energy of a forward pass, and how it was measured.

    Attributes:
        median_mj: millijoules per batch, of the whole card including idle power; median over repeats.
        spread: range of the repeats, relative to the median.
        n: number of runs in all repeats.
        label: method and card, for records and tables.
    """

    median_mj: float
    spread: float
    n: int
    label: str


def energy(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    *,
    batch: int = 1,
    precision: Precision = "float32",
    seconds: float = 1.0,
) -> Energy:
    """Measure a copy of the network in evaluation mode.

    Args:
        network, input_shape, device, batch, precision: as in :func:`searchkit.costs.gpu_timing.measured_on_card`.
        seconds: duration of each of the three repeats.

    Raises:
        DeviceError: pynvml is not installed, or the card's counter cannot be read.
        DeviceGoneError: the card is lost, or another process has exclusive use of it.
    """

    def measure(runs: Runs) -> Energy:
        with energy_counter(runs.card.uuid) as read:
            ms = float(np.median(timed(on_events(runs.run), 0.0).blocks))  # warms up; tells how many runs fill the time
            n = max(1, round(seconds * 1e3 / max(ms, 1e-4)))
            used = repeated(runs.run, torch.cuda.synchronize, read, n)
        median = float(np.median(used))
        how = f"{runs.method}, NVML's counter of the whole card"
        label = f"{how}; batch {batch}, {precision}, {runs.card.name}, driver {runs.card.driver or 'unknown'}"
        return Energy(median, float(np.ptp(used) / median) if median > 0 else 0.0, n * REPEATS, label)

    return measured_on_card(network, input_shape, device, measure, batch=batch, precision=precision)


def check_readable(device: torch.device) -> None:
    """Refuse a card whose counter cannot be read, before any work.

    Raises:
        DeviceError: the counter cannot be read; the message gives the reason.
    """
    with energy_counter(str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))) as read:
        read()


def repeated(run: Callable[[], object], wait: Callable[[], object], read: Callable[[], float], n: int) -> Floats:
    """Mean millijoules of one run in each repeat, ``(3,)``; the counter is read before and after its n runs."""
    used = np.empty(REPEATS)
    for i in range(REPEATS):
        wait()
        before = read()
        for _ in range(n):
            run()
        wait()
        used[i] = (read() - before) / n
    return used


@contextmanager
def energy_counter(uuid: str) -> Iterator[Callable[[], float]]:
    """A function that returns the millijoules that a card has used since its driver was loaded.

    Raises:
        DeviceError: pynvml is not installed, or the card's counter cannot be read.
    """
    nvml = _nvml()
    try:
        nvml.nvmlInit()
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
            yield lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise DeviceError(
            f"the energy counter of this card cannot be read (NVML: {error}): cards before Volta have none, and a "
            "virtual machine may hide it; latency_ms needs none"
        ) from error


def _nvml() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise DeviceError(
            "energy_mj is read through NVIDIA's management library, and its Python side is not installed: "
            'pip install "searchkit-nas[gpu]"'
        ) from error
    return pynvml
