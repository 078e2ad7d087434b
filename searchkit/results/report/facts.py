"""Facts of a study that several sections of the page use: metrics, outcomes of candidates, and how it ended."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchkit.errors import plural
from searchkit.problem.trial import State, Trial, observe
from searchkit.results.result import Result
from searchkit.types import Floats

SPREAD = "_spread"  # a metric whose name ends so is the relative spread of another metric

FATES = {  # in the order of the page's data
    "front": "on the front",
    "other": "dominated",
    "bound": "outside a bound",
    "failed": "failed",
    "dropped": "not promoted",
    "open": "without an outcome",
}


@dataclass(frozen=True)
class Facts:
    """A result and values derived from it, which are not rounded.

    Attributes:
        beside: results of other searches with the same objectives, drawn for comparison.
    """

    result: Result
    beside: tuple[Result, ...] = ()

    @functools.cached_property
    def winners(self) -> list[Trial]:
        """The front, in the order of ``result.front``."""
        return self.result._winners

    @property
    def best(self) -> Trial:
        """The first of the front that is best in the first objective; there is one where the front is not empty."""
        first = self.result.goals.objectives[0]
        sign = -1.0 if first.direction == "max" else 1.0
        return min(self.winners, key=lambda trial: sign * trial.values[first.name])

    @functools.cached_property
    def fates(self) -> list[str]:
        """The outcome of each trial: a key of ``FATES``."""
        trials = self.result.trials
        best = {trial.number for trial in self.winners}
        kept = observe(trials, self.result.goals).feasible.tolist() if trials else []
        return [_fate(trial, trial.number in best, fine) for trial, fine in zip(trials, kept, strict=True)]

    @functools.cached_property
    def counts(self) -> Counter[str]:
        """The number of candidates of each outcome."""
        return Counter(self.fates)

    @functools.cached_property
    def metrics(self) -> list[str]:
        """All metrics without spreads: objectives first, then the score on the test part if there is one."""
        goals, trials = self.result.goals, self.result.trials
        names = list(dict.fromkeys([*goals.metrics, *(name for trial in trials for name in trial.values)]))
        names = [name for name in names if not (name.endswith(SPREAD) and name.removesuffix(SPREAD) in names)]
        if self.result.test_accuracy and self.result.tested not in names:
            names.insert(len(goals.names), self.result.tested)
        return names

    @property
    def directions(self) -> dict[str, str]:
        """Directions of the objectives: "min" or "max"."""
        return {objective.name: objective.direction for objective in self.result.goals.objectives}

    @functools.cached_property
    def finished(self) -> list[Trial]:
        """The trials that have an outcome, in the order in which they ended."""
        return sorted((t for t in self.result.trials if t.finished), key=lambda t: (t.elapsed, t.number))

    @functools.cached_property
    def seconds(self) -> float:
        """Duration of the search until its last candidate ended, over all its runs."""
        return max((trial.elapsed for trial in self.result.trials), default=0.0)

    @property
    def took(self) -> float:
        """Duration of the whole search, over all its runs, with what came after the last candidate."""
        return max(self.result.took, self.seconds)

    def value(self, trial: Trial, metric: str) -> float:
        """The value of a metric for one candidate; NaN if it is not known."""
        if metric not in trial.values and metric == self.result.tested:
            return self.result.test_accuracy.get(trial.number, float("nan"))
        return self.result.as_delivered(trial).get(metric, float("nan"))

    def label(self, metric: str) -> str:
        """The name of a metric with its unit."""
        unit = self.context.get("units", {}).get(metric)
        unit = "test part" if metric == self.result.tested and self.result.test_accuracy and not unit else unit
        return f"{metric} ({unit})" if unit else metric

    @property
    def bounds(self) -> str:
        """The bounds as text."""
        return " and ".join(str(b).replace("<=", "≤").replace(">=", "≥") for b in self.result.goals.bounds)

    @property
    def context(self) -> dict[str, Any]:
        return self.result.context

    @property
    def is_loaded(self) -> bool:
        """Whether the study was read from its record, which says nothing of how a search ended, or whether it did."""
        return self.result.stopped == "loaded from its record"

    @property
    def ended(self) -> str:
        """Why the search ended; of a loaded study, how many outcomes its record has."""
        done, budget = len(self.finished), self.context.get("budget") or {}
        if not self.is_loaded:
            return self.result.stopped
        limits = [plural(budget["evaluations"], "evaluation")] if budget.get("evaluations") else []
        limits += [f"{budget['seconds']:g} seconds"] if budget.get("seconds") else []
        return f"{plural(done, 'outcome')} of a budget of {' and '.join(limits) or 'no limit'}"


def losses(trials: Sequence[Trial], result: Result) -> Floats:
    """Losses ``(n, k)``; NaN for candidates that are not scored or break a bound."""
    if not trials:
        return np.empty((0, len(result.goals.names)))
    seen = observe(trials, result.goals)
    known: Floats = np.where(seen.feasible[:, None], seen.losses, np.nan)
    return known


def _fate(trial: Trial, best: bool, feasible: bool) -> str:
    if trial.state is State.SCORED:
        return "front" if best else "other" if feasible else "bound"
    return {State.FAILED: "failed", State.DROPPED: "dropped", State.INFEASIBLE: "bound"}.get(trial.state, "open")
