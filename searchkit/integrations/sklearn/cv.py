"""searchkit's strategies for the parameters of any scikit-learn estimator, scored by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state

from searchkit import plugins
from searchkit.errors import ObjectiveError, SearchFailedError, UnknownNameError, first_line_said
from searchkit.execution.outcome import Job, Outcome
from searchkit.integrations.sklearn.grid import Grid, read_grid
from searchkit.integrations.sklearn_compat import PARAMETERS, BaseSearchCV
from searchkit.problem.budget import read_budget
from searchkit.problem.objectives import Goals, read_objectives
from searchkit.problem.problem import Problem
from searchkit.results.result import Result
from searchkit.search.loop import Search
from searchkit.storage.record import Memory

TIMES = ("fit_time", "score_time")  # of cv_results_, seconds; objectives that are minimised


class SearchkitCV(BaseSearchCV):
    """Searches the parameters of an estimator like GridSearchCV, but evaluates only part of the grid.

    A strategy proposes candidates batch by batch and learns from their cross-validated scores. With several scorers it
    searches for the trade-offs between them, and ``refit`` selects the candidate, as in GridSearchCV: the name of
    a scorer, or a function ``(cv_results_) -> index``. A candidate with a failed fit counts as failed (with
    ``error_score="raise"`` the error is raised), and the search goes on.

    Args:
        estimator: of any kind; a Pipeline's parameters are named ``step__parameter``.
        param_grid: ``{parameter: values}``, values a list, a scipy distribution, or a :class:`~searchkit.Choice`; or a
            list of such dictionaries, for parameters that matter beside some values of others only (the gamma of a
            kernel). See :func:`searchkit.integrations.sklearn.grid.read_grid`.
        strategy: as for :func:`searchkit.run`. Of 25 and of 50 evaluations of SVC and HistGradientBoostingRegressor,
            "tpe" made more than "bo", which "auto" takes for so few.
        budget: candidates evaluated, or ``{"evaluations": n, "seconds": s}``; fewer where the grid has fewer.
        batch: candidates asked for at once; the strategy's own number where not given.
        objectives: names of scorers, and "fit_time" and "score_time"; all scorers where not given.
        scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score: as of GridSearchCV.
        random_state: of the strategy; an int gives the same candidates again.

    Attributes:
        result_: the :class:`~searchkit.Result`, with ``front`` (the trade-offs), ``history`` and ``plot``.
        cv_results_, best_params_, best_score_, best_estimator_, ...: as of GridSearchCV. Of a batch whose fits all
            failed ``cv_results_`` has no rows; ``result_.history`` has.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PARAMETERS,
        "param_grid": [dict, list, tuple],
    }
    result_: Result

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        strategy: Any = "tpe",
        budget: Any = 30,
        batch: int | None = None,
        objectives: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_grid = param_grid
        self.strategy = strategy
        self.budget = budget
        self.batch = batch
        self.objectives = objectives
        self.random_state = random_state

    def _run_search(self, evaluate_candidates: Callable[..., dict[str, Any]], *, callback_ctx: Any = None) -> None:
        """Ask, evaluate, tell, until the budget is spent; ``callback_ctx`` is there from scikit-learn 1.9 on."""
        grid, goals, limits = read_grid(self.param_grid), self._goals(), read_budget(self.budget)
        problem = Problem(grid.space, len(goals.objectives), budget=limits.evaluations)
        strategy = plugins.strategy_factory(self.strategy)(problem)
        context = None if callback_ctx is None else callback_ctx.subcontext(task_name="search", max_subtasks=None)
        if context is not None:
            context.call_on_fit_task_begin(estimator=self)
        folds = _Folds(self, grid, goals, evaluate_candidates, context)
        record = Memory()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        size = self.batch or int(getattr(strategy, "batch", 1))
        try:
            stopped = Search(problem, strategy, goals, None, folds, record, limits, size, seed).run()
        except SearchFailedError as failed:
            if folds.error is not None:
                raise folds.error from None
            stopped = first_line_said(failed)  # scores are NaN without an error: scikit-learn's own search goes on, too
        if stopped == "interrupted":
            raise KeyboardInterrupt
        if folds.error is not None and not folds.n_evaluated:
            raise folds.error
        if folds.error is not None:
            warnings.warn(f"all fits of some candidates failed, the first with:{folds.error}", FitFailedWarning, 2)
        if context is not None:
            context.call_on_fit_task_end(estimator=self)
        why = getattr(strategy, "why", "")
        chosen = f"{getattr(strategy, 'choice', '')}: {why}" if why else str(self.strategy)
        self.result_ = Result(grid.space, goals, record.trials, "SearchkitCV", stopped, {"chosen": chosen})

    def _goals(self) -> Goals:
        """The objectives, as they are called in ``cv_results_``."""
        several = isinstance(self.scoring, list | tuple | set | dict)
        scorers = list(self.scoring) if several else ["score"]
        names = [self.objectives] if isinstance(self.objectives, str) else list(self.objectives or scorers)
        if not callable(self.scoring):  # what a function returns is known when it does
            for name in names:
                if name not in (*scorers, *TIMES):
                    raise UnknownNameError.of("objective", name, [*scorers, *TIMES])
        return Goals(read_objectives({str(name): "min" if name in TIMES else "max" for name in names}))


