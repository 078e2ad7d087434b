"""When the next candidates are asked for: the two schedules of a search.

*Batch by batch*: the next batch is asked for when the last one is complete, so that a search depends on its seed and
not on the executor. *As workers free*: one candidate is asked for whenever a worker is free, and the strategy is told
which are pending, so that a slow evaluation delays no other; the history then depends on the order in which they end.

A candidate that runs out of memory beside others is evaluated once more, alone, and fails if that happens again.
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

_Running = tuple[Trial, list[Trial], int | None]  # a trial, its batch, and its rung of the ladder

QUICK = 0.25  # seconds; if evaluations are shorter, each worker is sent a second candidate in advance
LATELY = 20  # number of evaluations over which times are averaged
NOTICED = 0.02  # share of an evaluation's time that a free worker may wait

SPENT = "the budget is spent"
EXHAUSTED = "every candidate of the space has been evaluated"
WITHIN = "every candidate of the space that keeps the bounds has been evaluated"
ENDED = (SPENT, EXHAUSTED, WITHIN)  # a search that came to its end, and was not stopped


def _exhausted(search: Search) -> str:
    return EXHAUSTED if search.problem.known is None else WITHIN


class BatchByBatch:
    """One batch after the other.

    Args:
        size: candidates of a batch.
    """

    def __init__(self, search: Search, size: int) -> None:
        self.search, self.size = search, size
        self.executor, self.ledger = search.executor, search.ledger

    def run(self, begun: list[list[Trial]]) -> str:
        """Search until the budget or the space is used up; returns why the search ended.

        Args:
            begun: incomplete batches of the record, which are completed first.
        """
        search = self.search
        while not self.ledger.spent():
            trials = search.ask(self.size, begun.pop(0) if begun else [])
            if not trials:
                return _exhausted(search)
            self._evaluate([trial for trial in trials if not trial.finished])
            if not all(trial.finished for trial in trials):
                break
            search.tell(trials)
        return SPENT

    def _evaluate(self, trials: Sequence[Trial]) -> None:
        """Measure costs in this process, then evaluate those within bounds on the executor, through the ladder."""
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
                self.search.evaluated(trial, outcome)

    def _climb(self, trials: list[Trial], ladder: Ladder) -> list[Trial]:
        """Evaluate a batch at each rung of the ladder; returns the trials to evaluate in full.

        Outcomes are recorded at once, and promotions are decided when the whole batch has its outcomes, so that a
        search that was killed and continued decides the same.
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
        """Evaluate on the executor, yielding as they end; in this process, none begins once the budget is spent."""
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
    """Sends a candidate to every free worker; each candidate is a batch of its own."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.executor, self.ledger = search.executor, search.ledger
        self._running: dict[int, _Running] = {}
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._thought: deque[float] = deque(maxlen=LATELY)  # seconds between two waits for outcomes, mostly for asking

    def run(self, begun: list[list[Trial]]) -> str:
        """See :meth:`BatchByBatch.run`."""
        alone: list[_Running] = []  # to be repeated alone, after running out of memory beside others
        waiting: list[tuple[Trial, list[Trial]]] = []  # to be sent to a worker
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
                return SPENT if self.ledger.spent() else _exhausted(self.search)
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
        """The next batch: one that was begun, or a new one of one candidate."""
        pending = [trial.code for trial, _, _ in self._running.values()]
        batch = self.search.ask(1, begun.pop(0) if begun else [], pending)
        if batch and all(trial.finished for trial in batch):  # begun by a killed process; no candidates are left
            self.search.tell_if_complete(batch)
        return batch

    def _begin(self, trial: Trial, batch: list[Trial]) -> None:
        """Measure the costs of a trial, and send it to a worker if it is within bounds."""
        if self.ledger.affordable(trial):
            self._send(trial, batch)
        self.search.tell_if_complete(batch)

    def _has_room(self) -> bool:
        """Whether another candidate may be sent, to a free worker or in advance."""
        n = len(self._running)
        return n < self.executor.workers + self._ahead() and not self.ledger.spent(n)

    def _ahead(self) -> int:
        """How many more candidates than workers are sent, so that no worker waits for this process.

        One for each worker if evaluations are quick. Otherwise as many as are expected to end while the strategy
        proposes one, if that takes a noticeable share of an evaluation's time. It is not more than needed, since a
        strategy knows nothing of pending candidates' values.
        """
        if not self._lately:
            return 0
        evaluation = sum(self._lately) / len(self._lately)
        if evaluation < QUICK:
            return self.executor.workers
        share = float(np.median(self._thought)) / evaluation
        return math.ceil(self.executor.workers * share) if share > NOTICED else 0

    def _take(self, one: _Running, outcome: Outcome) -> None:
        """Record an outcome, and send a promoted candidate to its next rung."""
        trial, batch, rung = one
        if rung is None:
            self.search.evaluated(trial, outcome)
        elif self.search.reach(trial, rung, outcome):
            self._send(trial, batch)
        self.search.tell_if_complete(batch)

    def _send(self, trial: Trial, batch: list[Trial]) -> None:
        """Send a trial to a worker: for its next rung of the ladder if it is promoted, or for the full evaluation."""
        rung, ladder = None, self.search.ladder
        if ladder is not None:
            reached = [i for i in range(len(ladder.rungs)) if ladder.reached(trial, i)]
            if reached and self.search.drop([trial], reached[-1]):
                return
            rung = len(reached) if len(reached) < len(ladder.rungs) else None
        self._running[trial.number] = (trial, batch, rung)
        self.executor.submit(trial.number, self.search.job(trial, rung))
