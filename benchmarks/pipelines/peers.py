"""Runs of samplers, ours and Optuna's, on a case: the same objective of the same study."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from benchmarks.pipelines.parameters import Case, suggested
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.types import Floats

SAMPLERS: dict[str, Callable[[int], Any]] = {
    "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "GPSampler": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "bo": lambda seed: SearchkitSampler("bo", seed=seed),
    "tpe": lambda seed: SearchkitSampler("tpe", seed=seed),
    "RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def noise(case: Case, seed: int, n: int) -> Floats:
    """``(n,)`` what evaluations of a run add to the loss: the same for every method."""
    return case.noise * np.random.default_rng([seed, 7]).normal(size=n)


def optuna_run(sampler: str, case: Case, seed: int, n: int) -> tuple[list[float], list[float]]:
    """The losses without noise and as observed, of n trials in order."""
    true: list[float] = []
    added = noise(case, seed, n)

    def objective(trial: optuna.Trial) -> float:
        true.append(case.loss(suggested(case, trial)))
        return true[-1] + float(added[trial.number])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
        study.optimize(objective, n_trials=n)
    return true, [float(trial.value) for trial in study.trials if trial.value is not None]
