"""Ax through its Client: choice parameters, its own choice of models; a failure is a trial that is marked failed."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder
from searchkit.space import Space


def client() -> Search:
    """The default strategy: quasi-random trials, then Bayesian optimisation on a model that it chooses."""
    logging.disable(logging.WARNING)

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        warnings.simplefilter("ignore")
        space = recorder.benchmark.space
        losses = [f"loss_{i + 1}" for i in range(len(recorder.benchmark.objectives))]
        made = client_of(space, losses, seed)
        while True:
            for index, parameters in made.get_next_trials(max_trials=1).items():
                found = recorder([int(parameters[name]) for name in space.names])
                if np.isfinite(found).all():
                    made.complete_trial(index, raw_data=dict(zip(losses, found.tolist(), strict=True)))
                else:
                    made.mark_trial_failed(index)

    return search


def client_of(space: Space, losses: list[str], seed: int) -> Client:
    """A client for a space of choices and losses to minimise."""
    made = Client(random_seed=seed)
    made.configure_experiment([
        ChoiceParameterConfig(
            name=choice.name, values=list(range(len(choice.options))), parameter_type="int", is_ordered=choice.ordered
        )
        if choice.ordered
        else ChoiceParameterConfig(
            name=choice.name, values=[str(i) for i in range(len(choice.options))], parameter_type="str",
            is_ordered=False,
        )
        for choice in space.choices
    ])  # fmt: skip
    made.configure_optimization(objective=", ".join(f"-{name}" for name in losses))
    return made
