"""Uniform random combinations, repeats included: what any method has to beat."""

from __future__ import annotations

import numpy as np

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder


def uniform() -> Search:
    """Independent draws of every choice."""

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while True:
            recorder(rng.integers(0, recorder.benchmark.space.n_options))

    return search
