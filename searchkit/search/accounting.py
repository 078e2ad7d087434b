"""The budget that a search has spent, and the end of each candidate: recorded, counted, and told to the callbacks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from searchkit.errors import PASSED_ON, SearchFailedError
from searchkit.execution.at_work import COSTS, noted, suspicion
from searchkit.execution.outcome import Job, Outcome, reason_of, traceback_of
from searchkit.execution.processes import apart
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.results.notes import CLOCK
from searchkit.runtime.processor import Clocks, clocks
from searchkit.search.study import Study
from searchkit.search.target_columns import had, only_predicted
from searchkit.storage.record import Record
from searchkit.training.evaluation import Evaluation
from searchkit.types import Codes

FIRST = 3  # if this many candidates fail before one succeeds, the cause is not in the candidates
QUICK = 20  # the same number for failures that cost no time, since a function may fail for most candidates
PATIENCE = 5.0  # seconds; failures that took less in total count as costing no time

Callback = Callable[[Trial, Sequence[Trial]], None]


class Costs(Protocol):
    """The costs of a candidate that are known without evaluating it.

    Attributes:
        clock: see :class:`~searchkit.costs.one_method.OneMethod`; empty where no latency was measured here.
    """

    @property
    def clock(self) -> Clocks: ...

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """Metric values of one candidate ``(d,)``, and how they were measured; an error fails the candidate."""
        ...

    def go_on(self, trials: Sequence[Trial]) -> None:
        """Use the methods of the study's earlier runs; called once, with their trials, before the first measurement."""
        ...

    def late(
        self, trials: Sequence[Trial], goals: Goals, ending: bool
    ) -> Iterator[tuple[Trial, dict[str, float], dict[str, str]]]:
        """What can be measured by now of finished candidates; see :meth:`TargetCosts.late`."""
        ...


@dataclass(frozen=True)
class Measured(Evaluation):
    """The measurement of costs as an evaluation, so that another process can make it."""

    costs: Costs

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        """See :class:`~searchkit.training.evaluation.Evaluation`."""
        return self.costs(code)[0]


SPENT = "seconds"  # the note of a record with the seconds that the study had taken at the end of its last run


def seconds_of(study: Study | Record) -> float:
    """Seconds that a study has taken so far: until its last outcome, or the end of its last run."""
    noted = study.notes(SPENT)
    return max([trial.elapsed for trial in study.trials] + ([float(noted)] if noted else []), default=0.0)


