"""What a call of :func:`searchkit.run` would search, and how it would spend its time."""

from __future__ import annotations

import time
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from searchkit.api import run
from searchkit.assembly import begin_strategy
from searchkit.errors import plural
from searchkit.execution.executors import workers_of
from searchkit.judged import judged_estimate, judged_plan, with_judges
from searchkit.option_reading import read_options
from searchkit.option_values import DEFAULT_BUDGET
from searchkit.options import Options
from searchkit.planned import checked_problem, plan_now, with_plan
from searchkit.results.found_studies import is_recorded
from searchkit.results.studies import read_study
from searchkit.space import Space
from searchkit.space.space import readable_size
from searchkit.storage.urls import shown

if TYPE_CHECKING:
    from searchkit.costs.metrics import Metric
    from searchkit.data.data import Data
    from searchkit.search.estimate import Estimate
    from searchkit.search.plan import Plan

MOST = 6  # parameters of a space that are named
HOW = {"trained": "after training", "counted": "counted", "measured": "measured"}


def plan(*arguments: Any, **named: Any) -> Plan | Estimate:
    """How a call of :func:`run` with the same arguments would spend its time; nothing is searched or recorded.

    ``print(*searchkit.plan(data=(X, y), budget={"seconds": 600}).lines, sep="\n")``. A few training steps are made to
    measure how long they take.

    Returns:
        the plan of a search with a time, or an estimate of the time of one with a number of evaluations; ``about``
        has lines on what would be searched.

    Raises:
        SearchkitError: as :func:`run`.
    """
    bound, began = signature(run).bind(*arguments, **named), time.perf_counter()
    bound.apply_defaults()
    options = read_options(**bound.arguments)
    problem = checked_problem(options)
    begun = begin_strategy(options, problem)
    options, made = with_plan(options, begun, began, compared=True)
    options, _, chosen = with_judges(options, problem, begun, made)
    judged = judged_plan(made, options, problem, chosen)
    if judged is not None:
        return replace(plan_now(options, judged, time.perf_counter() - began), about=about(options))
    budget, seconds = options.budget, options.budget.seconds or options.budget.more_seconds
    candidates = budget.evaluations or budget.more_evaluations or (None if seconds else DEFAULT_BUDGET)
    expected = options.task.estimate(candidates, workers_of(options.executor, options.workers), seconds)
    return replace(judged_estimate(expected, options, problem, chosen), about=about(options))


def about(options: Options) -> tuple[str, ...]:
    """A line each for the space, the data if there are any, objectives and bounds, and the record.

    Raises:
        StorageError: there is such a study, and its record is damaged.
    """
    task = options.task
    data: Data | None = getattr(task, "data", None)
    return (
        _of_space(task.space),
        *([_of_data(data)] if data is not None else []),
        _of_goals(options),
        _of_study(options),
    )


def _of_space(space: Space) -> str:
    """The size of the space, and how many options its first parameters have."""
    parts = [f"{one.name} ({len(one.options):,})" if space.is_finite else one.name for one in space.choices[:MOST]]
    more = f" and {len(space.choices) - MOST} more" if len(space.choices) > MOST else ""
    sizes = f"{readable_size(space.size)} candidates of {plural(len(space.choices), 'choice')}"
    return f"space {space.name}: {sizes}, {', '.join(parts)}{more}"


def _of_data(data: Data) -> str:
    """How many examples each part has, and what one is."""
    shape = " x ".join(map(str, tuple(data.train.x.shape[1:]))) if hasattr(data.train.x, "shape") else ""
    classes = f", {plural(len(data.classes), 'class', 'classes')}" if data.classes else ""
    parts = f"{len(data.train):,} examples to train on, {len(data.val):,} to compare by"
    test = f", {len(data.test):,} to test the front" if len(data.test) else ", no test part"
    return f"data {data.name}: {parts}{test}; {f'each {shape}' if shape else data.task}{classes}"


def _of_goals(options: Options) -> str:
    """The objectives with their directions and how each becomes known, and the bounds."""
    goals, metrics = options.task.goals, getattr(options.task, "metrics", {})
    told = [f"{one.name} ({one.direction}{_how(metrics.get(one.name), options.here)})" for one in goals.objectives]
    bounds = f"; bounds {', '.join(map(str, goals.bounds))}" if goals.bounds else ""
    return f"objectives {', '.join(told)}{bounds}"


def _how(metric: Metric | None, device: str) -> str:
    if metric is None or metric.stage is None:
        return ""
    where = f" on {device}" if metric.stage == "measured" and "@" not in metric.name else ""
    return f", {HOW.get(metric.stage, metric.stage)}{where}"


def _of_study(options: Options) -> str:
    """Where the record is, and what it has already."""
    if options.in_memory:
        return f"study {options.name}: in memory, gone with this process"
    there = f"study {options.name} in {shown(options.place)}"
    if not is_recorded(options.name, options.storage):
        return f"{there}: new"
    trials = read_study(options.name, options.storage, options.task.space).trials
    return f"{there}: continued, with {plural(len(trials), 'candidate')} on record"
