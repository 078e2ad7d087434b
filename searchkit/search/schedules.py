"""When the next candidates are asked for: the two schedules of a search.

*Batch by batch*: the next batch is asked for when the last one is complete, so a search is a function of its seed,
whatever the executor. *As workers free*: each candidate is asked for by itself, with those that are being evaluated
known as pending, so a slow one holds nobody up; the history then depends on which ended first.

A candidate that runs out of memory beside others is evaluated once more, alone, and fails where it does so again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from searchkit.execution.executors import InProcess, as_they_finish
from searchkit.execution.outcome import Outcome
from searchkit.problem.trial import Trial
from searchkit.training.fidelity import Ladder

if TYPE_CHECKING:
    from searchkit.search.loop import Search

_Running = tuple[Trial, list[Trial], int | None]  # a candidate, its batch, and the rung of the ladder that it is at

QUICK = 0.25  # seconds: of evaluations that take less, workers get the next before they are done with the last
LATELY = 20  # evaluations whose mean that is
NOTICED = 0.02  # share of an evaluation's time, for which a free worker may wait

SPENT = "the budget is spent"
EXHAUSTED = "every candidate of the space has been evaluated"


class BatchByBatch:
    """One batch after the other.

    Args:
        size: candidates of a batch.
    """

    def __init__(self, search: Search, size: int) -> None:
        self.search, self.size = search, size
        self.executor, self.ledger = search.executor, search.ledger

    def run(self, begun: list[list[Trial]]) -> str:
        """Search until nothing is left to do; returns why it ended.

        Args:
            begun: batches on record that are not complete; they come first.
        """
        search = self.search
        while not self.ledger.spent():
            trials = search.ask(self.size, begun.pop(0) if begun else [])
            if not trials:
                return EXHAUSTED
            self._evaluate([trial for trial in trials if not trial.finished])
            if not all(trial.finished for trial in trials):
                break
            search.tell(trials)
        return SPENT

    def _evaluate(self, trials: Sequence[Trial]) -> None:
        """Costs first, here; then those that keep their bounds, on the executor; by way of the ladder, together."""
        ladder = self.search.ladder
        one_by_one = isinstance(self.executor, InProcess) and ladder is None
        for group in [[trial] for trial in trials] if one_by_one else [list(trials)]:
            to_pay: list[Trial] = []
            for trial in group:
                if not self.ledger.spent(len(to_pay)) and self.ledger.affordable(trial):
                    to_pay.append(trial)
            if self.ledger.spent():
                return
            promoted = to_pay if ladder is None else self._climb(to_pay, ladder)
            for trial, outcome in self._outcomes(promoted):
                self.ledger.evaluated(trial, outcome)

    def _climb(self, trials: list[Trial], ladder: Ladder) -> list[Trial]:
        """Take one batch up the ladder; the trials that are left for the full evaluation.

        What a rung brought is recorded at once, and who is promoted is decided when the whole batch is there: the same
        when a killed search goes on.
        """
        for i in range(len(ladder.rungs)):
            for trial, outcome in self._outcomes([trial for trial in trials if not ladder.reached(trial, i)], i):
                self.search.reach(trial, i, outcome)
            trials = [trial for trial in trials if not trial.finished]
            if self.ledger.spent():
                return []
            self.search.drop(trials, i)
            trials = [trial for trial in trials if not trial.finished]
        return trials

    def _outcomes(self, trials: Sequence[Trial], rung: int | None = None) -> Iterator[tuple[Trial, Outcome]]:
        """Evaluate on the executor, as they finish; one after another, no more are begun when the budget is spent."""
        crowded: list[Trial] = []
        for i, outcome in as_they_finish(self.executor, [self.search.job(trial, rung) for trial in trials]):
            if self.search.crowded(outcome):
                self.search.study.spent(trials[i], outcome.seconds)
                crowded.append(trials[i])
                continue
            yield trials[i], outcome
            if isinstance(self.executor, InProcess) and self.ledger.spent():
                return
        for trial in crowded:
            yield trial, self.search.alone(trial, rung)


class AsWorkersFree:
    """A candidate for every worker that has none, each a batch of its own."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.executor, self.ledger = search.executor, search.ledger
        self._running: dict[int, _Running] = {}
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._thought: deque[float] = deque(maxlen=LATELY)  # seconds between what came back and waiting again

    def run(self, begun: list[list[Trial]]) -> str:
        """As of :meth:`BatchByBatch.run`."""
        alone: list[_Running] = []  # ran out of memory beside others
        waiting: list[tuple[Trial, list[Trial]]] = []  # for a worker
        exhausted = False
        back = time.perf_counter()
        while True:
            while not alone and self._has_room():
                if waiting:
                    self._begin(*waiting.pop(0))
                elif exhausted:
                    break
                else:
                    batch = self._ask(begun)
                    waiting = [(trial, batch) for trial in batch if not trial.finished]
                    exhausted = not batch
            if alone and not self._running:
                trial, batch, rung = alone.pop(0)
                self._take((trial, batch, rung), self.search.alone(trial, rung))
                continue
            if not self._running:
                return SPENT if self.ledger.spent() else EXHAUSTED
            self._thought.append(time.perf_counter() - back)
            done = self.executor.wait()
            back = time.perf_counter()
            for number, outcome in done:
                one = self._running.pop(number)
                self._lately.append(outcome.seconds)
                if self.search.crowded(outcome):
                    self.search.study.spent(one[0], outcome.seconds)
                    alone.append(one)
                else:
                    self._take(one, outcome)

    def _ask(self, begun: list[list[Trial]]) -> list[Trial]:
        """The next batch, of one candidate where it is new."""
        pending = [trial.code for trial, _, _ in self._running.values()]
        batch = self.search.ask(1, begun.pop(0) if begun else [], pending)
        if batch and all(trial.finished for trial in batch):  # its others were never written, and none are left
            self.search.tell_if_complete(batch)
        return batch

    def _begin(self, trial: Trial, batch: list[Trial]) -> None:
        """Measure what needs no evaluation, and send the rest."""
        if self.ledger.affordable(trial):
            self._send(trial, batch)
        self.search.tell_if_complete(batch)

    def _has_room(self) -> bool:
        """Whether another candidate may be sent: to a worker that has none, or ahead."""
        n = len(self._running)
        return n < self.executor.workers + self._ahead() and not self.ledger.spent(n)

    def _ahead(self) -> int:
        """How many candidates more than workers are sent, so that none waits for what happens in this process.

        For each worker one where evaluations are quick; else as many as are likely to end while one is asked for,
        where that takes more than a small share of their time. The more candidates are pending, the less is known when
        the next is asked for.
        """
        if not self._lately:
            return 0
        evaluation = sum(self._lately) / len(self._lately)
        if evaluation < QUICK:
            return self.executor.workers
        share = float(np.median(self._thought)) / evaluation
        return math.ceil(self.executor.workers * share) if share > NOTICED else 0

    def _take(self, one: _Running, outcome: Outcome) -> None:
        """Record an outcome; a candidate that is promoted by it is sent to its next rung."""
        trial, batch, rung = one
        if rung is None:
            self.ledger.evaluated(trial, outcome)
        elif self.search.reach(trial, rung, outcome):
            self._send(trial, batch)
        self.search.tell_if_complete(batch)

    def _send(self, trial: Trial, batch: list[Trial]) -> None:
        """Have a trial evaluated: in full, or at its next rung where it is promoted to it."""
        rung, ladder = None, self.search.ladder
        if ladder is not None:
            reached = [i for i in range(len(ladder.rungs)) if ladder.reached(trial, i)]
            if reached and self.search.drop([trial], reached[-1]):
                return
            rung = len(reached) if len(reached) < len(ladder.rungs) else None
        self._running[trial.number] = (trial, batch, rung)
        self.executor.submit(trial.number, self.search.job(trial, rung))
