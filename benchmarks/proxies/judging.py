"""What judging before training brings to searches that train: fronts with and without proxies.

    python -m benchmarks.proxies.judging [--data digits --limit 900 --budget 30 --epochs 6] [--seeds 3]
    python -m benchmarks.proxies.judging --data fashion-mnist --limit 1500 --budget 24
    python -m benchmarks.proxies.judging --limit 0 --seconds 150 --epochs 20 --seeds 5 --arms "(),auto"

Each search has the same number of trainings, and what scoring takes is in the seconds; or, with --seconds, the same
time in all. ``auto`` decides by itself, ``()``
is without proxies, "counts" is params and macs, "quick" has jacov and naswot as well. Networks have at most --params
parameters. The hypervolume is that of accuracy over 50 % and the natural logarithm of params under 300,000.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import searchkit
from benchmarks.common.machine import describe
from searchkit.problem.pareto import hypervolume

ARMS = {
    "()": (), "counts": ("params", "macs"), "quick": ("params", "macs", "jacov", "naswot"), "default": "default",
    "auto": "auto",
}  # fmt: skip
LEAST_ACCURACY, MOST_PARAMS = 0.5, 3e5


def area(accuracy: np.ndarray, params: np.ndarray) -> float:
    """The hypervolume of networks by accuracy and logarithm of params."""
    losses = np.column_stack([-accuracy, np.log(params)]).astype(np.float64)
    return float(hypervolume(losses, np.array([-LEAST_ACCURACY, np.log(MOST_PARAMS)])))


def row(arm: str, seed: int, given: argparse.Namespace) -> str:
    """One search, as a line of the table."""
    began = time.perf_counter()
    result = searchkit.run(
        given.strategy, data=searchkit.load_data(given.data, limit=given.limit or None),
        budget={"seconds": given.seconds} if given.seconds else given.budget,
        epochs=given.epochs, proxies=ARMS[arm], seed=seed, constraints={"params": given.params}, storage="memory",
        progress=False,
    )  # fmt: skip
    front, took = result.front, time.perf_counter() - began
    areas = [area(front[name].to_numpy(), front.params.to_numpy()) for name in ("accuracy", "test_accuracy")]
    said = [arm, seed, f"{took:.0f}", len(result.history), f"{result.history.seconds.sum():.0f}"]
    said += [f"{one:.3f}" for one in areas]
    return f"| {' | '.join(map(str, said))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--limit", type=int, default=900)
    parser.add_argument("--budget", type=int, default=30)
    parser.add_argument("--seconds", type=float, help="in place of --budget")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--params", type=float, default=2e5)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", default=",".join(ARMS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of networks that a proxy cannot score
    budget = f"{given.seconds:g} s" if given.seconds else f"{given.budget} trainings"
    print(f"{describe()}. {given.data}, {given.limit or 'all'} examples, {budget}, {given.epochs} epochs.\n")
    print("| proxies | seed | seconds | trainings | seconds in them | hypervolume, validation | test |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(given.seeds):
        for arm in given.arms.split(","):
            print(row(arm, seed, given), flush=True)