class _Folds:
    """Evaluates whole batches by cross-validation: the pool of :class:`searchkit.search.loop.Search`.

    Attributes:
        error: the first that a batch raised of which every fit failed.
        n_evaluated: number of candidates in ``cv_results_``.
    """

    workers = 1

    def __init__(
        self, search: SearchkitCV, grid: Grid, goals: Goals, evaluate: Callable[..., dict[str, Any]], context: Any
    ) -> None:
        self._search, self._grid, self._goals = search, grid, goals
        self._evaluate, self._context = evaluate, context
        self._jobs: dict[int, Job] = {}
        self.error: ValueError | None = None
        self.n_evaluated = 0

    def submit(self, number: int, job: Job) -> None:
        """Keep a candidate for the batch."""
        self._jobs[number] = job

    def wait(self) -> list[tuple[int, Outcome]]:
        """Evaluate what was submitted."""
        jobs, self._jobs = self._jobs, {}
        candidates = [self._grid.parameters(job.code) for job in jobs.values()]
        context = self._batch_context(len(candidates))
        try:
            results = self._evaluate(candidates, **({} if context is None else {"callback_ctx": context}))
        except ValueError as error:
            if not str(error).lstrip().startswith("All the"):  # scikit-learn's, of a batch without a single fit
                raise
            self.error = self.error or error
            return [(number, Outcome(reason=f"all fits failed: {_last_line(error)}")) for number in jobs]
        finally:
            if context is not None:
                context.call_on_fit_task_end(estimator=self._search)
        first, self.n_evaluated = self.n_evaluated, self.n_evaluated + len(candidates)
        return [(number, self._outcome(results, first + i)) for i, number in enumerate(jobs)]

    def discard(self) -> None:
        """Forget what was submitted."""
        self._jobs.clear()

    def close(self) -> None:
        """Does nothing: no processes were started."""

    def _batch_context(self, n: int) -> Any:
        if self._context is None:
            return None
        n_fits = n * self._search.n_splits_
        context = self._context.subcontext(task_name="batch", max_subtasks=n_fits, sequential_subtasks=False)
        return context.call_on_fit_task_begin(estimator=self._search)

    def _outcome(self, results: dict[str, Any], row: int) -> Outcome:
        values: dict[str, float] = {}
        for name in self._goals.names:
            column = f"mean_{name}" if name in TIMES else f"mean_test_{name}"
            if column not in results:
                scorers = [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]
                raise ObjectiveError(
                    f"scoring gives {', '.join(scorers)}, and no '{name}': name objectives= among them"
                )
            values[name] = float(results[column][row])
        seconds = self._search.n_splits_ * float(results["mean_fit_time"][row] + results["mean_score_time"][row])
        failed = [name for name, value in values.items() if not np.isfinite(value)]
        reason = f"{failed[0]} is {values[failed[0]]}: a fit or a score failed" if failed else None
        return Outcome({} if failed else values, reason, None, seconds)


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1]
