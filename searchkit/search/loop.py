"""The loop of a search: ask, record, evaluate, record, tell.

A schedule (:mod:`searchkit.search.schedules`) decides when the next candidates are asked for: batch by batch, or as
workers free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
from searchkit.search.schedules import AsWorkersFree, BatchByBatch
from searchkit.search.study import Study
from searchkit.space import keys
from searchkit.storage.record import Record
from searchkit.training.fidelity import Ladder
from searchkit.types import Codes


class Screen(Protocol):
    """Picks what is evaluated among more candidates that a strategy proposes; the proxy layer's is one."""

    def proposals(self, n: int) -> int:
        """How many candidates a strategy is to propose where n are evaluated."""
        ...

    def pick(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """``(n, d)`` of the proposed candidates and others, none of them seen or pending."""
        ...

    def tell(self, told: Observations) -> None:
        """Learn what candidates were worth."""
        ...


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

    def __post_init__(self) -> None:
        self.study = Study(self.record)

    def run(self) -> str:
        """Search until the budget is spent; returns why it ended.

        A record with trials is continued: the strategy is told them batch by batch, in the order in which these were
        complete, which by its two laws brings it to where it was; candidates that were asked and have no outcome are
        evaluated now.

        Raises:
            SearchFailedError: the first candidates all failed.
        """
        self.ledger = Ledger(self.study, self.goals, self.budget, self.costs, self.callbacks)
        begun = self._catch_up()
        schedule = AsWorkersFree(self) if self.batch is None else BatchByBatch(self, self.batch)
        try:
            return schedule.run(begun)
        except KeyboardInterrupt:
            return "interrupted"
        except StopSearch as stop:
            return f"stopped by a callback{f': {stop}' if str(stop) else ''}"
        finally:
            self.executor.discard()

    def _catch_up(self) -> list[list[Trial]]:
        """Tell the strategy what is on record; the batches that are not complete."""
        trials = self.study.trials
        self._seen = {key for trial in trials for key in keys(trial.code[None])}
        self._told: list[Trial] = []
        batches = [list(group) for _, group in groupby(trials, key=lambda trial: trial.batch)]
        self._n_batches = len(batches)
        ended = [batch for batch in batches if is_complete(batch)]
        for batch in sorted(ended, key=lambda batch: max(trial.elapsed for trial in batch)):
            self.tell(batch)
        return [batch for batch in batches if not is_complete(batch)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the strategy, and the screen, how the candidates of a batch ended."""
        told = observe(trials, self.goals)
        self._told += trials
        if self.ladder is not None:
            told = replace(told, hints=self.ladder.hints(trials, self._told, self.goals))
        with one_blas_thread():
            self.strategy.tell(told)
            if self.screen is not None:
                self.screen.tell(told)

    def tell_if_complete(self, trials: Sequence[Trial]) -> None:
        """Tell a batch once all of its candidates have ended."""
        if is_complete(trials):
            self.tell(trials)

    def ask(self, size: int, begun: list[Trial], running: Sequence[Codes] = ()) -> list[Trial]:
        """The trials of one batch: those recorded of it, then what the strategy asks for.

        Whatever a strategy proposes, nothing is evaluated twice and nothing that is known to break a bound; such
        proposals are replaced by random ones.

        Args:
            size: of a new batch; one that was begun keeps its own.
            running: codes ``(d,)`` of candidates that are being evaluated.
        """
        number = begun[0].batch if begun else self._n_batches
        size = begun[0].batch_size if begun else int(min(size, self.ledger.left(len(running))))
        if len(begun) < size:  # asking again brings the same batch, of which a killed process wrote a part
            rng = np.random.default_rng([self.seed, number])
            before = self._seen  # not copied where nothing has to go: candidates are asked for thousands of times
            if begun:
                before = before.difference(key for trial in begun for key in keys(trial.code[None]))
            codes = self._begin(size, before)
            if len(codes) < size:
                pending = np.array([*running, *codes], dtype=np.int64).reshape(-1, self.problem.space.n_choices)
                codes = np.concatenate([codes, self._propose(size - len(codes), pending, before, rng)])
            codes = complete(self.problem, codes, min(len(codes), size - len(begun)), self._seen, rng)
            self._seen.update(keys(codes))
            if not begun:
                self._n_batches += len(codes) > 0
            begun = self.study.ask(codes, number, begun)
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

    def job(self, trial: Trial, rung: int | None = None) -> Job:
        """What a worker is sent: in full where no rung of the ladder is given."""
        seed = evaluation_seed(self.seed, trial.code)
        return Job(trial.code, seed, rung)

    def alone(self, trial: Trial, rung: int | None = None) -> Outcome:
        """Evaluate a candidate while nothing else runs."""
        return next(as_they_finish(self.executor, [self.job(trial, rung)]))[1]

    def crowded(self, outcome: Outcome) -> bool:
        """Whether it ran out of memory where others may have held that; alone it may fit."""
        return outcome.out_of_memory and self.executor.workers > 1

    def reach(self, trial: Trial, rung: int, outcome: Outcome) -> bool:
        """Record what a rung brought; False where the candidate failed there."""
        assert self.ladder is not None
        if outcome.reason:
            self.ledger.finish(trial, State.FAILED, outcome)
            return False
        self.ledger.succeeded = True
        values = self.ladder.named(outcome.values, rung)
        self.study.reached(trial, rung, values, self.ladder.score(values, rung), outcome.seconds)
        return True

    def drop(self, trials: Sequence[Trial], rung: int) -> bool:
        """Finish those that are not promoted from a rung; whether there were any."""
        assert self.ladder is not None
        reasons = self.ladder.dropped(trials, self.study.trials, rung, self.goals)
        for trial in trials:
            if trial.number in reasons:
                self.ledger.finish(trial, State.DROPPED, Outcome(reason=reasons[trial.number]))
        return bool(reasons)


def is_complete(trials: Sequence[Trial]) -> bool:
    """Whether a batch is on record as a whole and all of its candidates have ended."""
    return len(trials) == trials[0].batch_size and all(trial.finished for trial in trials)


def evaluation_seed(seed: int, code: Codes) -> int:
    """The seed of one candidate's evaluation, from the search's seed and the candidate, never from call order."""
    digest = hashlib.blake2b(code.tobytes(), digest_size=4, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little")
