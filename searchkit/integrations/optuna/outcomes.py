"""Observations from Optuna's trials: losses, broken constraints, and hints for pruned trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.types import Codes

ENOUGH = 3  # finished trials with a value at the same step that a straight line needs
HUGE = 1e12  # replaces an infinite violation


def goals_of(study: optuna.Study, constraints: Sequence[str] = ()) -> Goals:
    """A study's objectives, by default "value" or "values_0" ..., and its constraints (at most 0)."""
    names = study.metric_names or (
        ["value"] if len(study.directions) == 1 else [f"values_{i}" for i in range(len(study.directions))]
    )
    objectives = tuple(
        Objective(name, "max" if direction == StudyDirection.MAXIMIZE else "min")
        for name, direction in zip(names, study.directions, strict=True)
    )
    return Goals(objectives, tuple(Bound(name, high=0.0) for name in constraints))


class Outcomes:
    """Trials to observations, one after another: the hint for a pruned trial is extrapolated from earlier trials.

    Args:
        goals: of the study.
    """

    def __init__(self, goals: Goals) -> None:
        self._signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in goals.objectives])
        self._constraints = [bound.name for bound in goals.bounds]
        self._pairs: dict[int, list[tuple[float, float]]] = {}  # step -> (loss then, loss in the end)

    def observe(self, trial: FrozenTrial, code: Codes) -> Observations:
        """One row; all NaN for a failed trial or a value that is not finite. A constraint that was not set is kept.

        A pruned trial that broke a constraint is infeasible. Any other has a hint: its last reported value,
        extrapolated to the end by a straight line through the finished trials that reported one at the same step, or
        unchanged where there are fewer than three of them. Without a reported value it has failed.
        """
        k = len(self._signs)
        losses, hints = np.full(k, np.nan), np.full(k, np.nan)
        violations = np.array([min(max(trial.constraints.get(name, 0.0), 0.0), HUGE) for name in self._constraints])
        if trial.state is TrialState.COMPLETE and np.isfinite(trial.values).all():
            losses = self._signs * np.array(trial.values)
            for step, value in trial.intermediate_values.items():
                self._pairs.setdefault(step, []).append((self._signs[0] * value, losses[0]))
        elif trial.state is TrialState.PRUNED and not (violations > 0).any():
            violations[:] = np.nan
            if k == 1 and trial.intermediate_values:
                hints[0] = self._extrapolated(*max(trial.intermediate_values.items()))
        elif trial.state is not TrialState.PRUNED:
            violations[:] = np.nan
        known = np.isfinite(hints).all()
        return Observations(code[None], losses[None], violations[None], hints[None] if known else None)

    def _extrapolated(self, step: int, value: float) -> float:
        pairs = np.array([pair for pair in self._pairs.get(step, []) if np.isfinite(pair).all()])
        loss = float(self._signs[0]) * value
        if len(pairs) < ENOUGH:
            return loss
        x, y = pairs.T
        slope = max(float(np.cov(x, y)[0, 1] / (x.var(ddof=1) or 1.0)), 0.0)
        return float(y.mean() + slope * (loss - x.mean()))
