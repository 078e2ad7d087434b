"""Tools that read the record: which studies there are, the front of one, and several side by side."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.integrations.mcp.inputs import CompareInput, FrontInput, Nothing
from searchkit.integrations.mcp.outputs import Compared, Front, Listed, Row, rows_of, value
from searchkit.integrations.mcp.settings import Settings
from searchkit.problem.pareto import hypervolume
from searchkit.problem.trial import observe
from searchkit.surroundings import settled
from searchkit.types import Floats

if TYPE_CHECKING:
    from searchkit.results.result import Result

BEYOND = 0.1  # of its range over all fronts, by which the reference point is worse than the worst of them
LEAST_RANGE = 1e-12


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
    from searchkit.results.studies import load

    names = list(dict.fromkeys(given.studies))
    if len(names) < 2:
        raise SearchkitError(f"compare needs two different studies, not '{names[0]}' alone")
    results = [load(name, settings.storage) for name in names]
    first = results[0]
    for other in results[1:]:
        if other.goals.objectives != first.goals.objectives:
            raise SearchkitError(
                f"study '{other.name}' has objectives {_goals(other)}, and study '{first.name}' has {_goals(first)}: "
                "compare studies with the same objectives"
            )
    points = [_front_of(result) for result in results]
    every = np.concatenate([losses for _, losses in points])
    if not len(every):
        raise SearchkitError(f"nothing is on the fronts of {', '.join(names)} yet")
    best, worst = every.min(axis=0), every.max(axis=0)
    scale = np.where(worst - best > LEAST_RANGE, worst - best, 1.0)
    reference = worst + BEYOND * scale
    signs = np.array([-1.0 if goal.direction == "max" else 1.0 for goal in first.goals.objectives])
    box = float(np.prod((reference - best) / scale))
    rows: list[Row] = []
    for i, result in enumerate(results):
        numbers, losses = points[i]
        others = [(results[j].name, *points[j]) for j in range(len(results)) if j != i]
        beaten = [_beaten(number, one, others) for number, one in zip(numbers, losses, strict=True)]
        share = hypervolume((losses - best) / scale, (reference - best) / scale) / box if len(losses) else 0.0
        top = losses.min(axis=0) * signs if len(losses) else np.full(len(signs), np.nan)
        rows.append(
            {
                "study": result.name,
                "candidates": len(result.trials),
                "front": len(numbers),
                "hypervolume": round(share, 6),
                "best": dict(zip(result.goals.names, map(value, top), strict=True)),
                "undominated": [n for n, by in zip(numbers, beaten, strict=True) if by is None],
                "dominated": [by for by in beaten if by is not None],
            }
        )
    at = dict(zip(first.goals.names, (reference * signs).tolist(), strict=True))
    return {
        "objectives": {goal.name: goal.direction for goal in first.goals.objectives},
        "reference": at,
        "studies": rows,
    }


def _goals(result: Result) -> str:
    return ", ".join(f"{goal.name} ({goal.direction})" for goal in result.goals.objectives)


def _front_of(result: Result) -> tuple[list[int], Floats]:
    """Numbers of the candidates on a front, and their losses ``(n, k)``."""
    numbers = [int(n) for n in result.front["trial (record)" if "trial (record)" in result.front else "trial"]]
    if not numbers:
        return [], np.empty((0, len(result.goals.names)))
    losses: Floats = observe([result.trials[n] for n in numbers], result.goals).losses
    return numbers, losses


def _beaten(number: int, losses: Floats, others: list[tuple[str, list[int], Floats]]) -> Row | None:
    """Which point of another front dominates a point, or None."""
    for name, numbers, theirs in others:
        better = (theirs <= losses).all(axis=1) & (theirs < losses).any(axis=1)
        if better.any():
            return {"trial": number, "by_study": name, "by_trial": numbers[int(np.argmax(better))]}
    return None
