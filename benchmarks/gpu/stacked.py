"""How often a search could train networks stacked, and what it would save on a CPU.

python -m benchmarks.gpu.stacked [--candidates 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import searchkit
from benchmarks.common.machine import describe
from benchmarks.gpu.stacked_training import stacked_training, topologies
from searchkit.data.loading import load_data
from searchkit.space import NetworkSpace
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, train
from searchkit.types import Codes

SPACES = ("nas-bench-201", "macro", "mobilenet")
STACKED = 4


def how_often(n: int) -> None:
    """Print, of random candidates and of those of a search, how many are different, and of those how many alike."""
    print(f"N = {n} random candidates, and those of an NSGA-II search of as many for few parameters and many MACs.\n")
    print("| space | candidates | different | topologies | different candidates that could be stacked |")
    print("|---|---|---|---|---|")
    for name in SPACES:
        space = searchkit.load_space(name)
        drawn = space.sample(n, np.random.default_rng(0))
        for what, codes in (("random", drawn), ("of a search", _searched(space, n))):
            different = np.unique(codes, axis=0)
            found = topologies(space, different)
            alike = sum(count for count in found.values() if count > 1)
            print(f"| {name} | {len(codes)} {what} | {len(different)} | {len(found)} | {alike} |", flush=True)


def _searched(space: NetworkSpace, n: int) -> Codes:
    """What a search evaluated; costs alone, so that nothing is trained."""
    result = searchkit.run(
        "nsga2", space=space, objectives={"params": "min", "macs": "max"}, budget=n, storage="memory", progress=False
    )
    rows = result.history[[choice.name for choice in space.choices]].to_dict("records")
    return space.encode({str(name): value for name, value in row.items()} for row in rows)


def how_long(repeats: int) -> None:
    """Print seconds of training networks of one cell one after the other and stacked; the two take turns."""
    data, device, recipe = load_data("digits"), torch.device("cpu"), Recipe(epochs=2)
    print(f"N = {repeats} times {STACKED} networks, {recipe.epochs} epochs of digits, fp32, seconds of all: median.\n")
    print("| width | one by one | stacked | one by one / stacked: median (range) |\n|---|---|---|---|")
    for width in (4, 16):
        space = searchkit.load_space("nas-bench-201", width=width, cells=1, input_shape=data.input_shape)
        seeds = range(STACKED)
        times = np.empty((repeats + 1, 2))
        for row in times:
            networks = [build_seeded(space, [3, 1, 4, 0, 2, 3], seed) for seed in seeds]
            start = time.perf_counter()
            for network, seed in zip(networks, seeds, strict=True):
                train(network, data, recipe=recipe, seed=seed, device=device)
            row[0] = time.perf_counter() - start
            networks = [build_seeded(space, [3, 1, 4, 0, 2, 3], seed) for seed in seeds]
            start = time.perf_counter()
            stacked_training(networks, data, recipe, device, seeds)
            row[1] = time.perf_counter() - start
        times = times[1:]  # the first warms up
        (alone, together), ratios = np.median(times, axis=0), times[:, 0] / times[:, 1]
        spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
        print(f"| {width} | {alone:.2f} | {together:.2f} | {np.median(ratios):.2f} ({spread}) |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1000, help="random ones, and evaluated by the search (1000)")
    parser.add_argument("--repeats", type=int, default=5, help="of the timing (5)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe()}, no card, one thread.\n")
    how_often(given.candidates)
    print()
    how_long(given.repeats)
