"""The loop: ask, record, evaluate, record, tell.

It runs in one of two ways. *Batch by batch*: the next batch is asked for when the last one is complete, so a search is
a function of its seed, whatever the executor. *As workers free*: each candidate is asked for by itself, with those that
are being evaluated known as pending, so a slow one holds nobody up; the history then depends on which ended first.

A candidate that runs out of memory beside others is evaluated once more, alone, and fails where it does so again.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from searchkit.errors import StopSearch
from searchkit.execution.executors import Here, Pool, as_they_finish
from searchkit.execution.outcome import Job, Outcome
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.problem import Problem, Strategy, complete, distinct, first_allowed
from searchkit.problem.trial import State, Trial, observe
from searchkit.proxy_layer.screening import Screen
from searchkit.runtime.threads import one_blas_thread
from searchkit.search.accounting import Callback, Costs, Ledger
from searchkit.space import keys
from searchkit.storage.record import Record
from searchkit.training.fidelity import Ladder
from searchkit.types import Codes

_Running = tuple[Trial, list[Trial], int | None]  # a candidate, its batch, and the rung of the ladder that it is at

QUICK = 0.25  # seconds: of evaluations that take less, workers get the next before they are done with the last
LATELY = 20  # evaluations whose mean that is
NOTICED = 0.02  # share of an evaluation's time, for which a free worker may wait


@dataclass
class Search:
    """One search, ready to run.

    Attributes:
        problem, strategy, goals: what is searched, by whom, for what.
        costs: taken here before a candidate is sent to be evaluated, and bounds on them enforced; None: there are none.
        executor: evaluates the rest.
        record: holds what was done already and takes what is done now.
        batch: candidates asked for at once; None: each as a worker frees.
        screen: picks what is evaluated among more that are proposed, by the proxy layer; None: all that is proposed is.
        ladder: cheap evaluations that a candidate has to pass before the full one; None: there are none.
        start: ``(s, d)`` candidates that are evaluated before any that the strategy proposes.
        callbacks: called with every finished trial and the list of all.
    """

    problem: Problem
    strategy: Strategy
    goals: Goals
    costs: Costs | None
    executor: Pool
    record: Record
    budget: Budget
    batch: int | None
    seed: int
    callbacks: Sequence[Callback] = ()
    screen: Screen | None = None
    ladder: Ladder | None = None
    start: Codes = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))

    def run(self) -> str:
        """Search until the budget is spent; returns why it ended.

        A record with trials is continued: the strategy is told them batch by batch, in the order in which these were
        complete, which by its two laws brings it to where it was; candidates that were asked and have no outcome are
        evaluated now.

        Raises:
            SearchFailedError: the first candidates all failed.
        """
        self._ledger = Ledger(self.record, self.goals, self.budget, self.costs, self.callbacks)
        self._seen = {key for trial in self.record.trials for key in keys(trial.code[None])}
        self._told: list[Trial] = []
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._thought: deque[float] = deque(maxlen=LATELY)  # seconds between what came back and waiting again
        self._back = time.perf_counter()
        batches = [list(group) for _, group in groupby(self.record.trials, key=lambda trial: trial.batch)]
        self._n_batches = len(batches)
        ended = [trials for trials in batches if self._complete(trials)]
        for trials in sorted(ended, key=lambda trials: max(trial.elapsed for trial in trials)):
            self._tell(trials)
        begun = [trials for trials in batches if not self._complete(trials)]
        try:
            return self._as_workers_free(begun) if self.batch is None else self._by_batches(begun, self.batch)
        except KeyboardInterrupt:
            return "interrupted"
        except StopSearch as stop:
            return f"stopped by a callback{f': {stop}' if str(stop) else ''}"
        finally:
            self.executor.discard()

    def _by_batches(self, begun: list[list[Trial]], size: int) -> str:
        """One batch after the other; first those that were begun."""
        while not self._ledger.spent():
            trials = self._ask(size, begun.pop(0) if begun else [])
            if not trials:
                return "every candidate of the space has been evaluated"
            self._evaluate([trial for trial in trials if not trial.finished])
            if not self._complete(trials):
                break
            self._tell(trials)
        return "the budget is spent"

    def _as_workers_free(self, begun: list[list[Trial]]) -> str:
        """A candidate for every worker that has none; first those that were begun."""
        running: dict[int, _Running] = {}
        alone: list[_Running] = []  # ran out of memory beside others
        waiting: list[tuple[Trial, list[Trial]]] = []  # for a worker
        exhausted = False
        while True:
            while not alone and self._room(running):
                if waiting:
                    trial, batch = waiting.pop(0)
                    if self._ledger.affordable(trial):
                        self._send(trial, batch, running)
                    self._tell_if_complete(batch)
                elif exhausted:
                    break
                else:
                    pending = [trial.code for trial, _, _ in running.values()]
                    batch = self._ask(1, begun.pop(0) if begun else [], pending)
                    waiting = [(trial, batch) for trial in batch if not trial.finished]
                    exhausted = not batch
                    if batch and not waiting:  # its last candidates were never written, and no others are left
                        self._tell_if_complete(batch)
            if alone and not running:
                trial, batch, rung = alone.pop(0)
                self._take((trial, batch, rung), self._alone(trial, rung), running)
                continue
            if not running:
                spent = self._ledger.spent()
                return "the budget is spent" if spent else "every candidate of the space has been evaluated"
            self._thought.append(time.perf_counter() - self._back)
            done = self.executor.wait()
            self._back = time.perf_counter()
            for number, outcome in done:
                one = running.pop(number)
                self._lately.append(outcome.seconds)
                if self._crowded(outcome):
                    one[0].seconds += outcome.seconds
                    alone.append(one)
                else:
                    self._take(one, outcome, running)

    def _room(self, running: dict[int, _Running]) -> bool:
        """Whether another candidate may be sent: to a worker that has none, or ahead."""
        return len(running) < self.executor.workers + self._ahead() and not self._ledger.spent(len(running))

    def _ahead(self) -> int:
        """How many candidates more than workers are sent, so that none waits for what happens in this process.

        For each worker one where evaluations are quick; else as many as are likely to end while one is asked for,
        where that takes a share of their time worth mentioning. The more are pending, the less is known when asking.
        """
        if not self._lately:
            return 0
        evaluation = sum(self._lately) / len(self._lately)
        if evaluation < QUICK:
            return self.executor.workers
        share = float(np.median(self._thought)) / evaluation
        return math.ceil(self.executor.workers * share) if share > NOTICED else 0

    def _take(self, one: _Running, outcome: Outcome, running: dict[int, _Running]) -> None:
        """Record an outcome; a candidate that is promoted by it is sent to its next rung."""
        trial, batch, rung = one
        if rung is None:
            self._ledger.evaluated(trial, outcome)
        elif self._reach(trial, rung, outcome):
            self._send(trial, batch, running)
        self._tell_if_complete(batch)

    def _crowded(self, outcome: Outcome) -> bool:
        """Whether it ran out of memory where others may have held that; alone it may fit."""
        return outcome.out_of_memory and self.executor.workers > 1

    def _alone(self, trial: Trial, rung: int | None) -> Outcome:
        """Evaluate while nothing else runs."""
        return next(as_they_finish(self.executor, [self._job(trial, rung)]))[1]

    def _send(self, trial: Trial, batch: list[Trial], running: dict[int, _Running]) -> None:
        """Have a trial evaluated: in full, or at its next rung where it is promoted to it."""
        rung = None
        if self.ladder is not None:
            reached = [i for i in range(len(self.ladder.rungs)) if self.ladder.reached(trial, i)]
            if reached and self._dropped([trial], reached[-1], self.ladder):
                return
            rung = len(reached) if len(reached) < len(self.ladder.rungs) else None
        running[trial.number] = (trial, batch, rung)
        self.executor.submit(trial.number, self._job(trial, rung))

    @staticmethod
    def _complete(trials: Sequence[Trial]) -> bool:
        return len(trials) == trials[0].batch_size and all(trial.finished for trial in trials)

    def _tell_if_complete(self, trials: Sequence[Trial]) -> None:
        if self._complete(trials):
            self._tell(trials)

    def _tell(self, trials: Sequence[Trial]) -> None:
        told = observe(trials, self.goals)
        self._told += trials
        if self.ladder is not None:
            told = replace(told, hints=self.ladder.hints(trials, self._told, self.goals))
        with one_blas_thread():
            self.strategy.tell(told)
            if self.screen is not None:
                self.screen.tell(told)

    def _ask(self, size: int, begun: list[Trial], running: Sequence[Codes] = ()) -> list[Trial]:
        """The trials of one batch: those recorded of it, then what the strategy asks for.

        Whatever a strategy proposes, nothing is evaluated twice and nothing that is known to break a bound; such
        proposals are replaced by random ones.

        Args:
            size: of a new batch; one that was begun keeps its own.
            running: codes ``(d,)`` of candidates that are being evaluated.
        """
        number = begun[0].batch if begun else self._n_batches
        size = begun[0].batch_size if begun else int(min(size, self._ledger.left(len(running))))
        if len(begun) < size:  # asking again brings the same batch, of which a killed process wrote a part
            rng = np.random.default_rng([self.seed, number])
            before = (
                self._seen
            )  # not copied where nothing has to go: single candidates are asked for thousands of times
            if begun:
                before = before.difference(key for trial in begun for key in keys(trial.code[None]))
            codes = self._begin(size, before)
            if len(codes) < size:
                pending = np.array([*running, *codes], dtype=np.int64).reshape(-1, self.problem.space.n_choices)
                codes = np.concatenate([codes, self._propose(size - len(codes), pending, before, rng)])
            codes = complete(self.problem, codes, min(len(codes), size - len(begun)), self._seen, rng)
            self._seen.update(keys(codes))
            total, first = len(begun) + len(codes), len(self.record.trials)
            if not begun:
                self._n_batches += len(codes) > 0
            begun = [*begun, *(Trial(first + i, number, total, code) for i, code in enumerate(codes))]
            for trial in begun:
                trial.batch_size = total
            if len(codes):
                self.record.ask(begun[-len(codes) :])
        return begun

    def _begin(self, n: int, before: set[bytes]) -> Codes:
        """The next n candidates of the start that were not asked for in an earlier batch, and may be evaluated."""
        if not len(self.start):
            return np.empty((0, self.problem.space.n_choices), dtype=np.int64)
        return first_allowed(self.problem, distinct(self.problem, self.start, before), n)

    def _propose(self, n: int, pending: Codes, before: set[bytes], rng: np.random.Generator) -> Codes:
        """What the strategy asks for, or what the proxy layer picks of more that it asks for."""
        n_asked = self.screen.proposals(n) if self.screen else n
        with one_blas_thread():
            codes = self.problem.space.check(self.strategy.ask(n_asked, rng, pending))
            if self.screen is not None:
                seen = before.union(keys(pending)) if len(pending) else before
                codes = self.screen.pick(codes, n, seen, rng, pending)
        return codes

    def _evaluate(self, trials: Sequence[Trial]) -> None:
        """Costs first, here; then those that keep their bounds, on the executor; by way of the ladder, together."""
        alone = isinstance(self.executor, Here) and self.ladder is None
        for group in [[trial] for trial in trials] if alone else [list(trials)]:
            to_pay: list[Trial] = []
            for trial in group:
                if not self._ledger.spent(len(to_pay)) and self._ledger.affordable(trial):
                    to_pay.append(trial)
            if self._ledger.spent():
                return
            promoted = to_pay if self.ladder is None else self._climb(to_pay, self.ladder)
            for trial, outcome in self._outcomes(promoted):
                self._ledger.evaluated(trial, outcome)

    def _climb(self, trials: list[Trial], ladder: Ladder) -> list[Trial]:
        """Take one batch up the ladder; the trials that are left for the full evaluation.

        What a rung brought is recorded at once, and who is promoted is decided when the whole batch is there: the same
        when a killed search goes on.
        """
        for i in range(len(ladder.rungs)):
            for trial, outcome in self._outcomes([trial for trial in trials if not ladder.reached(trial, i)], i):
                self._reach(trial, i, outcome)
            trials = [trial for trial in trials if not trial.finished]
            if self._ledger.spent():
                return []
            self._dropped(trials, i, ladder)
            trials = [trial for trial in trials if not trial.finished]
        return trials

    def _reach(self, trial: Trial, rung: int, outcome: Outcome) -> bool:
        """Record what a rung brought; False where the candidate failed there."""
        assert self.ladder is not None
        if outcome.reason:
            self._ledger.finish(trial, State.FAILED, outcome)
            return False
        trial.values |= self.ladder.named(outcome.values, rung)
        trial.seconds += outcome.seconds
        self._ledger.succeeded = True
        self.record.reach(trial, rung, self.ladder.score(trial, rung))
        return True

    def _dropped(self, trials: Sequence[Trial], rung: int, ladder: Ladder) -> bool:
        """Finish those that are not promoted from a rung; whether there were any."""
        reasons = ladder.dropped(trials, self.record.trials, rung, self.goals)
        for trial in trials:
            if trial.number in reasons:
                self._ledger.finish(trial, State.DROPPED, Outcome(reason=reasons[trial.number]))
        return bool(reasons)

    def _outcomes(self, trials: Sequence[Trial], rung: int | None = None) -> Iterator[tuple[Trial, Outcome]]:
        """Evaluate on the executor, as they finish; one after another, no more are begun when the budget is spent."""
        crowded: list[Trial] = []
        for i, outcome in as_they_finish(self.executor, [self._job(trial, rung) for trial in trials]):
            if self._crowded(outcome):
                trials[i].seconds += outcome.seconds
                crowded.append(trials[i])
                continue
            yield trials[i], outcome
            if isinstance(self.executor, Here) and self._ledger.spent():
                return
        for trial in crowded:
            yield trial, self._alone(trial, rung)

    def _job(self, trial: Trial, rung: int | None) -> Job:
        seed = candidate_seed(self.seed, trial.code)
        return (trial.code, seed) if rung is None else (trial.code, seed, rung)


def candidate_seed(seed: int, code: Codes) -> int:
    """The seed of one candidate's evaluation, from the search's seed and the candidate, never from call order."""
    digest = hashlib.blake2b(code.tobytes(), digest_size=4, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little")
