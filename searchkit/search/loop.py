"""The loop of a search: ask, record, evaluate, record, tell.

A schedule (:mod:`searchkit.search.schedules`) decides when the next candidates are asked for: batch by batch, or
whenever a worker is free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from searchkit.errors import StopSearch
from searchkit.execution.executors import Pool, as_they_finish
from searchkit.execution.outcome import Job, Outcome
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.problem.proposals import complete, distinct, first_allowed
from searchkit.problem.trial import State, Trial, observe
from searchkit.runtime.threads import one_blas_thread
from searchkit.search.accounting import Callback, Costs, Ledger
from searchkit.search.blame import blamed
from searchkit.search.early_stopping import Reporting
from searchkit.search.schedules import AsWorkersFree, BatchByBatch
from searchkit.search.study import Study
from searchkit.space import keys
from searchkit.storage.record import Record
from searchkit.training.fidelity import Ladder
from searchkit.training.second_chance import carry, returning
from searchkit.types import Codes


class Screen(Protocol):
    """Chooses the candidates to evaluate among a larger number of proposals, as the proxy layer does."""

    def proposals(self, n: int) -> int:
        """Number of candidates that the strategy should propose if n are to be evaluated."""
        ...

    def pick(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """``(n, d)`` candidates, proposed or not, that are neither seen nor pending."""
        ...

    def tell(self, told: Observations) -> None:
        """Learn the values of evaluated candidates."""
        ...


@dataclass
class Search:
    """One search, ready to run.

    Attributes:
        problem, strategy, goals: the space and its allowed candidates, the search strategy, the objectives and bounds.
        costs: measured first; the executor evaluates only candidates that meet all bounds on them; may be None.
        executor: evaluates the candidates.
        record: contains the trials of earlier runs of the study, and receives the new ones.
        batch: candidates asked for at once; None: one whenever a worker is free.
        screen: chooses among more proposals, by the proxy layer; None: all proposals are evaluated.
        ladder: cheaper evaluations that a candidate has to pass before the full one; may be None.
        start: ``(s, d)`` candidates to evaluate before the strategy's first proposals.
        callbacks: called with each finished trial and the list of all trials.
        began: ``time.perf_counter()`` at the beginning of the search, with what was done before this loop; None: now.
        within: the seconds that the training of a candidate may take which begins at so many seconds of the study; may
            be None.
        called: what errors call the strategy; its class where not given.
        reporting: of training functions; may be None.
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
    began: float | None = None
    within: Callable[[float], float] | None = None
    called: str = ""
    reporting: Reporting | None = None

    def __post_init__(self) -> None:
        self.study = Study(self.record)
        self._called = self.called or type(self.strategy).__name__

    def run(self) -> str:
        """Search until the budget is spent; returns why it ended.

        A record with trials is continued. The strategy is told them batch by batch, in the order in which the batches
        were completed; by the two laws of a strategy (docs/architecture.md) it is then in the state that it was in.
        Candidates that were asked for and have no outcome are evaluated first.

        Raises:
            SearchFailedError: the first candidates all failed, or all of a small budget.
        """
        begun = self.begin()
        schedule = AsWorkersFree(self) if self.batch is None else BatchByBatch(self, self.batch)
        try:
            ended = schedule.run(begun)
            self.ledger.measure_late(ending=True)
            if self.reporting is not None:
                self.reporting.ended(self.study.trials)
        except KeyboardInterrupt:
            return "interrupted"
        except StopSearch as stop:
            return f"stopped by a callback{f': {stop}' if str(stop) else ''}"
        finally:
            self.executor.discard()
            if self.reporting is not None:
                self.reporting.close()
        self.ledger.check_success()
        return ended

    def begin(self) -> list[list[Trial]]:
        """Tell the strategy what is on record; returns the batches that are not complete."""
        self.ledger = Ledger(self.study, self.goals, self.budget, self.costs, self.callbacks, self.began)
        if self.reporting is not None:
            self.reporting.begin(self.study.trials, self.budget.seconds)
        return self._catch_up()

    def _catch_up(self) -> list[list[Trial]]:
        """Tell the strategy the trials on record; returns the batches that are not complete."""
        trials = self.study.trials
        carry(self.ladder, trials)
        self._seen = {key for trial in trials for key in keys(trial.code[None])}
        self._told: list[Trial] = []
        batches = [list(group) for _, group in groupby(trials, key=lambda trial: trial.batch)]
        self._n_batches = len(batches)
        ended = [batch for batch in batches if is_complete(batch)]
        for batch in sorted(ended, key=lambda batch: max(trial.elapsed for trial in batch)):
            self.tell(batch)
        return [batch for batch in batches if not is_complete(batch)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the strategy and the screen the outcomes of a batch."""
        told = observe(trials, self.goals)
        self._told += trials
        if self.ladder is not None:
            hints = self.ladder.hints(trials, self._told, self.goals)
            told = replace(told, hints=hints, rungs=self.ladder.observed(trials, self.goals))
        elif self.reporting is not None:
            told = replace(told, hints=self.reporting.hints(trials, self._told))
        with one_blas_thread():
            with blamed(self._called, "tell"):
                self.strategy.tell(told)
            if self.screen is not None:
                self.screen.tell(told)

    def tell_if_complete(self, trials: Sequence[Trial]) -> None:
        """Tell a batch once all of its candidates have ended."""
        if is_complete(trials):
            self.tell(trials)

    def ask(self, size: int, begun: list[Trial], running: Sequence[Codes] = ()) -> list[Trial]:
        """The trials of one batch: those on record, and new ones that the strategy proposes.

        A proposal that was evaluated before, or is known to break a bound, is replaced by a random candidate.

        Args:
            size: number of candidates of a new batch; a batch that was begun keeps its size.
            running: codes ``(d,)`` of candidates that are being evaluated.
        """
        number = begun[0].batch if begun else self._n_batches
        size = begun[0].batch_size if begun else int(min(size, self.ledger.left(len(running))))
        if len(begun) < size:  # asked again, the strategy proposes the batch of which a killed process wrote a part
            rng = np.random.default_rng([self.seed, number])
            before = self._seen  # copied only if something is removed: this runs thousands of times
            back, known = self._returning(size, number), {key for trial in begun for key in keys(trial.code[None])}
            if begun:
                before = before.difference(known.difference(keys(back)))
            left = back[[key not in known for key in keys(back)]] if len(back) else back
            size -= len(back)
            codes = self._begin(size, before)
            if len(codes) < size:
                pending = np.array([*running, *back, *codes], dtype=np.int64).reshape(-1, self.problem.space.n_choices)
                codes = np.concatenate([codes, self._propose(size - len(codes), pending, before, rng)])
            missing = size - (len(begun) - (len(back) - len(left)))
            codes = complete(self.problem, codes, min(len(codes), missing), self._seen, rng)
            self._seen.update(keys(codes))
            codes = np.concatenate([left, codes])
            if not begun:
                self._n_batches += len(codes) > 0
            begun = self.study.ask(codes, number, begun)
            carry(self.ladder, self.study.trials)
        return begun

    def _returning(self, size: int, number: int) -> Codes:
        """``(r, d)`` candidates that were dropped from the ladder and take places of a batch of this size."""
        trials: list[Trial] = []
        if self.ladder is not None and size > 0:
            before = [trial for trial in self.study.trials if trial.batch < number]
            trials = returning(self.ladder, before, self.goals, size)
        return np.array([trial.code for trial in trials], dtype=np.int64).reshape(-1, self.problem.space.n_choices)

    def _begin(self, n: int, before: set[bytes]) -> Codes:
        """The next n candidates of ``start`` that are new and allowed."""
        if not len(self.start):
            return np.empty((0, self.problem.space.n_choices), dtype=np.int64)
        return first_allowed(self.problem, distinct(self.problem, self.start, before), n)

    def _propose(self, n: int, pending: Codes, before: set[bytes], rng: np.random.Generator) -> Codes:
        """n proposals of the strategy, or the proxy layer's choice among more of them."""
        n_asked = self.screen.proposals(n) if self.screen else n
        with one_blas_thread():
            with blamed(self._called, "ask"):
                codes = self.problem.space.check(self.strategy.ask(n_asked, rng, pending))
            if self.screen is not None:
                seen = before.union(keys(pending)) if len(pending) else before
                codes = self.screen.pick(codes, n, seen, rng, pending)
        return codes

    def job(self, trial: Trial, rung: int | None = None) -> Job:
        """The job for a worker: an evaluation at a rung of the ladder, or the full one."""
        seed = evaluation_seed(self.seed, trial.code)
        if self.reporting is not None:
            self.reporting.announce(trial)
        within = None if self.within is None or rung is not None else self.within(self.ledger.elapsed())
        return Job(trial.code, seed, rung, within)

    def evaluated(self, trial: Trial, outcome: Outcome) -> None:
        """Finish a trial with the outcome of its full evaluation, and what was reported in it."""
        self.ledger.evaluated(trial, outcome if self.reporting is None else self.reporting.completed(trial, outcome))

    def alone(self, trial: Trial, rung: int | None = None) -> Outcome:
        """Evaluate a candidate while nothing else runs."""
        return next(as_they_finish(self.executor, [self.job(trial, rung)]))[1]

    def crowded(self, outcome: Outcome) -> bool:
        """Whether a candidate ran out of memory beside others, so that it may fit alone."""
        return outcome.out_of_memory and self.executor.workers > 1

    def reach(self, trial: Trial, rung: int, outcome: Outcome) -> bool:
        """Record the outcome of a rung; False if the candidate failed there."""
        assert self.ladder is not None
        if outcome.reason:
            self.ledger.finish(trial, State.FAILED, outcome)
            return False
        self.ledger.succeeded = True
        values = self.ladder.named(outcome.values, rung)
        self.study.reached(trial, rung, values, self.ladder.score(values, rung), outcome.seconds)
        return True

    def drop(self, trials: Sequence[Trial], rung: int) -> bool:
        """Finish the trials that are not promoted from a rung; returns whether there were any."""
        assert self.ladder is not None
        reasons = self.ladder.dropped(trials, self.study.trials, rung, self.goals)
        for trial in trials:
            if trial.number in reasons:
                self.ledger.finish(trial, State.DROPPED, Outcome(reason=reasons[trial.number]))
        return bool(reasons)


def is_complete(trials: Sequence[Trial]) -> bool:
    """Whether all candidates of a batch are on record and have ended."""
    return len(trials) == trials[0].batch_size and all(trial.finished for trial in trials)


def evaluation_seed(seed: int, code: Codes) -> int:
    """The seed of a candidate's evaluation: a function of the search's seed and of the candidate."""
    digest = hashlib.blake2b(code.tobytes(), digest_size=4, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little")
