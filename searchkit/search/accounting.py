"""What a search has spent, and how a candidate ends: recorded, counted, and told to those who watch."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from searchkit.errors import DeviceGoneError, SearchFailedError
from searchkit.execution.outcome import Outcome
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.search.study import Study
from searchkit.types import Codes

FIRST = 3  # where so many candidates fail and none has succeeded, the fault is not theirs
QUICK = 20  # of a function that fails quickly: it may be one that fails for most candidates
PATIENCE = 5.0  # seconds that quick failures take together, at most

Callback = Callable[[Trial, Sequence[Trial]], None]


class Costs(Protocol):
    """What the driver learns of a candidate before it pays for it."""

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """Metric values of one candidate ``(d,)``, and how they were measured; may raise for a candidate at fault."""
        ...


class Ledger:
    """The books of one run of a search; a study that is continued goes on from what it had spent.

    Attributes:
        n_done: candidates with an outcome, of the whole study.
        succeeded: whether one of them came to a score, at a rung of a ladder or in full.
    """

    def __init__(
        self, study: Study, goals: Goals, budget: Budget, costs: Costs | None, callbacks: Sequence[Callback]
    ) -> None:
        self._study, self._goals, self._budget = study, goals, budget
        self._costs, self._callbacks = costs, callbacks
        self._before = max((trial.elapsed for trial in study.trials), default=0.0)
        self._began = time.perf_counter()
        self._failures: list[Trial] = []
        self.n_done = sum(trial.finished for trial in study.trials)
        self.succeeded = any(trial.state in (State.SCORED, State.DROPPED) for trial in study.trials)

    def left(self, n_begun: int = 0) -> float:
        """Candidates that may still be begun, beside ``n_begun`` that are being evaluated; inf where time decides."""
        return np.inf if self._budget.evaluations is None else self._budget.evaluations - self.n_done - n_begun

    def spent(self, n_begun: int = 0) -> bool:
        """Whether the budget is used up, also by ``n_begun`` candidates that are being or about to be evaluated."""
        seconds = self._budget.seconds
        return self.left(n_begun) <= 0 or (seconds is not None and self._elapsed() >= seconds)

    def affordable(self, trial: Trial) -> bool:
        """Measure what needs no training; a candidate that breaks a bound, or fails here, is finished."""
        if self._costs is None:
            return True
        start = time.perf_counter()
        try:
            self._study.measured(trial, *self._costs(trial.code))
        except DeviceGoneError:
            raise
        except Exception as error:
            outcome = Outcome(reason=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - start)
            self.finish(trial, State.FAILED, outcome)
            return False
        broken = [
            f"{bound} (it has {trial.values[bound.name]:g})"
            for bound in self._goals.bounds
            if bound.violation(np.array([trial.values.get(bound.name, np.nan)]))[0] > 0
        ]
        if broken:
            outcome = Outcome(reason="breaks " + ", ".join(broken), seconds=time.perf_counter() - start)
            self.finish(trial, State.INFEASIBLE, outcome)
            return False
        return True

    def evaluated(self, trial: Trial, outcome: Outcome) -> None:
        """Finish a trial with what its full evaluation brought."""
        self.finish(trial, State.FAILED if outcome.reason else State.SCORED, outcome)

    def finish(self, trial: Trial, state: State, outcome: Outcome) -> None:
        """Put an outcome on record and tell it to the callbacks.

        Raises:
            SearchFailedError: the first candidates all failed.
        """
        self._study.finish(trial, state, outcome, self._elapsed())
        self.n_done += 1
        self.succeeded |= state is State.SCORED
        for callback in self._callbacks:
            callback(trial, self._study.trials)
        if state is State.FAILED:
            self._failures.append(trial)
            if not self.succeeded and self._hopeless():
                n, first = len(self._failures), self._failures[0]
                raise SearchFailedError(
                    f"the first {n} candidates all failed, so the search stops. {_in_common(self._failures)}"
                    f"The first: {first.reason}\n{first.traceback or ''}".rstrip()
                )

    def _hopeless(self) -> bool:
        """Whether enough have failed, of those that were asked for first: failures are quick, and others still run."""
        enough, n = self._enough(), len(self._failures)
        if n < enough or n >= QUICK:
            return n >= enough
        last = sorted(trial.number for trial in self._failures)[enough - 1]
        return all(trial.finished for trial in self._study.trials[:last])

    def _enough(self) -> int:
        """Failures without a success that end the search: up to a quarter of the budget where they cost nothing."""
        quick = self._costs is None and sum(trial.seconds for trial in self._failures) < PATIENCE
        return max(FIRST, min(QUICK, (self._budget.evaluations or 0) // 4)) if quick else FIRST

    def _elapsed(self) -> float:
        return self._before + time.perf_counter() - self._began


def _in_common(failures: Sequence[Trial]) -> str:
    """What to do where they all failed in the same way, as far as that is known."""
    if all(re.search(r"out of memory(?!\?)", trial.reason or "") for trial in failures):
        return "None fits into the memory of the device: take a narrower space or smaller images, or a larger device. "
    return ""
