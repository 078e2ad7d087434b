"""How many candidates a second NSGA-II makes: searchkit's strategy, pymoo's minimize() and Optuna's sampler."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from searchkit import plugins
from searchkit.benchmarks import Benchmark
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.types import Codes, Floats

POPULATION = 100

Searched = tuple[list[float], Floats]
"""Seconds at which each candidate had been evaluated, and the losses of all."""


def nsga2(benchmark: Benchmark, evaluations: int, repeats: int) -> None:
    """searchkit's strategy on a vectorised function, pymoo's minimize() on the same, and Optuna's sampler."""
    print(f"\n## NSGA-II: {evaluations:,} evaluations, population {POPULATION}\n")
    print("Hypervolume: the whole front is 1. The candidate's time is averaged over so many around it.\n")
    print("| | seconds | candidates/s | ms, 100th | ms, last | hypervolume | repeats |\n|---|---|---|---|---|---|---|")
    searches = {"searchkit ask and tell": _ours, "pymoo minimize()": _pymoo, "Optuna NSGAIISampler": _optuna}
    for name, search in searches.items():
        times = 1 if search is _optuna else repeats
        search(benchmark, 3 * POPULATION, 99)  # imports and first calls are nobody's
        rows = [_measured(benchmark, search(benchmark, evaluations, seed)) for seed in range(times)]
        total, first, last, volume = (statistics.median(column) for column in zip(*rows, strict=True))
        speeds = f"{total:.2f} | {evaluations / total:,.0f} | {first:.3f} | {last:.3f}"
        print(f"| {name} | {speeds} | {volume:.4f} | {times} |", flush=True)


def _measured(benchmark: Benchmark, searched: Searched) -> tuple[float, float, float, float]:
    at, losses = searched
    n = len(at)

    def ms(start: int, end: int) -> float:
        return (at[end - 1] - at[start - 1]) / (end - start) * 1000

    # whole generations on both sides, the same number of them
    around = ms(POPULATION, 4 * POPULATION), ms(n - 3 * POPULATION, n)
    return at[-1], *around, benchmark.hypervolume(losses)


def _ours(benchmark: Benchmark, evaluations: int, seed: int) -> Searched:
    problem = Problem(benchmark.space, 2, budget=evaluations)
    strategy = plugins.resolve("strategy", "nsga2")(problem, population=POPULATION)
    at: list[float] = []
    found: list[Floats] = []
    start = time.perf_counter()
    while len(at) < evaluations:
        none = np.empty((0, benchmark.space.n_choices), dtype=np.int64)
        codes = strategy.ask(POPULATION, np.random.default_rng([seed, len(found)]), none)
        found.append(benchmark.losses(codes))
        strategy.tell(Observations(codes, found[-1], np.empty((len(codes), 0))))
        at += [time.perf_counter() - start] * len(codes)
    return at, np.concatenate(found)


def _pymoo(benchmark: Benchmark, evaluations: int, seed: int) -> Searched:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    at: list[float] = []
    found: list[Floats] = []

    class Vectorised(PymooProblem):  # type: ignore[misc]
        def _evaluate(self, x: Codes, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = benchmark.losses(x.astype(int))
            found.append(out["F"])
            at.extend([time.perf_counter() - start] * len(x))

    space = benchmark.space
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    task = Vectorised(n_var=space.n_choices, n_obj=2, xl=0, xu=space.n_options - 1, vtype=int)
    start = time.perf_counter()
    minimize(task, algorithm, ("n_gen", evaluations // POPULATION), seed=seed, verbose=False)
    return at, np.concatenate(found)


def _optuna(benchmark: Benchmark, evaluations: int, seed: int) -> Searched:
    import optuna

    from benchmarks.strategies.comparing.peer_optuna import distributions

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    known = distributions(benchmark.space)
    at: list[float] = []
    found: list[Floats] = []
    start = time.perf_counter()
    for _ in range(evaluations):
        trial = study.ask(known)
        found.append(benchmark.losses([trial.params[name] for name in known]))
        study.tell(trial, found[-1][0].tolist())
        at.append(time.perf_counter() - start)
    return at, np.concatenate(found)
