"""Strategies on landscapes of several kinds: when they find the optimum, and how far below it they end.

    python -m benchmarks.strategies.landscapes [--tables cells-100,edge] [--methods bo,exact,climbing] [--seeds 20]

Real tables: the cells of NAS-Bench-201 by their accuracy on CIFAR-10 (200 epochs, and 12) and on CIFAR-100, and by that
on CIFAR-10 less a latency; NAS-Bench-Macro. Made ones: sizes (five ordered widths with diminishing returns, bottlenecks
and noise) and interactions (ten choices of four options, whose neighbours act together). A setting that is chosen on
some has to hold on the others.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.common.machine import describe
from benchmarks.common.tables import DATA
from searchkit import Choice, Space, benchmarks, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.space import keys
from searchkit.types import Codes, Floats

Values = Callable[[Codes], Floats]
LOOKS = (20, 30, 60)  # evaluations at which the best is compared with the optimum


def cells(objective: str, ops: str = "nas-bench-201") -> tuple[Space, Values]:
    """A published table by one objective, higher is better."""
    found = benchmarks.load(ops, objectives=objective, folder=DATA)
    return found.space, lambda codes: found.values(codes)[objective]


def less_latency(device: str, weight: float) -> tuple[Space, Values]:
    """CIFAR-10 accuracy, at least 60, less a weight times the standardised logarithm of a latency."""
    found = benchmarks.load("nas-bench-201", objectives=("accuracy", device), folder=DATA)
    everything = found.values(found.space.enumerate(10**6))[device]
    least, spread = float(np.nanmin(everything)), float(np.nanstd(np.log(everything)))

    def values(codes: Codes) -> Floats:
        columns = found.values(codes)
        found_: Floats = np.maximum(columns["accuracy"], 60) - weight * np.log(columns[device] / least) / spread
        return found_

    return found.space, values


def listed(space: Space, values: Floats) -> tuple[Space, Values]:
    """Values of all combinations of a space, by their number."""
    return space, lambda codes: values[np.ravel_multi_index(tuple(codes.T), tuple(space.n_options))]


def sizes(seed: int, noise: float = 0.15) -> tuple[Space, Values]:
    """Five ordered widths in eight steps."""
    rng, widths = np.random.default_rng([seed, 1]), np.arange(1, 9) * 8.0
    space = Space([Choice(f"width_{i}", [int(w) for w in widths], ordered=True) for i in range(5)], name="sizes")
    w = widths[space.enumerate(8**5)]
    gains, powers, narrow = rng.uniform(3, 12, 5), rng.uniform(0.4, 1.0, 5), rng.uniform(0.5, 3, 4)
    values = 75 - (gains * (8 / w) ** powers).sum(axis=1)
    values -= (narrow * 0.4 * np.abs(np.log2(w[:, 1:] / w[:, :-1])) ** 1.5).sum(axis=1)
    return listed(space, values + rng.normal(0, noise, len(w)))


def interactions(seed: int) -> tuple[Space, Values]:
    """Ten choices of four options, each with a value of its own and one with its neighbour's."""
    rng = np.random.default_rng([seed, 2])
    space = Space([Choice(f"choice_{i}", range(4)) for i in range(10)], name="interactions")
    codes, at = space.enumerate(4**10), np.arange(10)
    alone, beside = rng.normal(size=(10, 4)), rng.normal(scale=0.5, size=(10, 4, 4))
    values = alone[at, codes].sum(axis=1) + beside[at, codes, np.roll(codes, -1, axis=1)].sum(axis=1)
    return listed(space, values + rng.normal(scale=0.2, size=len(codes)))


TABLES: dict[str, Callable[[], tuple[Space, Values]]] = {
    "cells-10": functools.partial(cells, "accuracy"),
    "cells-100": functools.partial(cells, "cifar100_accuracy"),
    "macro": functools.partial(cells, "accuracy", "nas-bench-macro"),
    "raspi": functools.partial(less_latency, "raspi4_latency_ms", 2.0),
    "edge": functools.partial(less_latency, "edgegpu_latency_ms", 3.0),
    **{f"sizes-{seed}": functools.partial(sizes, seed) for seed in range(3)},
    "sizes-noisy": functools.partial(sizes, 3, 0.4),
    **{f"interactions-{seed}": functools.partial(interactions, seed) for seed in range(2)},
}


@dataclass
class Climbing:
    """Plain hill climbing: a random new neighbour of the best, whatever is known; a random candidate where none is."""

    problem: Problem
    batch = 1

    def __post_init__(self) -> None:
        self._told = Observations.empty(self.problem.space.n_choices, 1)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        seen = set(keys(self._told.codes))
        if len(self._told):
            best = self._told.codes[int(np.argmin(self._told.losses[:, 0]))]
            near = [code for code in self.problem.space.neighbours(best) if keys(code[None])[0] not in seen]
            if near:
                return near[int(rng.integers(len(near)))][None]
        return self.problem.space.sample(1, rng)

    def tell(self, told: Observations) -> None:
        self._told = self._told + told


def searched(make: Callable[[Problem], Strategy], space: Space, values: Values, budget: int, seed: int) -> Floats:
    """The best value after each evaluation."""
    strategy, found, step = make(Problem(space, 1, budget=budget)), np.empty(0), 0
    while len(found) < budget:
        size = min(int(getattr(strategy, "batch", 1)), budget - len(found))
        codes = strategy.ask(size, np.random.default_rng([seed, step]), np.empty((0, space.n_choices), dtype=np.int64))
        now = values(codes)
        strategy.tell(Observations(codes, -now[:, None], np.empty((len(codes), 0))))
        found, step = np.concatenate([found, now]), step + 1
    best: Floats = np.maximum.accumulate(found)
    return best


def main() -> None:
    """Print a row for each table and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--methods", default="bo,exact,evolution,climbing")
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    print(describe(), end="\n\n")
    columns = ["table", "method", "has the optimum by (median)", "of seeds by 60", "below it, on average, at 20"]
    columns += ["30", "60", "at most", "s a search"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for table in given.tables.split(","):
        space, values = TABLES[table]()
        optimum = float(np.nanmax(values(space.check(space.enumerate(10**7)))))
        for method in given.methods.split(","):
            make = Climbing if method == "climbing" else plugins.resolve("strategy", method)
            began = time.perf_counter()
            best = np.array([searched(make, space, values, LOOKS[-1], seed) for seed in range(given.seeds)])
            there = best >= optimum - 1e-9
            first = np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)
            regrets = [f"{(optimum - best[:, n - 1]).mean():.3f}" for n in LOOKS]
            print(
                f"| {table} | {method} | {np.median(first):.0f} | {there[:, -1].mean():.0%} | {' | '.join(regrets)} "
                f"| {(optimum - best[:, -1]).max():.3f} | {(time.perf_counter() - began) / given.seeds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
