"""Tools that read the record: which studies there are, the front of one, and several side by side."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from searchkit.integrations.mcp.inputs import CompareInput, FrontInput, Nothing
from searchkit.integrations.mcp.outputs import Compared, Front, Listed, Row, rows_of
from searchkit.integrations.mcp.settings import Settings
from searchkit.problem.trial import pareto_front
from searchkit.surroundings import settled
from searchkit.types import Floats

if TYPE_CHECKING:
    from searchkit.results.result import Result


def list_studies(given: Nothing, settings: Settings) -> Listed:
    """The recorded studies, finished or not."""
    from searchkit.results.studies import list_studies as table_of
    from searchkit.storage.paths import FOLDER
    from searchkit.storage.urls import is_url, shown

    where = settings.storage
    there = where is None or is_url(where) or settled(where).exists()  # else the first search makes the folder
    rows = rows_of(table_of(where)) if there else []
    return {"storage": str(shown(where or FOLDER)), "studies": rows}


def front(given: FrontInput, settings: Settings) -> Front:
    """The front of a study, or its history, also while another process is searching."""
    from searchkit.results.studies import load

    result = load(given.study, settings.storage)
    table = result.history if given.history else result.front
    return {
        "study": result.name,
        "objectives": {goal.name: goal.direction for goal in result.goals.objectives},
        "bounds": [str(bound) for bound in result.goals.bounds],
        "strategy": result.strategy,
        "candidates": len(result.trials),
        "states": dict(Counter(str(trial.state) for trial in result.trials)),
        "seconds": round(result.took, 1),
        "rows": rows_of(table[: given.rows]),
        "left_out": max(0, len(table) - given.rows),
        "nothing": result.nothing if result.trials else "nothing is evaluated yet",
    }


def compare(given: CompareInput, settings: Settings) -> Compared:
    """Fronts side by side: what each dominates of the box that all of them span, and whose points beat whose."""
    from searchkit.results.comparing import compare as table_of
    from searchkit.results.studies import load

    results = [load(name, settings.storage) for name in dict.fromkeys(given.studies)]
    rows, points = rows_of(table_of(results)), [_front_of(result) for result in results]
    for i, row in enumerate(rows):
        others = [(results[j].name, *points[j]) for j in range(len(results)) if j != i]
        beaten = [_beaten(number, losses, others) for number, losses in zip(*points[i], strict=True)]
        row["undominated"] = [n for n, by in zip(points[i][0], beaten, strict=True) if by is None]
        row["dominated_by"] = [by for by in beaten if by is not None]
    return {"objectives": {goal.name: goal.direction for goal in results[0].goals.objectives}, "studies": rows}


def _front_of(result: Result) -> tuple[list[int], Floats]:
    """Numbers of the candidates on a front, and their losses ``(n, k)``."""
    from searchkit.results.comparing import losses_of

    return [trial.number for trial in pareto_front(result.trials, result.goals)], losses_of(result)


def _beaten(number: int, losses: Floats, others: list[tuple[str, list[int], Floats]]) -> Row | None:
    """Which point of another front dominates a point, or None."""
    for name, numbers, theirs in others:
        better = (theirs <= losses).all(axis=1) & (theirs < losses).any(axis=1)
        if better.any():
            return {"trial": number, "by_study": name, "by_trial": numbers[int(np.argmax(better))]}
    return None
