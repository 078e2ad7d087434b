"""Optuna's samplers by ask and tell: categorical choices, ordered ones as integers; a failure is a failed trial."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder
from searchkit.space import Space


def search(sampler: str, population: int | None = None) -> Search:
    """One sampler with its defaults.

    Args:
        population: of NSGA-II. Its default, 50, would be random search for half of 100 evaluations.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = {} if population is None else {"population_size": population}

    def run(problem: Problem, recorder: Recorder, seed: int) -> None:
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            directions=["minimize"] * len(recorder.benchmark.objectives),
            sampler=getattr(optuna.samplers, sampler)(seed=seed, **options),
        )
        known = distributions(recorder.benchmark.space)
        while True:
            trial = study.ask(known)
            losses = recorder([trial.params[name] for name in known])
            if np.isfinite(losses).all():
                study.tell(trial, losses.tolist())
            else:
                study.tell(trial, state=TrialState.FAIL)

    return run


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Of option indices, by choice."""
    return {
        choice.name: IntDistribution(0, len(choice.options) - 1)
        if choice.ordered
        else CategoricalDistribution(range(len(choice.options)))
        for choice in space.choices
    }
