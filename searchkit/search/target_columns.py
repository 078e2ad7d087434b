"""Columns of targets such as ``latency_ms@phone``: which are measured and which predicted, and what follows of that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from searchkit.costs.targets.prediction import SURE
from searchkit.costs.task_scores import AT, in_int8
from searchkit.errors import plural
from searchkit.problem.objectives import Bound, Goals
from searchkit.problem.trial import State, Trial, observe, pareto_front
from searchkit.search.confirmation import to_confirm
from searchkit.storage.measured_notes import PREDICTED

log = logging.getLogger("searchkit")

FAR = float(np.finfo(np.float64).max)
MOST = 300.0  # relative errors of a prediction, as the exponent of a factor that is a number
STEPS = (0.0, 0.5, 1.0, 1.5, SURE)  # standard errors by which predictions may be wrong, the likeliest first


def is_mark(column: str) -> bool:
    """Whether a column says how well another one is predicted."""
    return AT in column and column.endswith(PREDICTED)


def may_win(trials: Sequence[Trial], goals: Goals, sure: Mapping[str, float] | None = None) -> list[Trial]:
    """The candidates that are on the front, or may be once what is predicted of any has been measured.

    A predicted cost may turn out to be any. So a candidate is out only if a measured one beats it whatever that is, or
    if it breaks a bound on what is known of it. One that is near a bound may be found to break it, and beats none.

    Args:
        sure: column -> by so many standard errors its predictions may be wrong, and by no more.
    """
    scored = [trial for trial in trials if trial.state is State.SCORED]
    predicted = [trial for trial in scored if any(map(is_mark, trial.values)) or to_confirm(trial, goals)]
    if not predicted:
        return pareto_front(scored, goals)
    known = pareto_front([trial for trial in scored if trial not in predicted], goals)
    hopes = observe([replace(trial, values=_best_case(trial.values, goals, sure or {})) for trial in predicted], goals)
    rows = observe(known, goals).losses if known else np.empty((0, len(goals.objectives)))
    beaten = [bool(((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any()) for row in hopes.losses]
    open_ = [trial for trial, ok, out in zip(predicted, hopes.feasible, beaten, strict=True) if ok and not out]
    return [*known, *open_]


def next_to_measure(trials: Sequence[Trial], goals: Goals, columns: Sequence[str], lacking: set[int]) -> int | None:
    """The number of the candidate to measure next: one on the front, then the likeliest that may be on it.

    Args:
        columns: that are predicted, with errors that are believed: what is more than two of them off the front is left.
        lacking: numbers of the candidates that can be measured.
    """
    for trial in pareto_front(trials, goals):
        if trial.number in lacking:
            return trial.number
    for step in STEPS:
        for trial in may_win(trials, goals, dict.fromkeys(columns, step)):
            if trial.number in lacking:
                return trial.number
    return None


def _best_case(values: Mapping[str, float], goals: Goals, sure: Mapping[str, float]) -> dict[str, float]:
    """The values of a candidate, with predicted ones as good as costs can be, and within their bounds if possible."""
    found = dict(values)
    ends = {name: _ends(name, values, sure) for name in goals.metrics if name + PREDICTED in values}
    for one in goals.objectives:
        if one.name in ends:
            found[one.name] = ends[one.name][one.direction == "max"]
    for bound in goals.bounds:
        if bound.name in ends:
            inside = np.clip(found[bound.name], bound.low, bound.high)
            found[bound.name] = float(np.clip(inside, *ends[bound.name]))
    return found


def _ends(name: str, values: Mapping[str, float], sure: Mapping[str, float]) -> tuple[float, float]:
    """The least and the largest that a predicted cost may turn out to be."""
    if name not in sure:
        return 0.0, FAR
    return _within(values[name], sure[name] * values[name + PREDICTED])


def _within(value: float, errors: float) -> tuple[float, float]:
    """A predicted value less and more relative errors; what is beyond all numbers is the largest."""
    factor = float(np.exp(min(errors, MOST)))
    return value / factor, min(value * factor, FAR)


def only_predicted(bound: Bound, values: Mapping[str, float]) -> bool:
    """Whether a bound is on a predicted value, and may be kept as far as the prediction can tell."""
    error = values.get(bound.name + PREDICTED)
    if error is None:
        return False
    low, high = _within(values[bound.name], SURE * error)
    return high >= bound.low and low <= bound.high


def had(bound: Bound, values: Mapping[str, float]) -> str:
    """The value that breaks a bound, in words."""
    said = f"it has {values[bound.name]:g}"
    if bound.name + PREDICTED in values:
        return f"{said}, predicted"
    within = bound.margin and bound.low <= values[bound.name] <= bound.high
    return f"{said}, and measurements differ by {bound.margin:.1%}" if within else said


def say_predicted(trials: Sequence[Trial], goals: Goals) -> None:
    """Log which costs of candidates on the front are still predicted, and which predictions left out too much."""
    found: dict[str, int] = {}
    for trial in pareto_front(trials, goals):
        for name in filter(is_mark, trial.values):
            found[name.removesuffix(PREDICTED)] = found.get(name.removesuffix(PREDICTED), 0) + 1
    for name, n in found.items():
        log.warning(
            "%s of %s on the front is predicted, since its target did not answer; the same call again measures it",
            name, plural(n, "candidate"),
        )  # fmt: skip
    untrained = [trial for trial in trials if trial.state is State.INFEASIBLE]
    wrong = [str(trial.number) for trial in untrained if not (observe([trial], goals).violations > 0).any()]
    if wrong:
        log.warning(
            "%s was not trained, since a predicted cost broke a bound that the measured one keeps: %s",
            plural(len(wrong), "candidate"), ", ".join(wrong),
        )  # fmt: skip


def measured_columns(values: Mapping[str, float]) -> dict[str, float]:
    """The values that targets have measured, without those that are predicted."""
    return {name: value for name, value in values.items() if is_measured(name, values)}


def is_measured(name: str, values: Mapping[str, float]) -> bool:
    """Whether a column has what a target has measured of the candidate with these values."""
    return AT in name and not in_int8(name) and not name.endswith(PREDICTED) and name + PREDICTED not in values
