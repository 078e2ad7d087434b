"""The reason why a front is empty: bounds that no candidate meets, with the nearest value, or failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from searchkit.problem.objectives import Bound
from searchkit.problem.trial import State, Trial
from searchkit.types import Floats

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.result import Result


def why_nothing(result: Result) -> str:
    """The reason why the front of a search is empty, in one sentence."""
    trials = [trial for trial in result.trials if trial.finished]
    scored = [trial for trial in trials if trial.state is State.SCORED]
    failed = [trial for trial in trials if trial.state is State.FAILED]
    if not trials:
        return "no candidate was evaluated"
    unmet = [text for bound in result.goals.bounds if (text := _nearest(bound, trials))]
    if scored and not unmet:
        kept = " and ".join(map(str, result.goals.bounds))
        return f"no candidate meets {kept} together: {nearest_of(result.goals.bounds, trials)}"
    if scored:
        return f"no candidate meets {'; '.join(unmet)}"
    dropped = sum(trial.state is State.DROPPED for trial in trials)
    unmet += (
        [f"{dropped} were dropped from the ladder or stopped early, and none was trained in full"] if dropped else []
    )
    unmet += [f"{len(failed)} failed, the first with: {failed[0].reason}"] if failed else []
    return f"no candidate was scored; {'; '.join(unmet) or 'each breaks a bound'}"


def _nearest(bound: Bound, trials: Sequence[Trial]) -> str | None:
    """Text with the value nearest to a bound that no candidate meets; None if one does, or if no value is known."""
    values = np.array([trial.values.get(bound.name, np.nan) for trial in trials])
    violations = bound.violation(values)
    if np.isnan(violations).all() or np.nanmin(violations) <= 0:
        return None
    nearest = int(np.nanargmin(violations))
    return (
        f"{bound}: the nearest is {values[nearest]:.6g} (candidate {trials[nearest].number}); it excluded "
        f"{_share(violations, len(trials))}"
    )


def nearest_row(bounds: Sequence[Bound], front: pd.DataFrame, number: str) -> str:
    """As :func:`nearest_of`, for the rows of a front, whose column ``number`` has the numbers of the candidates."""
    values = front[[bound.name for bound in bounds]].to_numpy(float)
    return _told(bounds, values, front[number].tolist())


def nearest_of(bounds: Sequence[Bound], trials: Sequence[Trial]) -> str:
    """How many candidates each bound excluded, and the one that is nearest to all, with its values.

    Violations of a bound are divided by the largest violation of that bound; the nearest candidate is the one whose
    largest such ratio is smallest. Candidates whose values are not known are left out.
    """
    values = np.array([[trial.values.get(bound.name, np.nan) for bound in bounds] for trial in trials])
    return _told(bounds, values, [trial.number for trial in trials])


def _told(bounds: Sequence[Bound], values: Floats, numbers: Sequence[int]) -> str:
    violations = np.stack([bound.violation(values[:, i]) for i, bound in enumerate(bounds)], axis=1)
    told = "; ".join(f"{bound} excluded {_share(violations[:, i], len(numbers))}" for i, bound in enumerate(bounds))
    known = np.asarray(np.isfinite(violations).all(axis=1))
    if not known.any():
        return told
    missed = np.maximum(violations, 0)
    largest = missed[known].max(axis=0)
    relative = np.where(known[:, None], missed / np.where(largest > 0, largest, 1.0), np.inf).max(axis=1)
    i = int(np.argmin(relative))
    has = ", ".join(f"{bound.name} {values[i, j]:.6g}" for j, bound in enumerate(bounds))
    return f"{told}; the nearest is candidate {numbers[i]} with {has}"


def _share(violations: Floats, n: int) -> str:
    """How many of n candidates break a bound, as text; unknown values (NaN) do not count as breaking it."""
    return f"{int((violations > 0).sum()):,} of {n:,} candidate{'s' * (n != 1)}"
