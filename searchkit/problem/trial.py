"""One candidate of a search, from proposal to outcome, with values in the user's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from searchkit.problem.objectives import Goals
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.types import Codes

Report = tuple[float, dict[str, float]]  # an epoch of a training, and the values that were reported after it


class State(StrEnum):
    """The state of a candidate."""

    ASKED = "asked"  # proposed and recorded, no outcome yet
    SCORED = "scored"  # every metric is known
    INFEASIBLE = "infeasible"  # a cost that is known without training breaks a bound; never trained
    FAILED = "failed"  # raised, diverged, ran out of memory or of time
    DROPPED = "dropped"  # not promoted from a rung of the fidelity ladder, or stopped early; never trained in full


@dataclass(eq=False)
class Trial:
    """A candidate and its outcome.

    Attributes:
        number: position in the order of asking, from 0.
        batch, batch_size: the batch it was asked in, and how many that batch holds.
        code: ``(d,)`` canonical.
        values: metric name -> raw value in its own unit and direction; partial unless scored. Values from a
            rung of the fidelity ladder have names of their own, such as "accuracy (epochs=3)".
        methods: metric name -> how it was measured, for metrics that depend on it.
        reason: why it failed, was not trained, or not promoted.
        traceback: of the exception, where there was one.
        seconds: how long its evaluation took.
        elapsed: seconds that the whole search had run when it ended.
        reports: what the user's training function reported of it, in the order of the epochs.
    """

    number: int
    batch: int
    batch_size: int
    code: Codes
    state: State = State.ASKED
    values: dict[str, float] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    seconds: float = 0.0
    elapsed: float = 0.0
    reports: list[Report] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether it has an outcome, of any kind."""
        return self.state is not State.ASKED


def observe(trials: Sequence[Trial], goals: Goals) -> Observations:
    """The observations of finished trials: losses and violations, NaN where unknown.

    A dropped trial has no losses, since it was not trained in full; what its short training predicts is a hint
    (:meth:`searchkit.training.fidelity.Ladder.hints`, :meth:`searchkit.search.early_stopping.Reporting.hints`).
    """
    n = len(trials)
    columns = {
        name: np.array([trial.values.get(name, np.nan) for trial in trials], dtype=np.float64) for name in goals.metrics
    }
    losses, violations = goals.losses(columns), goals.violations(columns)
    unscored = np.array([trial.state is not State.SCORED for trial in trials], dtype=bool)
    losses[unscored] = np.nan
    for i in range(n):
        if trials[i].state in (State.FAILED, State.DROPPED):
            violations[i] = np.nan
        elif trials[i].state is State.INFEASIBLE:
            violations[i] = np.nan_to_num(violations[i])  # unmeasured metrics break no bound
    return Observations(np.stack([trial.code for trial in trials]), losses, violations)


def pareto_front(trials: Sequence[Trial], goals: Goals) -> list[Trial]:
    """The scored, feasible trials that no other one dominates, best first by the first objective."""
    scored = [trial for trial in trials if trial.state is State.SCORED]
    if not scored:
        return []
    seen = observe(scored, goals)
    rows = np.flatnonzero(seen.feasible)
    rows = rows[non_dominated(seen.losses[rows])]
    return [scored[i] for i in rows[np.lexsort(seen.losses[rows].T[::-1])]]
