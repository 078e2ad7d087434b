"""The strategy exact against the others on NAS-Bench-Macro, and what the exact front of a large space takes.

python -m benchmarks.blocks.exact [--seeds 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import searchkit
from benchmarks.common.machine import describe
from benchmarks.common.tables import layers
from searchkit.blocks.additive import read_additive
from searchkit.blocks.exact import front
from searchkit.space import keys

BUDGET = 40


def searches(n_seeds: int) -> None:
    """Accuracy of the best network found."""
    found = layers()
    accuracy = dict(zip(keys(found.codes), found.test.tolist(), strict=True))

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        return {"accuracy": accuracy[keys(found.space.encode(choices))[0]]}

    print(
        f"{found.title}, looked up; {BUDGET} evaluations, {n_seeds} seeds; the best is {max(accuracy.values()):.2f}.\n"
    )
    print("| strategy | candidates at once | worst | median | best | seconds a search |\n|---|---|---|---|---|---|")
    for strategy, batch in (("random", 1), ("nsga2", 8), ("tpe", 1), ("bo", 1), ("exact", 4), ("exact", 1)):
        start = time.perf_counter()
        best = [
            searchkit.run(
                strategy, space=found.space, evaluate=evaluate, objectives={"accuracy": "max"}, budget=BUDGET,
                batch=batch, seed=seed, storage="memory", progress=False,
            ).best().accuracy
            for seed in range(n_seeds)
        ]  # fmt: skip
        seconds = (time.perf_counter() - start) / n_seeds
        middle = statistics.median(best)
        print(f"| {strategy} | {batch} | {min(best):.2f} | {middle:.2f} | {max(best):.2f} | {seconds:.2f} |")


def fronts(repeats: int = 20) -> None:
    """Milliseconds for the whole front of two additive terms with random block values."""
    print("\n| nodes | alternatives | networks | on the front | ms (median) | repeats |\n|---|---|---|---|---|---|")
    for n_nodes, n_options in ((14, 10), (20, 5), (20, 30), (20, 100)):
        times, sizes = [], []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            models = [read_additive([rng.random(n_options) for _ in range(n_nodes)]) for _ in range(2)]
            start = time.perf_counter()
            picked, _ = front(models)
            times.append(1000 * (time.perf_counter() - start))
            sizes.append(len(picked))
        networks = f"{float(n_options) ** n_nodes:.0e}"
        print(
            f"| {n_nodes} | {n_options} | {networks} | {statistics.median(sizes):.0f} | {statistics.median(times):.1f} "
            f"| {repeats} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    print(f"{describe()}, one thread.\n")
    searches(parser.parse_args().seeds)
    fronts()
