"""The parts of ``python -m benchmarks.gpu`` on costs: how well latencies repeat, and whether memory grows."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import searchkit
from benchmarks.gpu.setting import Setting
from searchkit.costs.energy import energy
from searchkit.costs.gpu_timing import Precision
from searchkit.costs.latency import Latency, latency
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.errors import DeviceError, DeviceGoneError
from searchkit.problem.trial import Trial


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
    print(
        "| network | batch | precision | median, ms | MAD | pairs differ by: median | largest | mJ a batch | method |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    unread: set[str] = set()  # reasons why the card's energy is not known
    for (n, batch, precision), found in measured.items():
        pairs = np.array([one.median_ms for one in found]).reshape(-1, 2)
        apart = np.abs(pairs[:, 0] - pairs[:, 1]) / pairs.min(axis=1)
        mad = np.median([one.mad_ms / one.median_ms for one in found])
        print(
            f"| {n} | {batch} | {precision} | {np.median(pairs):.4f} | {mad:.2%} | {np.median(apart):.2%} "
            f"| {apart.max():.2%} | {_energy(setting, networks[n], batch, precision, unread)} "
            f"| {' or '.join(sorted({one.method for one in found}))} |",
            flush=True,
        )
    print("".join(f"\nNo energy: {reason}." for reason in sorted(unread)))


def _energy(setting: Setting, network: torch.nn.Module, batch: int, precision: Precision, unread: set[str]) -> str:
    """With the range of three repeats, or nothing and why."""
    if setting.device.type == "cpu":
        unread.add("no card")
    if unread:  # it is the same card
        return "-"
    try:
        used = energy(network, setting.data.input_shape, setting.device, batch=batch, precision=precision)
    except DeviceGoneError:
        raise
    except DeviceError as error:
        unread.add(str(error))
        return "-"
    return f"{used.median_mj:.3g} (range {used.spread:.1%})"


def memory_part(setting: Setting) -> None:
    """Print what is held after the first candidates and after the last, of a search that trains and measures."""
    found: list[dict[str, float]] = []

    def look(trial: Trial, trials: Sequence[Trial]) -> None:
        gc.collect()
        found.append(_held(setting.device))

    space = searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)
    result = searchkit.run(
        "random", space=space, data=_few(setting.data), objectives=("accuracy", "latency_ms"), epochs=1,
        budget=setting.candidates, device=str(setting.device), storage="memory", callbacks=[look], progress=False,
    )  # fmt: skip
    tenth = max(1, len(found) // 10)
    failed = int((result.history["state"] == "failed").sum())
    print(f"N = {len(found)} candidates in a row, of which {failed} failed; MiB: the most of a tenth.\n")
    print("| | first tenth | last tenth | growth |\n|---|---|---|---|")
    for name in found[0]:
        first, last = (max(held[name] for held in part) / 2**20 for part in (found[:tenth], found[-tenth:]))
        print(f"| {name} | {first:.2f} | {last:.2f} | {last - first:+.2f} |", flush=True)


def _held(device: torch.device) -> dict[str, float]:
    """Bytes by who counts them; the allocator does not see what the driver keeps of graphs and of loaded kernels."""
    held: dict[str, float] = {}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        held["allocated by torch on the card"] = torch.cuda.memory_allocated(device)
        held["reserved by torch on the card"] = torch.cuda.memory_reserved(device)
        held["in use on the card, by whomever"] = total - free
    statistics = Path("/proc/self/statm")
    if statistics.exists():  # not outside of Linux
        held["resident on the host"] = int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return held


def _few(data: Data) -> Data:
    """A thousand images to learn from."""
    train, val = (Split(part.x[:1000], part.y[:1000]) for part in (data.train, data.val))
    return replace(data, train=train, val=val)
