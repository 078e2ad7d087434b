"""The loop: ask, record, evaluate, record, tell."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from searchkit.attempt import Job, Outcome
from searchkit.budget import Budget
from searchkit.errors import SearchFailedError, StopSearch
from searchkit.executors import Elsewhere, Here, Workers
from searchkit.ladder import Ladder
from searchkit.objectives import Goals
from searchkit.problem import Problem, Strategy, complete, distinct, first_allowed
from searchkit.screening import Screen
from searchkit.space import Codes, keys
from searchkit.storage import Record
from searchkit.threads import one_blas_thread
from searchkit.trial import State, Trial, observe

FIRST = 3  # where so many candidates fail and none has succeeded, the fault is not theirs
QUICK = 20  # of a function that fails quickly: it may be one that fails for most candidates
PATIENCE = 5.0  # seconds that quick failures take together, at most

Callback = Callable[[Trial, Sequence[Trial]], None]


class Costs(Protocol):
    """What the driver learns of a candidate before it pays for it."""

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """Metric values of one candidate ``(d,)``, and how they were measured; may raise for a candidate at fault."""
        ...


@dataclass
class Search:
    """One search, ready to run.

    Attributes:
        problem, strategy, goals: what is searched, by whom, for what.
        costs: taken here before a candidate is sent to be evaluated, and bounds on them enforced; None: there are none.
        executor: evaluates the rest.
        record: holds what was done already and takes what is done now.
        batch: candidates asked for at once.
        screen: picks what is evaluated among more that are proposed, by the proxy layer; None: all that is proposed is.
        ladder: cheap evaluations that a candidate has to pass before the full one; None: there are none.
        start: ``(s, d)`` candidates that are evaluated before any that the strategy proposes.
        callbacks: called with every finished trial and the list of all.
    """

    problem: Problem
    strategy: Strategy
    goals: Goals
    costs: Costs | None
    executor: Here | Workers | Elsewhere
    record: Record
    budget: Budget
    batch: int
    seed: int
    callbacks: Sequence[Callback] = ()
    screen: Screen | None = None
    ladder: Ladder | None = None
    start: Codes = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))

    def run(self) -> str:
        """Search until the budget is spent; returns why it ended.

        A record with trials is continued: the strategy is told them batch by batch, which by its two laws brings
        it to where it was; candidates that were asked and have no outcome are evaluated now.

        Raises:
            SearchFailedError: the first candidates all failed.
        """
        self._before = max((trial.elapsed for trial in self.record.trials), default=0.0)
        self._began = time.perf_counter()
        self._n_done = sum(trial.finished for trial in self.record.trials)
        self._failures: list[Trial] = []
        self._seen = {key for trial in self.record.trials for key in keys(trial.code[None])}
        self._succeeded = any(trial.state in (State.SCORED, State.DROPPED) for trial in self.record.trials)
        batches = [list(group) for _, group in groupby(self.record.trials, key=lambda trial: trial.batch)]
        begun: list[Trial] = []
        for trials in batches:
            begun = [] if self._complete(trials) else trials
            if not begun:
                self._tell(trials)
        number = len(batches) - bool(begun)
        try:
            while not self._spent():
                trials = self._ask(number, begun)
                if not trials:
                    return "every candidate of the space has been evaluated"
                self._evaluate([trial for trial in trials if not trial.finished])
                if not self._complete(trials):
                    break
                self._tell(trials)
                number, begun = number + 1, []
        except KeyboardInterrupt:
            return "interrupted"
        except StopSearch as stop:
            return f"stopped by a callback{f': {stop}' if str(stop) else ''}"
        return "the budget is spent"

    @staticmethod
    def _complete(trials: Sequence[Trial]) -> bool:
        return len(trials) == trials[0].batch_size and all(trial.finished for trial in trials)

    def _tell(self, trials: Sequence[Trial]) -> None:
        told = observe(trials, self.goals)
        if self.ladder is not None:
            before = [trial for trial in self.record.trials if trial.batch <= trials[0].batch]
            told = replace(told, hints=self.ladder.hints(trials, before, self.goals))
        with one_blas_thread():
            self.strategy.tell(told)
            if self.screen is not None:
                self.screen.tell(told)

    def _ask(self, number: int, begun: list[Trial]) -> list[Trial]:
        """The trials of one batch: those recorded of it, then what the strategy asks for.

        Whatever a strategy proposes, nothing is evaluated twice and nothing that is known to break a bound; such
        proposals are replaced by random ones.
        """
        size = begun[0].batch_size if begun else self.batch
        if not begun and self.budget.evaluations is not None:
            size = min(size, self.budget.evaluations - self._n_done)
        if len(begun) < size:  # asking again brings the same batch, of which a killed process wrote a part
            rng = np.random.default_rng([self.seed, number])
            before = (
                self._seen
            )  # not copied where nothing has to go: a search of single candidates asks thousands of times
            if begun:
                before = before.difference(key for trial in begun for key in keys(trial.code[None]))
            codes = self._begin(size, before)
            if len(codes) < size:
                codes = np.concatenate([codes, self._propose(size - len(codes), codes, before, rng)])
            codes = complete(self.problem, codes, min(len(codes), size - len(begun)), self._seen, rng)
            self._seen.update(keys(codes))
            total, first = len(begun) + len(codes), len(self.record.trials)
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
                codes = self.screen.pick(codes, n, before.union(keys(pending)) if len(pending) else before, rng)
        return codes

    def _evaluate(self, trials: Sequence[Trial]) -> None:
        """Costs first, here; then those that keep their bounds, on the executor; by way of the ladder, together."""
        alone = isinstance(self.executor, Here) and self.ladder is None
        for group in [[trial] for trial in trials] if alone else [list(trials)]:
            to_pay: list[Trial] = []
            for trial in group:
                if not self._spent(len(to_pay)) and self._affordable(trial):
                    to_pay.append(trial)
            if self._spent():
                return
            promoted = to_pay if self.ladder is None else self._climb(to_pay, self.ladder)
            for trial, outcome in self._outcomes(promoted):
                trial.values |= outcome.values
                self._finish(trial, State.FAILED if outcome.reason else State.SCORED, outcome)

    def _climb(self, trials: list[Trial], ladder: Ladder) -> list[Trial]:
        """Take one batch up the ladder; the trials that are left for the full evaluation.

        What a rung brought is recorded at once, and who is promoted is decided when the whole batch is there: the same
        when a killed search goes on.
        """
        for i in range(len(ladder.rungs)):
            for trial, outcome in self._outcomes([trial for trial in trials if not ladder.reached(trial, i)], i):
                if outcome.reason:
                    self._finish(trial, State.FAILED, outcome)
                    continue
                trial.values |= ladder.named(outcome.values, i)
                trial.seconds += outcome.seconds
                self._succeeded = True
                self.record.reach(trial, i, ladder.score(trial, i))
            trials = [trial for trial in trials if not trial.finished]
            if self._spent():
                return []
            reasons = ladder.dropped(trials, self.record.trials, i, self.goals)
            for trial in trials:
                if trial.number in reasons:
                    self._finish(trial, State.DROPPED, Outcome(reason=reasons[trial.number]))
            trials = [trial for trial in trials if not trial.finished]
        return trials

    def _outcomes(self, trials: Sequence[Trial], rung: int | None = None) -> Iterator[tuple[Trial, Outcome]]:
        """Evaluate on the executor, as they finish; one after another, no more are begun when the budget is spent."""
        full = [(trial.code, candidate_seed(self.seed, trial.code)) for trial in trials]
        jobs: Sequence[Job] = full if rung is None else [(*job, rung) for job in full]
        for i, outcome in self.executor.run(jobs):
            yield trials[i], outcome
            if isinstance(self.executor, Here) and self._spent():
                return

    def _affordable(self, trial: Trial) -> bool:
        """Measure what needs no training; a candidate that breaks a bound, or fails here, is finished."""
        if self.costs is None:
            return True
        start = time.perf_counter()
        try:
            values, trial.methods = self.costs(trial.code)
            trial.values |= values
        except Exception as error:
            outcome = Outcome(reason=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - start)
            self._finish(trial, State.FAILED, outcome)
            return False
        broken = [
            f"{bound} (it has {trial.values[bound.name]:g})"
            for bound in self.goals.bounds
            if bound.violation(np.array([trial.values.get(bound.name, np.nan)]))[0] > 0
        ]
        if broken:
            outcome = Outcome(reason="breaks " + ", ".join(broken), seconds=time.perf_counter() - start)
            self._finish(trial, State.INFEASIBLE, outcome)
            return False
        return True

    def _finish(self, trial: Trial, state: State, outcome: Outcome) -> None:
        trial.state, trial.reason, trial.traceback = state, outcome.reason, outcome.traceback
        trial.seconds, trial.elapsed = round(trial.seconds + outcome.seconds, 6), round(self._elapsed(), 3)
        self.record.finish(trial)
        self._n_done += 1
        self._succeeded |= state is State.SCORED
        for callback in self.callbacks:
            callback(trial, self.record.trials)
        if state is State.FAILED:
            self._failures.append(trial)
            if len(self._failures) >= self._enough() and not self._succeeded:
                n, first = len(self._failures), self._failures[0]
                raise SearchFailedError(
                    f"the first {n} candidates all failed, so the search stops. The first: {first.reason}\n"
                    f"{first.traceback or ''}".rstrip()
                )

    def _enough(self) -> int:
        """Failures without a success that end the search: up to a quarter of the budget where they cost nothing."""
        quick = self.costs is None and sum(trial.seconds for trial in self._failures) < PATIENCE
        return max(FIRST, min(QUICK, (self.budget.evaluations or 0) // 4)) if quick else FIRST

    def _elapsed(self) -> float:
        return self._before + time.perf_counter() - self._began

    def _spent(self, n_more: int = 0) -> bool:
        """Whether the budget is used up, also by ``n_more`` candidates that are about to be evaluated."""
        evaluations, seconds = self.budget.evaluations, self.budget.seconds
        return (evaluations is not None and self._n_done + n_more >= evaluations) or (
            seconds is not None and self._elapsed() >= seconds
        )


def candidate_seed(seed: int, code: Codes) -> int:
    """The seed of one candidate's evaluation, from the search's seed and the candidate, never from call order."""
    digest = hashlib.blake2b(code.tobytes(), digest_size=4, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little")
