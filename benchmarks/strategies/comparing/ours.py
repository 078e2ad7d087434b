"""searchkit's strategies as a user runs them: one call of ``searchkit.run``, in memory."""

from __future__ import annotations

from typing import Any

import searchkit
from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder
from benchmarks.strategies.comparing.signals import CachedSignals
from searchkit.space import Space

SCREEN = 64  # candidates scored for each one that is evaluated


def strategy(name: str) -> Search:
    """A registered strategy with its defaults."""

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        _run(name, problem, recorder, seed)

    return search


def screened(name: str) -> Search:
    """The same, with the default proxies, whose scores come from the cache and so take no time here."""
    signals = CachedSignals()

    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        before = signals.n_asked
        try:
            _run(name, problem, recorder, seed, proxies=[signals], screen=SCREEN)
        finally:
            recorder.extra["scored"] = signals.n_asked - before
            signals.forget()

    return search


def _run(name: str, problem: Problem, recorder: Recorder, seed: int, **options: Any) -> None:
    space: Space = recorder.benchmark.space

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        values = recorder.values(space.encode(choices)[0])
        if any(value != value for value in values.values()):
            raise ValueError("this candidate fails")
        return values

    searchkit.run(
        name, space=space, evaluate=evaluate, objectives=dict(recorder.benchmark.objectives), budget=recorder.budget,
        storage="memory", seed=seed, progress=False, **options,
    )  # fmt: skip
