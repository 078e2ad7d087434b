"""Cross-validation of whole batches of candidates, by scikit-learn's own function, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from searchkit.execution.outcome import Job, Outcome
from searchkit.integrations.sklearn.grid import Grid
from searchkit.problem.objectives import Goals
from searchkit.types import Codes

TIMES = ("fit_time", "score_time")  # of cv_results_, seconds; objectives that are minimised


class Folds:
    """Evaluates whole batches by cross-validation: the pool of :class:`searchkit.search.loop.Search`.

    Args:
        search: whose candidates they are.
        evaluate: scikit-learn's, ``(list of parameters) -> cv_results_`` of all that were evaluated.
        context: scikit-learn's, of callbacks; may be None.

    Attributes:
        goals: what is searched for; set before the search begins.
        error: the first that a batch raised of which every fit failed.
        failed: position among all candidates, parameters, and seconds a fit, of candidates in such batches, which
            scikit-learn leaves out of ``cv_results_``.
        n_evaluated: number of the other candidates.
    """

    workers = 1
    goals: Goals

    def __init__(self, search: Any, grid: Grid, evaluate: Callable[..., dict[str, Any]], context: Any) -> None:
        self._search, self._grid = search, grid
        self._evaluate, self._context = evaluate, context
        self._jobs: dict[int, Job] = {}
        self._before: dict[bytes, int | float] = {}  # row of those that were evaluated before the search
        self._results: dict[str, Any] = {}
        self.error: ValueError | None = None
        self.failed: list[tuple[int, dict[str, Any], float]] = []
        self.n_evaluated = 0

    def scorers(self, codes: Codes) -> tuple[Codes, list[str]]:
        """What a ``scoring`` function returns is known once it was called: the names, and the candidates it took.

        Args:
            codes: ``(n, d)`` candidates, of which the first whose fits do not all fail is the last to be evaluated.
        """
        for n, code in enumerate(codes, start=1):
            row = self._evaluated([code])
            self._before[code.tobytes()] = row
            if isinstance(row, int):
                prefix = "mean_test_"
                return codes[:n], [name.removeprefix(prefix) for name in self._results if name.startswith(prefix)]
        raise self.all_failed()

    def submit(self, number: int, job: Job) -> None:
        """Keep a candidate for the batch."""
        self._jobs[number] = job

    def wait(self) -> list[tuple[int, Outcome]]:
        """Evaluate what was submitted."""
        jobs, self._jobs = self._jobs, {}
        found = {number: self._before.pop(job.code.tobytes(), None) for number, job in jobs.items()}
        fresh = [number for number, row in found.items() if row is None]
        if fresh:
            first = self._evaluated([jobs[number].code for number in fresh])
            found |= {number: first + i if isinstance(first, int) else first for i, number in enumerate(fresh)}
        return [(number, self._outcome(row)) for number, row in found.items() if row is not None]

    def all_failed(self) -> ValueError:
        """scikit-learn's error of the first batch, with a note of how many candidates were tried."""
        assert self.error is not None
        n = len(self.failed)
        if n > 1:
            self.error.add_note(f"All fits of all {n} candidates that were tried failed.")
        return self.error

    def discard(self) -> None:
        """Forget what was submitted."""
        self._jobs.clear()

    def close(self) -> None:
        """Does nothing: no processes were started."""

    def _evaluated(self, codes: Sequence[Codes]) -> int | float:
        """The first row of the candidates in ``cv_results_``; where all fits failed, the seconds (float) of one."""
        candidates = [self._grid.parameters(code) for code in codes]
        context, started = self._batch_context(len(candidates)), time.perf_counter()
        try:
            self._results = self._evaluate(candidates, **({} if context is None else {"callback_ctx": context}))
        except ValueError as error:
            if not str(error).lstrip().startswith("All the"):  # scikit-learn's, of a batch without a single fit
                raise
            self.error = self.error or error
            seconds = (time.perf_counter() - started) / (len(candidates) * self._search.n_splits_)
            first = self.n_evaluated + len(self.failed)
            self.failed += [(first + i, candidate, seconds) for i, candidate in enumerate(candidates)]
            return float(seconds)
        finally:
            if context is not None:
                context.call_on_fit_task_end(estimator=self._search)
        row, self.n_evaluated = self.n_evaluated, self.n_evaluated + len(candidates)
        return row

    def _batch_context(self, n: int) -> Any:
        if self._context is None:
            return None
        n_fits = n * self._search.n_splits_
        context = self._context.subcontext(task_name="batch", max_subtasks=n_fits, sequential_subtasks=False)
        return context.call_on_fit_task_begin(estimator=self._search)

    def _outcome_of_failed(self, seconds: float) -> Outcome:
        """A number as ``error_score`` is the score, as it is where other fits of the batch succeed."""
        score, spent = float(self._search.error_score), seconds * self._search.n_splits_
        if np.isfinite(score):
            times = {"fit_time": seconds, "score_time": 0.0}
            minimised = {o.name for o in self.goals.objectives if o.direction == "min"}  # no scorers, but times
            values = {name: times[name] if name in minimised else score for name in self.goals.names}
            return Outcome(values, None, None, spent)
        return Outcome(reason=f"all fits failed: {_last_line(self.error)}", seconds=spent)

    def _outcome(self, row: int | float) -> Outcome:
        """Of a row of the results, or of the seconds (float) that one of its fits took where all of them failed."""
        if not isinstance(row, int):
            return self._outcome_of_failed(row)
        results, values = self._results, {}
        for name in self.goals.names:
            column = f"mean_test_{name}"
            values[name] = float(results[column if column in results else f"mean_{name}"][row])
        seconds = self._search.n_splits_ * float(results["mean_fit_time"][row] + results["mean_score_time"][row])
        failed = [name for name, value in values.items() if not np.isfinite(value)]
        reason = f"{failed[0]} is {values[failed[0]]}: a fit or a score failed" if failed else None
        return Outcome({} if failed else values, reason, None, seconds)


def with_failed(
    candidates: Sequence[dict[str, Any]],
    fits: Sequence[dict[str, Any]],
    n_splits: int,
    failed: Sequence[tuple[int, dict[str, Any], float]],
    error_score: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Candidates and their fits, ``n_splits`` each, together with those whose fits all failed, in their order.

    Args:
        failed: see :class:`Folds`.
    """
    candidates, fits = list(candidates), list(fits)
    like = fits[:n_splits]
    for position, parameters, seconds in failed:
        candidates.insert(position, parameters)
        fits[position * n_splits : position * n_splits] = [
            fit
            | {part: _all(fit[part], error_score) for part in ("test_scores", "train_scores") if part in fit}
            | {"fit_time": seconds, "score_time": 0.0}
            for fit in like
        ]
    return candidates, fits


def _all(scores: Any, value: float) -> Any:
    return dict.fromkeys(scores, value) if isinstance(scores, dict) else value


def _last_line(error: Exception | None) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1]
