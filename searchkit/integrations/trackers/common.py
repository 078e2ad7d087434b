"""Shared by all trackers: an error in a tracker ends the tracker, never the search; missing libraries are reported.

A tracker is a callback with ``on_start`` and ``on_end`` (:func:`searchkit.search.callbacks.watched`). Its attribute
``_open`` holds its state for the running search, and is None before, after, and once it has failed.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from searchkit.errors import SearchkitError, first_line_said, readable
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Trial
from searchkit.results.result import Result
from searchkit.space import Space, is_number
from searchkit.space.choice import Label
from searchkit.space.dictionaries import labelled

if TYPE_CHECKING:
    import pandas as pd

Method = TypeVar("Method", bound=Callable[..., None])

log = logging.getLogger("searchkit")


def harmless(method: Method) -> Method:
    """Decorates a tracker's method: an error is logged instead of raised, and the tracker does no more."""

    @functools.wraps(method)
    def call(tracker: Any, *given: Any) -> None:
        try:
            method(tracker, *given)
        except Exception as error:
            tracker._open = None
            complain(tracker, error)

    return cast(Method, call)


def complain(tracker: object, error: Exception) -> None:
    """Warn that a tracker has stopped before its search."""
    said = first_line_said(error)
    log.warning(
        "%s logs no more of this search (%s: %s); the search itself goes on, and is on record",
        type(tracker).__name__, type(error).__name__, said,
    )  # fmt: skip


def required(module: str, tracker: str, library: str, extra: str) -> Any:
    """A module of an optional library.

    Raises:
        SearchkitError: it is not installed; with the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SearchkitError(
            f'{tracker} needs {library}, which is not installed: pip install "searchkit-nas[{extra}]"'
        ) from error


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """The finished trials in the order in which they ended."""
    return sorted((trial for trial in trials if trial.finished), key=lambda trial: (trial.elapsed, trial.number))


def chosen(space: Space, trial: Trial) -> dict[str, Label]:
    """The choices of a candidate as they are recorded."""
    return labelled(space, trial.code)


def recorded(table: pd.DataFrame, space: Space) -> pd.DataFrame:
    """A table of a result with options as they are recorded, which every format of tables can hold."""
    import pandas as pd

    table = table.copy()
    for choice in space.choices:
        if is_number(choice):
            continue
        column = next((name for name in (f"{choice.name} (choice)", choice.name) if name in table), None)
        if column is not None and table[column].dtype == object:
            texts = {i: storable(label) for i, label in enumerate(choice.labels)}
            table[column] = pd.Series(
                [None if option is None and choice.when else texts[choice.index(option)] for option in table[column]],
                index=table.index,
                dtype=object,
            )
    return table


def storable(label: Label) -> Label:
    """A label as UTF-8 and JSON of 64 bits can hold it."""
    if isinstance(label, str):
        return readable(label, len(label) * 6)
    return str(label) if isinstance(label, int) and abs(label) >= 2**63 else label


def seconds_of(goals: Goals) -> str:
    """The name for an evaluation's time: another one where a metric is called "seconds"."""
    return "seconds (record)" if "seconds" in goals.metrics else "seconds"


def described(result: Result) -> dict[str, Any]:
    """A search as JSON values: strategy, budget, objectives, constraints and space."""
    context, space = result.context, result.space
    recorded = {one["name"]: one for one in space.describe()["choices"]}
    return {
        "strategy": result.strategy,
        "seed": context.get("seed"),
        "budget": {limit: value for limit, value in context.get("budget", {}).items() if value is not None},
        "objectives": {objective.name: objective.direction for objective in result.goals.objectives},
        "constraints": [str(bound) for bound in result.goals.bounds],
        "space": {
            "name": space.name,
            "choices": {
                choice.name: recorded[choice.name] if is_number(choice) else list(choice.labels)
                for choice in space.choices
            },
        },
    }
