"""What of a space is left after a search, and the options that fell, by the evaluations on record."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from searchkit.blocks.shrinking import Fall, Settings, Shrinking, usual_level
from searchkit.costs.counts import space_counts, space_peak_memory
from searchkit.errors import SearchkitError
from searchkit.problem.trial import State, observe
from searchkit.space import NetworkSpace, Space
from searchkit.space.narrower_space import part_of
from searchkit.space.parameters import texts_of
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.problem.trial import Trial
    from searchkit.results.tables import Tables

COUNTED = ("params", "macs", "peak_memory")  # bounds on these are known without an evaluation


def shrinking_of(result: Tables, settings: Settings | None = None) -> Shrinking:
    """What the strategy ``shrink`` has of the evaluations of a study of any strategy, in the order of its tells.

    Args:
        settings: by default those that the strategy has by itself, with the study's budget.
    """
    if not result.space.is_finite:
        raise SearchkitError(
            f"options fall in spaces of choices, and space '{result.space.name}' has numbers or conditions: no part of "
            "it is left"
        )
    budget = (result.context.get("budget") or {}).get("evaluations")
    settings = Settings(per_level=usual_level(budget)) if settings is None else settings
    shrinking = Shrinking(result.space, len(result.goals.objectives), settings, _known(result))
    batches = [list(group) for _, group in groupby(result.trials, key=lambda trial: trial.batch)]
    ended = [batch for batch in batches if all(trial.finished for trial in batch)]
    for batch in sorted(ended, key=lambda batch: max(trial.elapsed for trial in batch)):
        shrinking.tell(observe(batch, result.goals))
    return shrinking


def left(result: Tables, shrinking: Shrinking) -> Space:
    """The space of the options that are left, with those of the candidate that is best in each objective."""
    best = [trial.code for trial in best_in_each(result)]
    codes = np.stack(best) if best else np.empty((0, result.space.n_choices), dtype=np.int64)
    return part_of(result.space, shrinking.holding(codes))


def best_in_each(result: Tables) -> list[Trial]:
    """The scored candidate within the bounds that is best in an objective, for each of them; none where there is none.

    Of candidates that are equal in it, one that no other dominates.
    """
    scored = [trial for trial in result.trials if trial.state is State.SCORED]
    if not scored:
        return []
    told = observe(scored, result.goals)
    rows = np.flatnonzero(told.feasible)
    if not len(rows):
        return []
    losses = told.losses[rows]
    first = [np.lexsort((losses.sum(axis=1), losses[:, k]))[0] for k in range(losses.shape[1])]
    return [scored[rows[i]] for i in dict.fromkeys(first)]


def table(result: Tables, shrinking: Shrinking) -> pd.DataFrame:
    """The frame of :attr:`searchkit.Result.options_dropped`."""
    import pandas as pd

    space = result.space
    columns = ("choice", "option", "evaluations", "chance", "gain", "left", "evidence")
    rows = []
    counts = [len(choice.options) for choice in space.choices]
    for fall in shrinking.falls:
        counts[fall.choice] -= 1
        choice = space.choices[fall.choice]
        rows.append((
            choice.name, *texts_of(choice, [fall.option]), fall.evaluations, fall.chance,
            fall.gain if math.isfinite(fall.gain) else float("nan"), counts[fall.choice], _said(fall),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def _said(fall: Fall) -> str:
    if fall.failures:
        return f"{fall.failures} candidates had it, and all failed"
    chance = "under 0.1 %" if fall.chance < 0.001 else f"{100 * fall.chance:.1f} %"
    return f"{chance} chance of being the best, {-fall.gain:.2f} deviations behind the leading option"


def _known(result: Tables) -> Callable[[Codes], Floats] | None:
    """By how much candidates break the bounds on what is counted; None where networks or such bounds are missing."""
    bounds = [bound for bound in result.goals.bounds if bound.name in COUNTED]
    space = result.space
    if not bounds or not isinstance(space, NetworkSpace) or result.context.get("kind") != "networks":
        return None

    def excess(codes: Codes) -> Floats:
        values = dict(space_counts(space, codes))
        if any(bound.name == "peak_memory" for bound in bounds):
            values["peak_memory"] = space_peak_memory(space, codes)
        total: Floats = np.sum([np.nan_to_num(bound.violation(values[bound.name])) for bound in bounds], axis=0)
        return total

    return excess
