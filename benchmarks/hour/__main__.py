"""Delivered test accuracy against wall time, beside peers that have the same seconds on the same two cores.

    python -m benchmarks.hour [--data digits,fashion-5000] [--seconds 120,600] [--seeds 3] [--methods searchkit,grid]

Every method has the same train, validation and test parts. ``grid`` is six plain residual networks of searchkit's space
(its designs by hand: widths and depths), trained with searchkit's own recipe for the length that fits into the time,
each for a sixth of it, two at a time; the best on the validation part is delivered. ``tpe`` is Optuna's TPE over
searchkit's space, each candidate trained by searchkit's default recipe (30 epochs), until the time is over. ``mlp`` and
``boosting`` are scikit-learn's MLP of 256 and histogram gradient boosting on the pixels, with as many rounds as the
time allows. ``flaml`` is FLAML on the pixels; ``pip install flaml lightgbm xgboost`` first, or leave it out of
``--methods``. Hypervolume: of (test accuracy over 10 %, log10 of params under 10^6.5) of the networks of a front.

A row is printed as soon as it is known. Compare rows of one run only.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.common.machine import describe
from benchmarks.hour.methods import METHODS, Row
from searchkit.data.data import Data
from searchkit.data.loading import load_data

DATA = {
    "digits": ("digits", None),
    "fashion-1000": ("fashion-mnist", 1_000),
    "fashion-5000": ("fashion-mnist", 5_000),
    "fashion-60000": ("fashion-mnist", None),
    "cifar-2000": ("cifar-10", 2_000),
    "cifar-12000": ("cifar-10", None),
}
COLUMNS = ("data", "budget", "method", "seed", "test accuracy", "seconds", "params", "networks", "hypervolume")


def loaded(name: str) -> Data:
    """One of the data sets of the benchmark, split as ``searchkit.run`` splits it."""
    source, limit = DATA[name]
    return load_data(source, limit=limit)


def line(data: str, seconds: float, method: str, seed: int, row: Row) -> str:
    """One line of the table."""
    cells = [data, f"{seconds:g}", method, seed, f"{row.accuracy:.2%}", f"{row.seconds:.0f}"]
    cells += [f"{row.params:,.0f}" if row.params else "", row.networks or "", f"{row.area:.3f}" if row.area else ""]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits,fashion-5000,cifar-12000")
    parser.add_argument("--seconds", default="120")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", default=",".join(name for name in METHODS if name != "flaml"))
    asked = parser.parse_args()
    print(describe(), flush=True)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in asked.data.split(","):
        data = loaded(name)
        for seconds in map(float, asked.seconds.split(",")):
            for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
                for method in asked.methods.split(","):
                    began = time.perf_counter()
                    row = METHODS[method](data, seconds, seed, asked.workers)
                    row = row.after(time.perf_counter() - began)
                    print(line(name, seconds, method, seed, row), flush=True)
