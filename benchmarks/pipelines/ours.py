"""Runs of MixedBO on a case."""

from __future__ import annotations

import numpy as np

from benchmarks.pipelines.parameters import Case, space_of
from benchmarks.pipelines.peers import noise
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.mixed_bo import MixedBO


def our_run(case: Case, seed: int, n: int) -> tuple[list[float], list[float]]:
    """The losses without noise and as observed, of n trials in order."""
    space = space_of(case)
    strategy = MixedBO(Problem(space))
    added = noise(case, seed, n)
    true: list[float] = []
    observed: list[float] = []
    for step in range(n):
        codes = strategy.ask(1, np.random.default_rng([seed, step]), np.empty((0, space.n_choices), dtype=np.int64))
        true.append(case.loss(space.decode(codes)[0]))
        observed.append(true[-1] + float(added[step]))
        strategy.tell(Observations(codes, np.array([[observed[-1]]]), np.empty((1, 0))))
    return true, observed
