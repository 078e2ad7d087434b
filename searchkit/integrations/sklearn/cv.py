"""searchkit's strategies for the parameters of any scikit-learn estimator, scored by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state

from searchkit import plugins
from searchkit.errors import SearchFailedError, UnknownNameError, first_line_said
from searchkit.integrations.sklearn.folds import TIMES, Folds, with_failed
from searchkit.integrations.sklearn.grid import Grid, read_grid
from searchkit.integrations.sklearn_compat import PARAMETERS, SearchCV
from searchkit.problem.budget import Budget, read_budget
from searchkit.problem.making import made
from searchkit.problem.objectives import Goals, read_objectives
from searchkit.problem.problem import Problem
from searchkit.results.result import Result
from searchkit.search.loop import Search
from searchkit.space import distinct_rows
from searchkit.storage.record import Memory
from searchkit.types import Codes

TRIED = 10  # candidates that are tried before the search until the fits of one do not all fail


class SearchkitCV(SearchCV):
    """Searches the parameters of an estimator like GridSearchCV, but evaluates only part of the grid.

    A strategy proposes candidates batch by batch and learns from their cross-validated scores. With several scorers it
    searches for the trade-offs between them, and ``refit`` selects the candidate, as in GridSearchCV: the name of
    a scorer, or a function ``(cv_results_) -> index``. A candidate with a failed fit counts as failed, and the search
    goes on; a number as ``error_score`` is its score instead, and with "raise" the error is raised.

    Args:
        estimator: of any kind; a Pipeline's parameters are named ``step__parameter``.
        param_grid: ``{parameter: values}``, values a list, a scipy distribution, or a :class:`~searchkit.Choice`; or a
            list of such dictionaries, for parameters that matter beside some values of others only (the gamma of a
            kernel). See :func:`searchkit.integrations.sklearn.grid.read_grid`.
        strategy: as for :func:`searchkit.run`. None: "bo" where some parameter is a number of a range, else "tpe",
            which made more of 25 and of 50 evaluations of grids of SVC and HistGradientBoostingRegressor.
        budget: candidates evaluated, or ``{"evaluations": n, "seconds": s}``; fewer where the grid has fewer.
        batch: candidates asked for at once; the strategy's own number where not given.
        objectives: names of scorers, and "fit_time" and "score_time"; all scorers where not given.
        scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score: as of GridSearchCV.
        random_state: of the strategy; an int gives the same candidates again.

    Attributes:
        result_: the :class:`~searchkit.Result`, with ``front`` (the trade-offs), ``history`` and ``plot``.
        cv_results_, best_params_, best_score_, best_estimator_, ...: as of GridSearchCV, with rows in the order in
            which candidates were evaluated.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PARAMETERS,
        "param_grid": [dict, list, tuple],
    }
    result_: Result

    def __init__(
        self,
        estimator: object,
        param_grid: object,
        *,
        strategy: object = None,
        budget: object = 30,
        batch: int | None = None,
        objectives: Any = None,
        scoring: object = None,
        n_jobs: int | None = None,
        refit: object = True,
        cv: object = None,
        verbose: int = 0,
        pre_dispatch: object = "2*n_jobs",
        error_score: object = np.nan,
        return_train_score: bool = False,
        random_state: object = None,
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
        grid, limits = read_grid(self.param_grid), read_budget(self.budget)
        usual = "tpe" if grid.space.is_finite else "bo"
        chosen = usual if self.strategy is None else self.strategy
        factory = plugins.strategy_factory(chosen)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        context = None if callback_ctx is None else callback_ctx.subcontext(task_name="search", max_subtasks=None)
        if context is not None:
            context.call_on_fit_task_begin(estimator=self)
        folds = Folds(self, grid, evaluate_candidates, context)
        start, goals = self._begun(folds, grid, limits, seed)
        folds.goals = goals
        problem = Problem(grid.space, len(goals.objectives), budget=limits.evaluations)
        strategy, record = made(factory, problem), Memory()
        size = self.batch or int(getattr(strategy, "batch", 1))
        try:
            stopped = Search(problem, strategy, goals, None, folds, record, limits, size, seed, start=start).run()
        except SearchFailedError as failed:
            if folds.error is not None and not folds.n_evaluated:
                raise folds.all_failed() from None
            stopped = first_line_said(failed)  # scores are NaN without an error: scikit-learn's own search goes on, too
        if stopped == "interrupted":
            raise KeyboardInterrupt
        if folds.error is not None and not folds.n_evaluated:
            raise folds.all_failed()
        if folds.error is not None:
            self._add_failed(folds)
            warnings.warn(f"all fits of some candidates failed, the first with:{folds.error}", FitFailedWarning, 2)
        del self._formatted
        if context is not None:
            context.call_on_fit_task_end(estimator=self)
        why = getattr(strategy, "why", "")
        said = f"{getattr(strategy, 'choice', '')}: {why}" if why else str(chosen)
        self.result_ = Result(grid.space, goals, record.trials, "SearchkitCV", stopped, {"chosen": said})

    def _begun(self, folds: Folds, grid: Grid, limits: Budget, seed: int) -> tuple[Codes, Goals]:
        """Candidates to start with, evaluated where the scorers' names come of it, and the objectives.

        The objectives are called as in ``cv_results_``.
        """
        start = np.empty((0, grid.space.n_choices), np.int64)
        if callable(self.scoring):
            drawn = grid.space.sample(min(limits.evaluations or TRIED, TRIED), np.random.default_rng(seed))
            drawn = grid.space.canonical(drawn)
            start, scorers = folds.scorers(distinct_rows(drawn))
        else:
            several = isinstance(self.scoring, list | tuple | dict)
            scorers = list(self.scoring) if several else ["score"]
        names = [self.objectives] if isinstance(self.objectives, str) else list(self.objectives or scorers)
        for name in names:
            if name not in (*scorers, *TIMES):
                raise UnknownNameError.of("objective", name, [*scorers, *TIMES])
        directions = {str(name): "min" if name in TIMES and name not in scorers else "max" for name in names}
        return start, Goals(read_objectives(directions))

    def _add_failed(self, folds: Folds) -> None:
        """Give candidates whose fits all failed their rows of ``cv_results_``, which scikit-learn has no place for."""
        results, candidates, n_splits, fits, more = self._formatted
        every = with_failed(candidates, fits, n_splits, folds.failed, self.error_score)
        merged = super().format_results(every[0], n_splits, every[1], more)
        results.clear()
        results.update(merged)
