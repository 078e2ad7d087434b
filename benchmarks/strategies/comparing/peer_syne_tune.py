"""Syne Tune's schedulers by suggest and complete: choices; a failure is a trial's error."""

from __future__ import annotations

import datetime
import logging
import warnings
from typing import Any

import numpy as np
import torch
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice as any_of
from syne_tune.config_space import ordinal
from syne_tune.optimizer import baselines
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder

logging.disable(logging.WARNING)


def single(name: str) -> Search:
    """One of its baselines for one objective, with its defaults."""
    return _search(lambda known, names, seed: getattr(baselines, name)(known, metric=names[0], random_seed=seed))


def ehvi() -> Search:
    """Expected hypervolume improvement on BoTorch; it mixes single and double precision unless all is double."""
    torch.set_default_dtype(torch.float64)
    return _search(lambda known, names, seed: baselines.EHVI(known, metrics=names, random_seed=seed))


def evolution() -> Search:
    """Regularised evolution with non-dominated sorting, for several objectives."""

    def scheduler(known: dict[str, Any], names: list[str], seed: int) -> SingleFidelityScheduler:
        searcher = MultiObjectiveRegularizedEvolution(config_space=known, random_seed=seed, population_size=20)
        return SingleFidelityScheduler(known, metrics=names, do_minimize=True, searcher=searcher, random_seed=seed)

    return _search(scheduler)


def _search(make: Any) -> Search:
    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        warnings.simplefilter("ignore")
        space = recorder.benchmark.space
        names = [f"loss_{i + 1}" for i in range(len(recorder.benchmark.objectives))]
        known = {
            choice.name: (ordinal if choice.ordered else any_of)([str(i) for i in range(len(choice.options))])
            for choice in space.choices
        }
        scheduler = make(known, names, seed)
        number = 0
        while (asked := scheduler.suggest()) is not None:
            trial = Trial(number, asked.config, datetime.datetime.now())
            number += 1
            scheduler.on_trial_add(trial)
            losses = recorder([int(asked.config[name]) for name in space.names])
            if np.isfinite(losses).all():
                scheduler.on_trial_complete(trial, dict(zip(names, losses.tolist(), strict=True)))
            else:
                scheduler.on_trial_error(trial)

    return search
