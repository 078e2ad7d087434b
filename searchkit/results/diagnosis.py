"""Why a front is empty: the bounds that no candidate met, with the nearest value, or the failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from searchkit.problem.objectives import Bound
from searchkit.problem.trial import State, Trial

if TYPE_CHECKING:
    from searchkit.results.result import Result


def why_nothing(result: Result) -> str:
    """One sentence on a search whose front is empty."""
    trials = [trial for trial in result.trials if trial.finished]
    scored = [trial for trial in trials if trial.state is State.SCORED]
    failed = [trial for trial in trials if trial.state is State.FAILED]
    if not trials:
        return "no candidate was evaluated"
    unmet = [text for bound in result.goals.bounds if (text := _nearest(bound, trials))]
    if scored and not unmet:
        return f"no candidate meets {' and '.join(map(str, result.goals.bounds))} together"
    if scored:
        return f"no candidate meets {'; '.join(unmet)}"
    dropped = sum(trial.state is State.DROPPED for trial in trials)
    unmet += [f"{dropped} were dropped from the ladder, and none was trained in full"] if dropped else []
    unmet += [f"{len(failed)} failed, the first with: {failed[0].reason}"] if failed else []
    return f"no candidate was scored; {'; '.join(unmet) or 'each breaks a bound'}"


def _nearest(bound: Bound, trials: Sequence[Trial]) -> str | None:
    """The value nearest to a bound that no candidate meets; None if one does, or if the metric is not known."""
    values = np.array([trial.values.get(bound.name, np.nan) for trial in trials])
    violations = bound.violation(values)
    if np.isnan(violations).all() or np.nanmin(violations) <= 0:
        return None
    return f"{bound}: the nearest is {values[np.nanargmin(violations)]:.6g}"