class Ledger:
    """Counts what one run of a search spends, beginning with what earlier runs of the study have spent.

    Attributes:
        n_done: candidates of the whole study that have an outcome.
        succeeded: whether one of them was scored, at a rung of a ladder or in full.
    """

    def __init__(
        self,
        study: Study,
        goals: Goals,
        budget: Budget,
        costs: Costs | None,
        callbacks: Sequence[Callback],
        began: float | None = None,
    ) -> None:
        self._study, self._goals, self._budget = study, goals, budget
        self._costs, self._callbacks = costs, callbacks
        if costs is not None:
            costs.go_on(study.trials)
        self._before = seconds_of(study)
        self._began = time.perf_counter() if began is None else began
        self._failures: list[Trial] = []
        self._clock: Clocks = {}
        self.n_done = sum(trial.finished for trial in study.trials)
        self.succeeded = any(trial.state in (State.SCORED, State.DROPPED) for trial in study.trials)

    def left(self, n_begun: int = 0) -> float:
        """Candidates that may still begin while ``n_begun`` are evaluated; inf for a budget in seconds."""
        return np.inf if self._budget.evaluations is None else self._budget.evaluations - self.n_done - n_begun

    def spent(self, n_begun: int = 0) -> bool:
        """Whether the budget is used up, if ``n_begun`` candidates that have begun are counted too."""
        seconds = self._budget.limit(self.succeeded)
        return self.left(n_begun) <= 0 or (seconds is not None and self.elapsed() >= seconds)

    def affordable(self, trial: Trial) -> bool:
        """Measure a candidate's costs; False if it breaks a bound or cannot be measured, which ends it."""
        if self._costs is None:
            return True
        why = suspicion(trial.code)
        if why is not None:
            outcome = apart(Measured(self._costs), Job(trial.code, 0), why)
            if outcome.process_ended:
                self.finish(trial, State.FAILED, outcome)
                return False
        start = time.perf_counter()
        try:
            with noted(trial.code, COSTS):
                values, methods = self._costs(trial.code)
            self._study.measured(trial, values, methods)
        except PASSED_ON:
            raise
        except BaseException as error:
            outcome = Outcome(
                reason=reason_of(error), traceback=traceback_of(error), seconds=time.perf_counter() - start
            )
            self.finish(trial, State.FAILED, outcome)
            return False
        self._note_clock()
        self.measure_late()
        broken = [
            f"{bound} ({had(bound, trial.values)})"
            for bound in self._goals.bounds
            if bound.violation(np.array([trial.values.get(bound.name, np.nan)]))[0] > 0
            and not only_predicted(bound, trial.values)
        ]
        if broken:
            outcome = Outcome(reason="breaks " + ", ".join(broken), seconds=time.perf_counter() - start)
            self.finish(trial, State.INFEASIBLE, outcome)
            return False
        return True

    def measure_late(self, ending: bool = False) -> None:
        """Measure what finished candidates lack, on targets that answer again.

        Args:
            ending: the search is about to end, so that targets that do not answer are asked once more.
        """
        if self._costs is not None:
            for trial, values, methods in self._costs.late(self._study.trials, self._goals, ending):
                self._study.measured_late(trial, values, methods)
            self._note_clock()

    def _note_clock(self) -> None:
        """Record under which clock of the processor latencies were measured, with what earlier runs have noted."""
        now: Clocks = {} if self._costs is None else self._costs.clock
        if now == self._clock:
            return
        self._clock, noted = now, self._study.notes(CLOCK) or {}
        if clocks(noted, now) != noted:
            self._study.note(CLOCK, clocks(noted, now))

    def evaluated(self, trial: Trial, outcome: Outcome) -> None:
        """Finish a trial with the outcome of its full evaluation."""
        self.succeeded |= outcome.stopped
        state = State.DROPPED if outcome.stopped else State.FAILED if outcome.reason else State.SCORED
        self.finish(trial, state, outcome)

    def finish(self, trial: Trial, state: State, outcome: Outcome) -> None:
        """Record an outcome, and call the callbacks with it.

        Raises:
            SearchFailedError: the first candidates all failed.
        """
        self._study.finish(trial, state, outcome, self.elapsed())
        self.n_done += 1
        self.succeeded |= state is State.SCORED
        for callback in self._callbacks:
            callback(trial, self._study.trials)
        if state is State.FAILED:
            self._failures.append(trial)
            if not self.succeeded and self._hopeless():
                raise _failed(
                    f"the first {len(self._failures)} candidates all failed, so the search stops.", self._failures
                )

    def check_success(self) -> None:
        """Check a search that ended without an interruption.

        Raises:
            SearchFailedError: candidates were evaluated, and every one has failed.
        """
        failures = [trial for trial in self._study.trials if trial.state is State.FAILED]
        if failures and not self.succeeded:
            told = "the only candidate that was" if len(failures) == 1 else f"all {len(failures)} candidates that were"
            raise _failed(f"{told} evaluated failed.", failures)

    def _hopeless(self) -> bool:
        """Whether the candidates that were asked for first have all failed, and none of them is still running."""
        enough, n = self._enough(), len(self._failures)
        if n < enough or n >= QUICK:
            return n >= enough
        last = sorted(trial.number for trial in self._failures)[enough - 1]
        return all(trial.finished for trial in self._study.trials[:last])

    def _enough(self) -> int:
        """Failures without a success that end the search: up to the whole budget if failures cost no time."""
        quick = self._costs is None and sum(trial.seconds for trial in self._failures) < PATIENCE
        return max(FIRST, min(QUICK, self._budget.evaluations or QUICK)) if quick else FIRST

    def elapsed(self) -> float:
        """Seconds that the study has taken, with earlier runs."""
        return self._before + time.perf_counter() - self._began


def _failed(told: str, failures: Sequence[Trial]) -> SearchFailedError:
    first = failures[0]
    return SearchFailedError(
        f"{told} {_in_common(failures)}The first: {first.reason}\n{first.traceback or ''}".rstrip()
    )


def _in_common(failures: Sequence[Trial]) -> str:
    """Advice for failures that all have one known cause."""
    if all(re.search(r"out of memory(?!\?)", trial.reason or "") for trial in failures):
        return "None fits into the memory of the device: take a narrower space or smaller images, or a larger device. "
    return ""
