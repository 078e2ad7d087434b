"""What a suggestion of TPE costs through searchkit and through Optuna itself, in studies that grow.

    python -m benchmarks.overhead.tpe [--repeats 25] [--trials 100,1000,3000]

A suggestion is the whole call, ``study.ask`` with the distributions and ``study.tell``, in memory. Both samplers work
in turn on studies that began with the same random trials; CPU time of one thread, medians. Read the ratios.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler

from benchmarks.common.machine import describe
from searchkit.integrations.optuna import SearchkitSampler

Distributions = Mapping[str, BaseDistribution]

EIGHT: Distributions = {
    **{f"x{i}": FloatDistribution(0, 1) for i in range(4)},
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "layers": IntDistribution(1, 64),
    "width": IntDistribution(1, 100),
    "kind": CategoricalDistribution(("a", "b", "c", "d")),
}
TWENTY: Distributions = {
    **{f"x{i}": FloatDistribution(0, 1) for i in range(12)},
    **{f"n{i}": IntDistribution(0, 20) for i in range(5)},
    **{f"c{i}": CategoricalDistribution(("a", "b", "c", "d")) for i in range(3)},
}
CHOICES: Distributions = {f"c{i}": CategoricalDistribution(range(6)) for i in range(20)}
STUDIES: dict[str, tuple[Distributions, int]] = {  # parameters, number of objectives
    "8 parameters": (EIGHT, 1), "20 parameters": (TWENTY, 1), "20 choices": (CHOICES, 1),
    "8 parameters, 2 objectives": (EIGHT, 2),
}  # fmt: skip
SAMPLERS: dict[str, Callable[[], BaseSampler]] = {
    "searchkit": lambda: SearchkitSampler("tpe", seed=0),
    "optuna": lambda: TPESampler(seed=0),
}


def drawn(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """A random value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(distribution.low, distribution.high + 1))
    low, high = distribution.low, distribution.high
    return math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else float(rng.uniform(low, high))


def losses(params: Mapping[str, Any], n_objectives: int) -> list[float]:
    """Distances from a point, and from another one for the second objective."""
    numbers = [float(value == "a") if isinstance(value, str) else float(value) / (1 + abs(value) // 2)
               for value in params.values()]  # fmt: skip
    return [sum((number - goal) ** 2 for number in numbers) for goal in (0.3, 0.7)[:n_objectives]]


def study_of(sampler: BaseSampler, distributions: Distributions, n_objectives: int, n: int) -> optuna.Study:
    """A study of n random trials."""
    study, rng = optuna.create_study(sampler=sampler, directions=["minimize"] * n_objectives), np.random.default_rng(0)
    for _ in range(n):
        params = {name: drawn(distribution, rng) for name, distribution in distributions.items()}
        study.add_trial(
            optuna.create_trial(params=params, distributions=distributions, values=losses(params, n_objectives))
        )
    return study


def seconds(distributions: Distributions, n_objectives: int, n: int, repeats: int) -> list[float]:
    """The median time of a suggestion, for each sampler."""
    studies = [study_of(make(), distributions, n_objectives, n) for make in SAMPLERS.values()]
    taken: list[list[float]] = [[] for _ in studies]
    for _ in range(repeats + 1):
        for study, times in zip(studies, taken, strict=True):
            start = time.process_time()
            trial = study.ask(dict(distributions))
            study.tell(trial, losses(trial.params, n_objectives))
            times.append(time.process_time() - start)
    return [statistics.median(times[1:]) for times in taken]  # the first learns the whole study


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead.tpe", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--trials", default="100,1000,3000")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(describe())
    print('\n| study | trials | SearchkitSampler("tpe"), ms | TPESampler(), ms | ratio |\n|---|---|---|---|---|')
    for name, (distributions, n_objectives) in STUDIES.items():
        for n in map(int, given.trials.split(",")):
            ours, theirs = seconds(distributions, n_objectives, n, given.repeats)
            print(f"| {name} | {n:,} | {ours * 1e3:.1f} | {theirs * 1e3:.1f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
