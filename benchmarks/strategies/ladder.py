"""A search on digits with and without a fidelity ladder: seconds, trainings, and what is on the front.

    python -m benchmarks.strategies.ladder [--seeds 2] [--budget 27] [--strategy nsga2]

Every search of a seed has the same space (nas-bench-201 of one cell, widths 4 to 12), data and batch, on one
thread, and the epochs of searchkit.run. A search of a third of the candidates without a ladder takes about as long
as one with a rung of three epochs; three times the candidates with that rung take about as long as all without a
ladder. CPU seconds are those of the process, which a busy machine disturbs less than the clock. The hypervolume is
of accuracy and log10 of params, over 10 % and under 10^5.5, on the validation part (which the search has seen) and
of the same networks on the test part (which it has not).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import searchkit
from benchmarks.common.machine import describe
from searchkit.problem.pareto import hypervolume

CELLS = searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)
LADDERS: dict[str, tuple[Any, float]] = {  # and how many candidates, over the budget
    "none": (None, 1),
    "none, a third of the candidates": (None, 1 / 3),
    "default (3 and 10 epochs)": ("default", 1),
    "3 epochs": (({"epochs": 3},), 1),
    "3 epochs, three times the candidates": (({"epochs": 3},), 3),
    "3, then 10 on half the data": (({"epochs": 3}, {"epochs": 10, "data": 0.5}), 1),
    "10 epochs at half width": (({"epochs": 10, "width": 0.5},), 1),
}
COLUMNS = (
    "ladder", "seed", "seconds", "CPU seconds", "in full", "dropped", "front", "best: validation", "test", "params",
    "hypervolume: validation", "test",
)  # fmt: skip


def area(front: Any, accuracy: str) -> float:
    """The hypervolume of a front."""
    losses = np.column_stack([-front[accuracy].to_numpy(float), np.log10(front["params"].to_numpy(float))])
    return hypervolume(losses, np.array([-0.1, 5.5]))


def row(name: str, seed: int, result: searchkit.Result, seconds: float, cpu_seconds: float) -> str:
    """One line of the table."""
    states = result.history.state.value_counts()
    front, best = result.front, result.front.iloc[0]
    cells: list[object] = [name, seed, f"{seconds:.0f}", f"{cpu_seconds:.0f}"]
    cells += [states.get("scored", 0), states.get("dropped", 0), len(front)]
    cells += [f"{best.accuracy:.1%}", f"{best.test_accuracy:.1%}", f"{best.params:,.0f}"]
    cells += [f"{area(front, name):.3f}" for name in ("accuracy", "test_accuracy")]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budget", type=int, default=27)
    parser.add_argument("--batch", type=int, default=9)
    parser.add_argument("--strategy", default="nsga2")
    given = parser.parse_args()
    print(f"# The fidelity ladder\n\n{describe()}. Digits, {given.strategy}, ", end="")
    print(f"budget {given.budget}, batches of {given.batch}.\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for seed in range(given.seeds):
        for name, (ladder, share) in LADDERS.items():
            budget = round(given.budget * share)
            start, cpu_start = time.perf_counter(), time.process_time()
            found = searchkit.run(
                given.strategy, space=CELLS, budget=budget, batch=given.batch, seed=seed, ladder=ladder,
                storage="memory", device="cpu", progress=False,
            )  # fmt: skip
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
            print(row(name, seed, found, seconds, cpu_seconds), flush=True)
