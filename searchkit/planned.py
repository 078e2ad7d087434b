"""A call of :func:`searchkit.run` with a time: its plan, made or on record, and what a continued study has left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from searchkit.execution.executors import Pool, get_ready, workers_of
from searchkit.options import Options
from searchkit.problem.bounds_check import check_bounds
from searchkit.problem.budget import Budget, PlannedBudget
from searchkit.problem.problem import Problem, Strategy
from searchkit.problem.trial import State
from searchkit.proxy_layer.scoring_time import ScoringTime
from searchkit.results.found_studies import is_recorded, recorded_header, recorded_note
from searchkit.results.notes import NOTE, TOOK
from searchkit.results.studies import read_study
from searchkit.search.accounting import SPENT, seconds_of
from searchkit.search.task import Task
from searchkit.space import keys
from searchkit.storage.header import compare_headers
from searchkit.storage.record import Record
from searchkit.training.evaluation import as_evaluation
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer
    from searchkit.search.plan import Plan

log = logging.getLogger("searchkit")

WORTH = 1.0  # seconds after the last candidate of a search without a plan that are noted
FIRST = 1.0  # seconds in which the first candidate is begun, whatever a search took before
JUDGES = 0.7  # of the time for the training of what judges candidates, where they are not trained
BESIDE = 0.3  # of the time for that of proxies beside trainings
PLAN = "plan"  # the note of a record with the plan of its first run


def checked_problem(options: Options) -> Problem:
    """The problem of the search, whose bounds can be met as far as that is known before any evaluation.

    Raises:
        ConstraintError: they cannot.
    """
    problem = options.problem()
    if options.task.known is not None and options.task.counted is not None:
        check_bounds(problem, options.task.goals.bounds, options.task.counted)
    return problem


def with_plan(
    options: Options, strategy: Strategy, began: float, compared: bool = False
) -> tuple[Options, Plan | None]:
    """The options with a plan of the time, where time decides: the plan on record, or a new one.

    Args:
        strategy: of the call, which is part of the header that a recorded study is compared with.
        began: ``time.perf_counter()`` at the beginning of the call.
        compared: whether a recorded study is compared also where nothing is planned; a search does so when it opens it.

    Raises:
        StudyMismatchError: there is a study of this name that holds another search.
    """
    options = _of_planned_study(options)
    looked_at = (compared or options.task.planned) and not options.in_memory
    there = recorded_header(options.name, options.storage) if looked_at else None
    if there is not None:
        compare_headers(options.name, there, options.header(strategy))
    if not options.task.planned:
        return options, None
    from searchkit.search.plan import Plan

    recorded = None if options.in_memory else recorded_note(options.name, options.storage, PLAN)
    if recorded is not None:
        plan = Plan.from_record(recorded)
    else:
        seconds = options.budget.seconds or options.budget.more_seconds or 0.0
        n_workers = workers_of(options.executor, options.workers)
        most = options.budget.evaluations or options.budget.more_evaluations
        plan = options.task.plan(seconds, n_workers, most, time.perf_counter() - began)
    return replace(options, task=options.task.with_recipe(plan.recipe), plan=plan.described()), plan


def _of_planned_study(options: Options) -> Options:
    """The options of a call that goes on with a study that a time has planned, and gives a number of candidates.

    That is so where the call names such a study; or says how many more, and there is no other study to go on with.
    """
    if options.task.planned or not options.task.plannable or options.in_memory:
        return options
    planned = replace(options, task=options.task.with_time())
    if recorded_note(planned.name, options.storage, PLAN) is None:
        return options
    other = planned.name != options.name and (
        options.budget.more_evaluations is None or is_recorded(options.name, options.storage)
    )
    return options if other else planned


def begin_plan(
    plan: Plan | None, budget: Budget, record: Record, pool: Pool, began: float
) -> tuple[Plan | None, Budget, Callable[[float], float]]:
    """The plan for this run of the study, noted and told, when its workers are ready.

    Args:
        began: ``time.perf_counter()`` at the beginning of the call.

    Returns:
        the plan; the budget, counted from the study's beginning; and a function that takes the seconds of the study, by
        its candidates and this run, notes them, and returns those of all runs to their ends.
    """
    before, n_done = seconds_of(record), sum(trial.finished for trial in record.trials)
    if plan is None:
        endings = max(0.0, float(record.notes(TOOK) or 0.0) - before)  # of earlier runs; no time of the candidates
        return (
            None,
            budget.from_here(n_done, before),
            partial(_note_seconds, record, TOOK, _progress_of(record), endings),
        )
    get_ready(pool)
    first = plan
    plan, limits = continued(plan, budget, pool.workers, n_done, before, time.perf_counter() - began)
    if record.notes(PLAN) is None:
        record.note(PLAN, first.judged_in("", 0.0, 0, 0).described())  # proxies have a note (searchkit.judged)
    for line in plan.lines:
        log.info("%s", line)
    return plan, limits, partial(_note_seconds, record, SPENT, _progress_of(record), 0.0)


def continued(
    plan: Plan, budget: Budget, workers: int, n_done: int, before: float, prepared: float
) -> tuple[Plan, Budget]:
    """The plan for a run of a study, and the budget counted from the study's beginning.

    Args:
        n_done: candidates that the study has.
        before: seconds that it has taken before this run; ``prepared``: seconds of this run so far.

    Raises:
        BudgetError: the study has no candidate, and there is no time left for one; the message names the least.
    """
    limits, spent = budget.from_here(n_done, before), before + prepared
    if limits.seconds is None and limits.evaluations is not None:  # a number of candidates more, trained as planned
        left = max(0, limits.evaluations - n_done)
        limits = replace(limits, seconds=plan.seconds_for(left, workers, spent) if left else plan.seconds)
    seconds = plan.seconds if limits.seconds is None else limits.seconds
    now = plan.continued(seconds, workers, spent, prepared, n_done, limits.evaluations)
    if not n_done:
        from searchkit.search.plan import check_left  # which loads torch

        check_left(seconds, now)
    return replace(now, counted=not budget.timed), limits


def plan_now(options: Options, plan: Plan, prepared: float) -> Plan:
    """The plan for a run of the study as its record stands, which is only read."""
    if options.in_memory or not is_recorded(options.name, options.storage):
        return plan.with_scores
    study = read_study(options.name, options.storage, options.task.space)
    n_done = sum(trial.finished for trial in study.trials)
    n_workers = workers_of(options.executor, options.workers)
    return continued(plan, options.budget, n_workers, n_done, study.spent, prepared)[0]


Progress = tuple[int, object]  # finished candidates, and final trainings


def _progress_of(record: Record) -> Progress:
    """What a study has on record, of what takes time."""
    return sum(trial.finished for trial in record.trials), record.notes(NOTE)


def _note_seconds(record: Record, key: str, earlier: Progress, more: float, elapsed: float) -> float:
    """Note the seconds that a study has taken, unless this run added nothing to it; returns what is on record.

    Where no plan counts them, less than a second after the last candidate is not noted: quick searches write no more.

    Args:
        key: of the note.
        earlier: what was on record before this run.
        more: seconds beside those of ``elapsed``.
        elapsed: seconds of the study so far.
    """
    worth = key != TOOK or elapsed + more - seconds_of(record) >= WORTH
    if worth and _progress_of(record) != earlier:
        record.note(key, round(elapsed + more, 3))
    return max(seconds_of(record), float(record.notes(key) or 0.0))


def first_candidates(options: Options, task: Task, plan: Plan | None, record: Record) -> Codes:
    """``(s, d)`` candidates to evaluate first: the user's; else designs of the space's own, where there are any.

    In a search without a plan, that is for the strategy "auto" to decide: one that is named decides itself. A study
    that has gone on to other candidates gets no further designs, though its budget may be larger by now.
    """
    if len(options.start):
        return options.start
    wanted = (options.budget.evaluations or options.budget.more_evaluations or 0) if options.strategy == "auto" else 0
    designs = task.designs(plan, wanted // 2)
    if plan is None and len(designs) and record.trials:
        begun = set(keys(np.stack([trial.code for trial in record.trials])))
        return designs if begun <= set(keys(designs)) else designs[:0]
    return designs


def begin_until(plan: Plan | None, limits: Budget, record: Record, began: float, timed: bool = True) -> Budget:
    """The budget of the candidates: of a planned search, of which one is begun in any case; else as it is.

    While none was scored, since all have broken bounds, the time of the final trainings is there for more of them.

    Args:
        began: ``time.perf_counter()`` at the beginning of the call.
        timed: the call gave a time; else as many candidates as it said are trained.
    """
    if plan is None:
        return limits
    nothing = not any(trial.finished for trial in record.trials)
    # Preparing a search may take longer than a short time.
    least = time.perf_counter() - began + FIRST if nothing else 0.0
    if not timed:
        return Budget(limits.evaluations)
    return PlannedBudget(
        limits.evaluations, max(plan.begin_until, least), None, None, hopeful=max(plan.last_hope, least)
    )


def keep_time(task: Task, scorer: Scorer | None, budget: Budget, began: float) -> None:
    """Have what is trained before the first candidate end in time, where the call has one.

    Args:
        began: ``time.perf_counter()`` at the beginning of the call.
    """
    seconds = budget.seconds or budget.more_seconds
    if seconds is None:
        return
    now = time.perf_counter()  # beginning may have taken longer than a short time
    as_evaluation(task.evaluate).train_until(max(began + JUDGES * seconds, now + JUDGES * JUDGES * seconds))
    if scorer is not None:
        scorer.train_until(max(began + BESIDE * seconds, now + BESIDE * BESIDE * seconds))


def scoring_time(
    plan: Plan | None, limits: Budget, record: Record, began: float, workers: int, scorer: Scorer | None
) -> ScoringTime | None:
    """How long proxies may score in this run of a study; None where it has no time, or no proxies.

    Args:
        limits: the budget of the candidates (:func:`begin_until`).
        began: ``time.perf_counter()`` at the beginning of the call.
    """
    if limits.seconds is None or scorer is None:
        return None
    before = seconds_of(record)

    def trained() -> float:
        taken = [trial.seconds for trial in record.trials if trial.finished and trial.state is not State.INFEASIBLE]
        return float(np.mean(taken)) if taken else 0.0

    timed = ScoringTime(scorer, lambda: before + time.perf_counter() - began, limits.seconds, trained, workers=workers)
    if plan is None:
        return timed
    return replace(timed, training=plan.slot, each=plan.score_seconds or None, ranking=plan.ranking)
