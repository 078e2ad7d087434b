"""Nevergrad's NGOpt by ask and tell: choices, ordered ones as transitions; a failure is a bad loss."""

from __future__ import annotations

import warnings

import nevergrad as ng
import numpy as np

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder


def ngopt() -> Search:
    """The optimiser that its documentation advises, which chooses among many."""

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        warnings.simplefilter("ignore")
        space = recorder.benchmark.space
        parameters = ng.p.Dict(**{
            choice.name: (ng.p.TransitionChoice if choice.ordered else ng.p.Choice)(list(range(len(choice.options))))
            for choice in space.choices
        })  # fmt: skip
        parameters.random_state.seed(seed)
        optimizer = ng.optimizers.NGOpt(parametrization=parameters, budget=recorder.budget, num_workers=1)
        while True:
            asked = optimizer.ask()
            losses = recorder([asked.value[name] for name in space.names])
            losses = losses if np.isfinite(losses).all() else recorder.failed
            optimizer.tell(asked, losses.tolist() if len(losses) > 1 else float(losses[0]))

    return search
