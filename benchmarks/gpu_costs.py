"""The parts of benchmarks/gpu.py about costs: whether latencies agree with themselves, and whether memory grows."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gpu_setting import Setting

import searchkit
from searchkit.card_runs import Precision
from searchkit.data import Data, Split
from searchkit.energy import energy
from searchkit.errors import DeviceError
from searchkit.latency import Latency, latency
from searchkit.trial import Trial


def latency_part(setting: Setting) -> None:
    """Print how far two measurements in a row are apart, and the energy of a run where the card tells."""
    on_card = setting.device.type == "cuda"
    networks = [setting.space.build(code) for code in setting.codes(3)]
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if on_card else ("float32",)
    cases = [(n, batch, p) for n in range(len(networks)) for batch in (1, 256 if on_card else 2) for p in precisions]
    measured: dict[tuple[int, int, Precision], list[Latency]] = {case: [] for case in cases}
    for _ in range(setting.pairs):
        for (n, batch, precision), found in measured.items():  # two in a row; the pairs of all cases take turns
            for _ in range(2):
                found.append(
                    latency(
                        networks[n], setting.data.input_shape, device=str(setting.device), batch=batch,
                        precision=precision, seconds=0.15 if on_card else 0.01,
                    )
                )  # fmt: skip
    print(f"N = {len(networks)} networks, {setting.pairs} pairs each.\n")
    print("| network | batch | precision | median, ms | MAD | pairs differ by: median | largest | mJ a run | method |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (n, batch, precision), found in measured.items():
        pairs = np.array([one.median_ms for one in found]).reshape(-1, 2)
        apart = np.abs(pairs[:, 0] - pairs[:, 1]) / pairs.min(axis=1)
        mad = np.median([one.mad_ms / one.median_ms for one in found])
        print(
            f"| {n} | {batch} | {precision} | {np.median(pairs):.4f} | {mad:.2%} | {np.median(apart):.2%} "
            f"| {apart.max():.2%} | {_energy(setting, networks[n], batch, precision)} | {found[0].method} |",
            flush=True,
        )


def _energy(setting: Setting, network: torch.nn.Module, batch: int, precision: Precision) -> str:
    """With the range of three repeats, or why there is none."""
    if setting.device.type == "cpu":
        return "no card"
    try:
        used = energy(network, setting.data.input_shape, setting.device, batch=batch, precision=precision)
    except DeviceError as error:
        return str(error).partition(":")[0]
    return f"{used.median_mj:.3g} (range {used.spread:.1%})"


def memory_part(setting: Setting) -> None:
    """Print what is allocated after the first candidates and after the last, of a search that trains and measures."""
    found: list[tuple[float, float]] = []

    def look(trial: Trial, trials: Sequence[Trial]) -> None:
        gc.collect()
        found.append(_held(setting.device))

    space = searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)
    result = searchkit.run(
        "random", space=space, data=_few(setting.data), objectives=("accuracy", "latency_ms"), epochs=1,
        budget=setting.candidates, device=str(setting.device), storage="memory", callbacks=[look], progress=False,
    )  # fmt: skip
    early, late = found[: max(1, len(found) // 10)], found[-max(1, len(found) // 10) :]
    what = "allocated and reserved by torch on the card" if setting.device.type == "cuda" else "resident in memory"
    failed = int((result.history["state"] == "failed").sum())
    print(f"N = {len(found)} candidates in a row, of which {failed} failed; MiB {what}: the most of a tenth.\n")
    print("| | first tenth | last tenth | growth |\n|---|---|---|---|")
    for i, name in enumerate(("allocated", "reserved")):
        first, last = (max(pair[i] for pair in part) / 2**20 for part in (early, late))
        print(f"| {name} | {first:.2f} | {last:.2f} | {last - first:+.2f} |")


def _held(device: torch.device) -> tuple[float, float]:
    """Bytes allocated and reserved on the card; on a CPU what the process has in memory, twice."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    statistics = Path("/proc/self/statm")
    resident = int(statistics.read_text().split()[1]) * 4096.0 if statistics.exists() else float("nan")
    return resident, resident


def _few(data: Data) -> Data:
    """A thousand images to learn from."""
    train, val = (Split(part.x[:1000], part.y[:1000]) for part in (data.train, data.val))
    return replace(data, train=train, val=val)
