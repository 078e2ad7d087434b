"""Studies beside each other: a table of what each found, measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.problem.trial import State, observe, pareto_front
from searchkit.types import Floats

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.result import Result

MARGIN = 0.1  # of the range of all fronts, by which the reference point lies beyond their worst values


def compare(results: Sequence[Result]) -> pd.DataFrame:
    """Compare studies with the same objectives by their fronts.

    Returns:
        a row for each study, in the order given: ``study``, ``strategy``, ``candidates``, ``scored``, ``seconds``,
        ``front`` (its size), ``on_joint_front`` (its points that none of all studies dominates), ``dominated`` (its
        points that another study's point dominates), ``hypervolume`` (of its front, as a share of that of all fronts
        together, from 0 to 1; the reference point is a tenth of their range beyond the worst values of all), and
        ``best <objective>`` for each objective.

    Raises:
        SearchkitError: there are fewer than two results, or one has other objectives.
    """
    import pandas as pd

    _check(results)
    fronts = [losses_of(result) for result in results]
    joint = np.concatenate(fronts)
    none = np.zeros(joint.shape[1])
    low, high = (joint.min(axis=0), joint.max(axis=0)) if len(joint) else (none, none)
    half = np.where(high > low, high / 2 - low / 2, 0.5)  # whose double may be beyond the largest float
    scaled = [(front / 2 - low / 2) / half for front in fronts]
    reference = np.full(joint.shape[1], 1.0 + MARGIN)
    whole = hypervolume(np.concatenate(scaled), reference) if len(joint) else 0.0
    best = joint[non_dominated(joint)] if len(joint) else joint
    rows = []
    for result, losses, points in zip(results, fronts, scaled, strict=True):
        undominated = [not _dominates(best, loss) for loss in losses]
        row = {
            "study": result.name,
            "strategy": str(result.context.get("strategy") or result.strategy),
            "candidates": len(result.trials),
            "scored": sum(trial.state is State.SCORED for trial in result.trials),
            "seconds": round(result.took, 1),
            "front": len(losses),
            "on_joint_front": sum(undominated),
            "dominated": len(losses) - sum(undominated),
            "hypervolume": hypervolume(points, reference) / whole if len(points) and whole > 0 else 0.0,
        }
        for i, objective in enumerate(result.goals.objectives):
            sign = -1.0 if objective.direction == "max" else 1.0
            row[f"best {objective.name}"] = sign * float(losses[:, i].min()) if len(losses) else float("nan")
        rows.append(row)
    return pd.DataFrame(rows)


def _check(results: Sequence[Result]) -> None:
    if len(results) < 2:
        raise SearchkitError(f"two studies or more are compared, not {len(results)}")
    first = results[0]
    for other in results[1:]:
        if other.goals.objectives != first.goals.objectives:
            told = [
                ", ".join(f"{o.name} ({o.direction})" for o in result.goals.objectives) for result in (first, other)
            ]
            raise SearchkitError(
                f"studies with the same objectives are compared: '{first.name}' has {told[0]}, '{other.name}' {told[1]}"
            )


def losses_of(result: Result) -> Floats:
    """``(n, k)`` losses of a study's front."""
    front = pareto_front(result.trials, result.goals)
    return observe(front, result.goals).losses if front else np.empty((0, len(result.goals.objectives)))


def _dominates(front: Floats, loss: Floats) -> bool:
    """Whether a point of a front ``(n, k)`` dominates another ``(k,)``."""
    return bool(((front <= loss).all(axis=1) & (front < loss).any(axis=1)).any())
