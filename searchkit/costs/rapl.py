"""Energy of one network's forward pass on a CPU, read from the counters of its packages (RAPL).

Intel's and AMD's processors count the energy of each package; Linux shows it in ``/sys/class/powercap``. A package is
the whole socket, its idle power included, so other work on the machine counts as well. The network runs in ONNX Runtime
on one thread for a second without pause, three times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from searchkit.costs.cpu_timing import fastest_of
from searchkit.costs.energy import REPEATS, Energy, repeated
from searchkit.costs.latency import runner
from searchkit.costs.onnx_session import subject_of
from searchkit.errors import DeviceError
from searchkit.runtime.processor import cpu_name
from searchkit.runtime.threads import one_thread
from searchkit.space.inputs import fixed_noise

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")  # AMD's too
_MICROJOULES = 1e-3  # millijoules


class PackageCounter:
    """The energy that all packages of this machine have used since the counter was made.

    Args:
        folder: where the kernel shows the counters.

    Raises:
        DeviceError: there are none, or they cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = POWERCAP if folder is None else folder
        found = [one for one in sorted(folder.glob("intel-rapl:*")) if _PACKAGE.fullmatch(one.name)]
        self._files = [one / "energy_uj" for one in found if _text(one / "name").startswith("package")]
        if not self._files:
            raise DeviceError(
                f"energy_mj on a CPU is read from its energy counters in {folder}, and this machine shows none "
                "(virtual machines hide them): measure it on a target that can, or choose latency_ms"
            )
        self._ranges = [int(_text(file.with_name("max_energy_range_uj")) or 0) for file in self._files]
        self._last = self._now()
        self._used = 0

    def __call__(self) -> float:
        """Millijoules; a counter that has begun anew since the last call is taken into account."""
        now = self._now()
        steps = [after - before for before, after in zip(self._last, now, strict=True)]
        self._used += sum(step + most if step < 0 else step for step, most in zip(steps, self._ranges, strict=True))
        self._last = now
        return self._used * _MICROJOULES

    def _now(self) -> list[int]:
        try:
            return [int(file.read_text()) for file in self._files]
        except OSError as error:
            raise DeviceError(
                f"the CPU's energy counter {self._files[0]} cannot be read ({type(error).__name__}), which most "
                f"systems allow to root only: sudo chmod a+r {self._files[0].parent.parent}/intel-rapl:*/energy_uj"
            ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def cpu_energy(network: nn.Module, input_shape: Sequence[int], *, seconds: float = 1.0) -> Energy:
    """Measure the forward pass of a network in evaluation mode, for one example.

    Args:
        network: not changed; a copy is measured.
        input_shape: of one example.
        seconds: duration of each of the three repeats.

    Raises:
        DeviceError: the machine shows no counters, or they cannot be read.
    """
    read = PackageCounter()
    x = fixed_noise(1, input_shape)
    with one_thread(), torch.inference_mode(), subject_of(network, x) as subject:
        run, ran_by = runner(subject, x, None)
        n = max(1, round(seconds * 1e3 / max(fastest_of(run, 0.05), 1e-4)))
        used = repeated(run, lambda: None, read, n)
    median = float(np.median(used))
    label = f"{ran_by}, RAPL's counter of all packages; batch 1, 1 threads, {cpu_name()}"
    return Energy(median, float(np.ptp(used) / median) if median > 0 else 0.0, n * REPEATS, label)
