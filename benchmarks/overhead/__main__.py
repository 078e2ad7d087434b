"""What searchkit itself costs: strategies against their peers, a suggestion, a record, an import.

    python -m benchmarks.overhead [--repeats 5] [--skip-optuna]

Everything runs in one process with one thread, peers and searchkit in turn; ratios of the same run are what counts.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import torch
from pymoo.algorithms.moo import nsga2 as pymoo_nsga2
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

import searchkit
from benchmarks.common.machine import describe
from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume
from searchkit.problem.problem import Problem
from searchkit.strategies.bo import BO
from searchkit.strategies.nsga2 import NSGA2

D, OPTIONS, POPULATION, EVALUATIONS = 20, 6, 100, 10_000
WEIGHTS = np.random.default_rng(0).normal(size=(2, D, OPTIONS))
LISTS = WEIGHTS.tolist()
SPACE = Space([Choice(f"c{j}", range(OPTIONS)) for j in range(D)])
NAMES = SPACE.names
REFERENCE = np.array([25.0, 25.0])


def losses(codes: np.ndarray) -> np.ndarray:
    """``(n, 2)``: each decision adds its own weight, one table per objective."""
    return np.stack([table[np.arange(D), codes].sum(axis=1) for table in WEIGHTS], axis=1)


def on_choices(choices: dict[str, int]) -> dict[str, float]:
    """The same function of one dictionary, as a user of searchkit writes it."""
    first, second = LISTS
    return {
        "a": sum(row[choices[name]] for name, row in zip(NAMES, first, strict=True)),
        "b": sum(row[choices[name]] for name, row in zip(NAMES, second, strict=True)),
    }


class Vectorised(PymooProblem):  # type: ignore[misc]
    """The same function as pymoo likes it: a whole population at once."""

    def __init__(self) -> None:
        super().__init__(n_var=D, n_obj=2, xl=0, xu=OPTIONS - 1, vtype=int)

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = losses(x.astype(int))


def with_searchkit(seed: int) -> float:
    result = searchkit.run(
        functools.partial(NSGA2, population=POPULATION), space=SPACE, evaluate=on_choices,
        objectives={"a": "min", "b": "min"}, budget=EVALUATIONS, batch=POPULATION, storage="memory", seed=seed,
    )  # fmt: skip
    return hypervolume(result.front[["a", "b"]].to_numpy(float), REFERENCE)


def with_pymoo(seed: int) -> float:
    operators = {
        "sampling": IntegerRandomSampling(),
        "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    }
    algorithm = pymoo_nsga2.NSGA2(pop_size=POPULATION, eliminate_duplicates=True, **operators)
    found = minimize(Vectorised(), algorithm, ("n_gen", EVALUATIONS // POPULATION), seed=seed, verbose=False)
    return hypervolume(np.asarray(found.F), REFERENCE)


def with_optuna(seed: int) -> float:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        values = on_choices({name: trial.suggest_int(name, 0, OPTIONS - 1) for name in NAMES})
        return values["a"], values["b"]

    study.optimize(objective, n_trials=EVALUATIONS)
    return hypervolume(np.array([trial.values for trial in study.trials]), REFERENCE)


def timed(work: Callable[[int], float], repeats: int) -> tuple[list[float], list[float]]:
    seconds, values = [], []
    for seed in range(repeats):
        start = time.perf_counter()
        values.append(work(seed))
        seconds.append(time.perf_counter() - start)
    return seconds, values


def nsga2(repeats: int, skip_optuna: bool) -> None:
    print(
        f"\n## nsga2: {EVALUATIONS:,} evaluations, {D} choices x {OPTIONS}, two objectives, population {POPULATION}\n"
    )
    print(
        "searchkit runs the whole of searchkit.run in memory, on a function of one dictionary; pymoo its minimize() on"
    )
    print("a vectorised problem; Optuna study.optimize in memory. Hypervolume: higher is better.\n")
    with_searchkit(99), with_pymoo(99)  # imports and first calls are nobody's
    ours, our_volume = timed(with_searchkit, repeats)
    theirs, their_volume = timed(with_pymoo, repeats)
    rows = [("searchkit.run", ours, our_volume), ("pymoo minimize()", theirs, their_volume)]
    if not skip_optuna:
        rows.append(("Optuna NSGAIISampler", *timed(with_optuna, 1)))
    base = statistics.median(ours)
    print("| | seconds (median) | times searchkit's | hypervolume (mean) | repeats |\n|---|---|---|---|---|")
    for name, seconds, volumes in rows:
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.2f} | {middle / base:.2f} | {np.mean(volumes):.0f} | {len(seconds)} |")


def bo(repeats: int) -> None:
    print(f"\n## bo: one suggestion, two objectives, {D} choices x {OPTIONS}\n")
    print("| observations | seconds (median), fits of earlier suggestions kept | repeats |\n|---|---|---|")
    none = np.empty((0, D), dtype=np.int64)
    for n in (50, 100, 200):
        seconds = []
        for seed in range(repeats):
            problem = Problem(SPACE, 2)
            strategy = BO(problem)
            codes = problem.sample(n, np.random.default_rng(seed))
            strategy.tell(Observations(codes, losses(codes), np.empty((n, 0))))
            strategy.ask(1, np.random.default_rng(seed), none)
            start = time.perf_counter()
            strategy.ask(1, np.random.default_rng(seed), none)
            seconds.append(time.perf_counter() - start)
        print(f"| {n} | {statistics.median(seconds):.2f} | {repeats} |")


def record(repeats: int) -> None:
    print(f"\n## the record: milliseconds per evaluation, {D} choices, one candidate at a time\n")
    print("| storage | ms (median) | evaluations | repeats |\n|---|---|---|---|")
    n = 300
    for name in ("memory", "journal file", "SQLite"):
        per_evaluation = []
        for seed in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                storage = {"memory": "memory", "journal file": folder, "SQLite": f"sqlite:///{folder}/study.db"}[name]
                start = time.perf_counter()
                searchkit.run(
                    "random", space=SPACE, evaluate=on_choices, objectives={"a": "min", "b": "min"}, budget=n, batch=1,
                    storage=storage, seed=seed,
                )  # fmt: skip
                per_evaluation.append((time.perf_counter() - start) / n * 1000)
        print(f"| {name} | {statistics.median(per_evaluation):.2f} | {n} | {repeats} |")


def imports(repeats: int) -> None:
    code = "import time; start = time.perf_counter(); import searchkit; print(time.perf_counter() - start)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(repeats + 1)][1:]
    print(f"\n## import searchkit: {statistics.median(seconds):.2f} s (median of {repeats}, files in the page cache)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-optuna", action="store_true", help="its 10,000 trials take a minute or more")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("# What searchkit itself costs\n")
    print(describe())
    nsga2(given.repeats, given.skip_optuna)
    bo(given.repeats)
    record(given.repeats)
    imports(given.repeats)
