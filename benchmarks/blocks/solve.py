"""What the best network under several limits takes, with the proof that none is better.

python -m benchmarks.blocks.solve [--repeats 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter

import numpy as np

from benchmarks.common.machine import describe
from searchkit.blocks.additive import Additive, read_additive
from searchkit.blocks.solve import Limit, solve

SHAPES = ((10, 10), (20, 10), (20, 30))
COSTS = ("of their own", "in the way")
ASKED = ("one at most", "one at most, two between", "one at most, two between, a ratio")


def terms(rng: np.random.Generator, n_blocks: int, n_options: int, costs: str) -> tuple[Additive, list[Additive]]:
    """A loss and three costs, random uniform; in the way: what costs more loses less, as in real spaces."""
    loss, *others = rng.random((4, n_blocks, n_options))
    if costs == "in the way":
        common = rng.random((n_blocks, n_options))
        loss = 1 - 0.8 * common + 0.2 * loss
        others = [0.6 * common + 0.4 * other for other in others]
    return read_additive(loss), [read_additive(other) for other in others]


def limited(rng: np.random.Generator, costs: list[Additive], asked: str) -> list[Limit]:
    """The first cost below the 40 % quantile of random networks, and the others between the 40 and 60 % ones."""
    picked = np.column_stack([rng.integers(0, len(table), 2000) for table in costs[0].tables])
    ends = [np.quantile(cost(picked), (0.4, 0.6)) for cost in costs]
    limits = [Limit("latency", costs[0], high=float(ends[0][0]))]
    if "two between" in asked:
        limits += [
            Limit(name, cost, float(low), float(high))
            for name, cost, (low, high) in zip(("macs", "params"), costs[1:], ends[1:], strict=True)
        ]
    return limits


def programmes(repeats: int = 20) -> None:
    """Seconds of one call."""
    print("| blocks | alternatives | costs | limits | status | seconds (median) | seconds (most) | repeats |")
    print("|---|---|---|---|---|---|---|---|")
    for n_blocks, n_options in SHAPES:
        for kind in COSTS:
            for asked in ASKED:
                times: list[float] = []
                status: Counter[str] = Counter()
                for seed in range(repeats):
                    rng = np.random.default_rng(seed)
                    loss, costs = terms(rng, n_blocks, n_options, kind)
                    limits = limited(rng, costs, asked)
                    start = time.perf_counter()
                    found = solve(loss, limits, over=costs[0] if "ratio" in asked else None, seconds=60)
                    times.append(time.perf_counter() - start)
                    status[found.status] += 1
                counted = ", ".join(f"{n} {name}" for name, n in status.items())
                print(
                    f"| {n_blocks} | {n_options} | {kind} | {asked} | {counted} | {statistics.median(times):.2f} "
                    f"| {max(times):.2f} | {repeats} |",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    print(f"{describe()}, one thread.\n")
    programmes(parser.parse_args().repeats)
