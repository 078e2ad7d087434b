"""How well two latency measurements of one network agree, on a quiet machine and beside busy neighbours.

    python -m benchmarks.costs.latency_repeatability [--pairs 20] [--neighbours 0 1 2]

20 pairs take five minutes. The spread of a measurement is the interquartile range of its blocks over their median, and
its tail the 95th percentile of single runs over the median.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from benchmarks.common.machine import describe
from searchkit.costs.latency import Latency, latency
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201

SPACES = {
    "nas-bench-201, 8x8, 1 cell": nas_bench_201(cells=1, input_shape=(1, 8, 8)),
    "nas-bench-201, 32x32, 5 cells": nas_bench_201(),
    "macro, 8x8, width 8": macro(width=8, input_shape=(1, 8, 8)),
    "macro, 32x32": macro(),
    "mobilenet, 32x32": mobilenet(),
}


def main(n_pairs: int, neighbours: Sequence[int]) -> None:
    """Print one row per network and condition."""
    rng = np.random.default_rng(0)
    networks = {name: space.build(space.sample(1, rng)[0]) for name, space in SPACES.items()}
    print(f"{describe()}.")
    print(f"N = {len(networks)} networks, {n_pairs} pairs each; the pairs of all networks take turns.\n")
    print(
        "| network | neighbours | median, ms | pairs differ by: median | 90 % | largest | spread: median | 90 % "
        "| largest | tail | at full speed | s per call |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for n_neighbours in neighbours:
        with _busy(n_neighbours):
            measured, seconds = _measure(networks, 2 * n_pairs)
        for name in networks:
            pairs = np.array([m.median_ms for m in measured[name]]).reshape(-1, 2)
            apart = 100 * np.abs(pairs[:, 0] - pairs[:, 1]) / pairs.min(axis=1)
            quiet = 100 * np.mean(["at full speed" in m.method for m in measured[name]])
            spreads = 100 * np.array([m.spread for m in measured[name]])
            tail = np.median([m.p95_ms / m.median_ms for m in measured[name]])
            print(
                f"| {name} | {n_neighbours} | {np.median(pairs):.3f} | {np.median(apart):.1f} % "
                f"| {np.quantile(apart, 0.9):.1f} % | {apart.max():.1f} % "
                f"| {np.median(spreads):.1f} % | {np.quantile(spreads, 0.9):.1f} % | {spreads.max():.1f} % "
                f"| {tail:.2f} | {quiet:.0f} % "
                f"| {np.median(seconds[name]):.2f} |",
                flush=True,
            )


def _measure(networks: dict[str, nn.Module], n: int) -> tuple[dict[str, list[Latency]], dict[str, list[float]]]:
    """n measurements of each network, two in a row, and the seconds that each call took."""
    measured: dict[str, list[Latency]] = {name: [] for name in networks}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(n // 2):
        for name, network in networks.items():
            for _ in range(2):
                begun = time.perf_counter()
                measured[name].append(latency(network, SPACES[name].input_shape))
                seconds[name].append(time.perf_counter() - begun)
    return measured, seconds


@contextmanager
def _busy(n: int) -> Iterator[None]:
    """n processes of matrix products on one thread each."""
    work = "import torch\ntorch.set_num_threads(1)\na = torch.randn(700, 700)\nprint(flush=True)\nwhile True: a @ a"
    processes = [subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE) for _ in range(n)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="of measurements, for each network (20)")
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 2], help="busy processes beside (0 1 2)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    main(given.pairs, given.neighbours)
