"""pymoo's NSGA-II by ask and tell, on rounded integers and on its own Choice variables; one objective: its GA.

pymoo has no failed evaluations; a loss that is worse than almost all stands for one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, RankAndCrowdingSurvival
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.variable import Choice
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder


def integers(population: int) -> Search:
    """With the operators that its documentation gives for integers: SBX and polynomial mutation, rounded.

    Args:
        population: its default, 100, would be random search for all of 100 evaluations.
    """

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        space, k = recorder.benchmark.space, len(recorder.benchmark.objectives)
        operators = {
            "sampling": IntegerRandomSampling(),
            "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        }
        kind = GA if k == 1 else NSGA2
        algorithm = kind(pop_size=population, eliminate_duplicates=True, **operators)
        task = PymooProblem(n_var=space.n_choices, n_obj=k, xl=0, xu=space.n_options - 1, vtype=int)
        _ask_and_tell(algorithm, task, recorder, seed, list)

    return search


def choices(population: int) -> Search:
    """With its mixed-variable algorithm on Choice variables, and NSGA-II's survival for several objectives."""

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        space, k = recorder.benchmark.space, len(recorder.benchmark.objectives)
        variables = {c.name: Choice(options=list(range(len(c.options)))) for c in space.choices}
        survival = {} if k == 1 else {"survival": RankAndCrowdingSurvival()}
        algorithm = MixedVariableGA(pop_size=population, **survival)
        task = PymooProblem(vars=variables, n_obj=k)
        _ask_and_tell(algorithm, task, recorder, seed, lambda x: [x[name] for name in space.names])

    return search


def _ask_and_tell(algorithm: Any, task: Any, recorder: Recorder, seed: int, code_of: Any) -> None:
    algorithm.setup(task, termination=("n_gen", 10**9), seed=seed, verbose=False)
    while algorithm.has_next():
        asked = algorithm.ask()
        if asked is None or not len(asked):
            return
        losses = np.array([recorder([int(option) for option in code_of(x)]) for x in asked.get("X")])
        losses[~np.isfinite(losses).all(axis=1)] = recorder.failed
        for individual, row in zip(asked, losses, strict=True):
            individual.set("F", row)
            individual.evaluated.update(("F", "G", "H"))
            individual.set("G", np.empty(0))
            individual.set("H", np.empty(0))
        algorithm.tell(infills=asked)
