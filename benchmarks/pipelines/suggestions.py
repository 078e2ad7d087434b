"""The time of a suggestion of SearchkitSampler's strategies and of Optuna's samplers, in a study of random trials."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from benchmarks.pipelines.parameters import Case, space_of
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.mixed_bo import MixedBO

STRATEGIES = ("random", "nsga2", "tpe", "bo")


def objective(trial: optuna.Trial) -> float:
    """Six numbers and four categories."""
    numbers = [trial.suggest_float(f"x{i}", -5, 5) for i in range(6)]
    return sum(x * x for x in numbers) + [trial.suggest_categorical(f"c{i}", list("abcd")) for i in range(4)].count("b")


def part_optuna(repeats: int = 5) -> None:
    """Milliseconds of a trial whose objective is free: the first of a process, and the median of those after it."""
    samplers: dict[str, Callable[[], Any]] = {
        "Optuna's TPE": lambda: optuna.samplers.TPESampler(seed=0),
        **{f"searchkit {name}": functools.partial(SearchkitSampler, name, seed=0) for name in STRATEGIES},
    }
    print("| sampler | 100 trials: first, then | 1,000 trials: first, then |\n|---|---|---|")
    for label, make in samplers.items():
        cells = []
        for n in (100, 1000):
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
            study.optimize(objective, n_trials=n)
            study.sampler = make()
            times = []
            for _ in range(repeats + 1):
                began = time.perf_counter()
                study.optimize(objective, n_trials=1)
                times.append(1000 * (time.perf_counter() - began))
            cells.append(f"{times[0]:.0f}, {statistics.median(times[1:]):.1f}")
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def part_strategy(cases: list[Case], repeats: int = 25) -> None:
    """Milliseconds of MixedBO alone, by the number of random candidates told: median, mean and most of what follows."""
    print("\n| case | 20 told | 100 told | 1,000 told |\n|---|---|---|---|")
    for case in cases:
        cells = []
        for n in (20, 100, 1000):
            times = np.array(_asked(case, n, repeats + 1)[1:])
            cells.append(f"{np.median(times):.0f}, {times.mean():.0f}, {times.max():.0f}")
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


def _asked(case: Case, n: int, repeats: int) -> list[float]:
    space = space_of(case)
    strategy, codes, times = MixedBO(Problem(space)), space.sample(n, np.random.default_rng(0)), []
    for step in range(repeats):
        losses = np.array([[case.loss(config)] for config in space.decode(codes)])
        strategy.tell(Observations(codes, losses, np.empty((len(codes), 0))))
        began = time.perf_counter()
        codes = strategy.ask(1, np.random.default_rng(step), codes[:0])
        times.append(1000 * (time.perf_counter() - began))
    return times
