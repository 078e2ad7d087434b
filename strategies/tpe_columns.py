"""The trials of a study as arrays for TPE: read once each, in the order in which they finished.

Optuna reads all trials again at every suggestion, which is most of its time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from searchkit.storage.parameters import same_distribution
from searchkit.strategies.tpe_axes import Axis, grown
from searchkit.strategies.tpe_compat import Groups, merged, survivors
from searchkit.strategies.tpe_steps import axis_of
from searchkit.types import Bools, Codes, Floats

COMPLETE, PRUNED, INFEASIBLE, OTHER = range(4)  # kinds of trials, the best first


class Columns:
    """Finished trials, one a row.

    Args:
        n_objectives: all of them minimised.

    Attributes:
        n_read: number of rows.
    """

    def __init__(self, n_objectives: int) -> None:
        self.n_read = 0
        self._kinds = np.empty(0)
        self._keys = np.empty((0, 2))  # by which those of a kind are sorted
        self._losses = np.empty((0, n_objectives))
        self._axes: dict[str, Axis] = {}
        self._changing: set[str] = set()  # parameters with several distributions
        self._shared: dict[str, BaseDistribution] | None = None
        self._groups = Groups()
        self._known: set[tuple[str, ...]] = set()  # combinations of parameters that the groups have
        self._split: tuple[int, Bools] | None = None

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Read the trials that are new; the first ones are those that were read before."""
        for trial in trials[self.n_read :]:
            self._add(trial)

    def keep(self, rows: Sequence[int]) -> None:
        """Remove all rows but these."""
        kept = np.array(rows, dtype=np.int64)
        self._kinds, self._keys, self._losses = self._kinds[kept], self._keys[kept], self._losses[kept]
        for axis in self._axes.values():
            axis.hold(self.n_read, np.nan)
            axis.keep(kept)
        self.n_read, self._split = len(rows), None

    @property
    def shared(self) -> dict[str, BaseDistribution]:
        """Parameters of all trials read so far that ended complete or pruned, in the order of their names."""
        return self._shared or {}

    @property
    def groups(self) -> Groups:
        """The same trials' parameters in groups that always occur together."""
        return self._groups

    @property
    def n_ended(self) -> int:
        """Number of trials that ended complete or pruned."""
        return int(np.count_nonzero(self._kinds[: self.n_read] != OTHER))

    def axes(self, space: dict[str, BaseDistribution]) -> list[Axis] | None:
        """The axes of parameters; None where trials have one of them with another distribution, or not at all."""
        found = [self._axes.get(name) for name in space]
        for axis, (name, distribution) in zip(found, space.items(), strict=True):
            if axis is None or name in self._changing or not same_distribution(axis.distribution, distribution):
                return None
        return found  # type: ignore[return-value]

    def divided(self, n_best: int) -> tuple[Codes, Codes]:
        """Rows of the best trials, and those of the others, each ascending; failed trials are in neither."""
        best = self._best(n_best)
        return np.flatnonzero(best), np.flatnonzero(~best & (self._kinds[: self.n_read] != OTHER))

    def values(self, axes: Sequence[Axis], rows: Codes) -> tuple[Codes, list[Floats]]:
        """Those of the rows that have all of the parameters, and the values of each on its scale."""
        for axis in axes:
            axis.hold(self.n_read, np.nan)  # there is a place for every row
        values = [axis.values[rows] for axis in axes]
        there = ~np.logical_or.reduce([np.isnan(value) for value in values])
        return (rows, values) if there.all() else (rows[there], [value[there] for value in values])

    def _best(self, n_best: int) -> Bools:
        if self._split is not None and self._split[0] == n_best:
            return self._split[1]
        best, missing = np.zeros(self.n_read, dtype=bool), n_best
        for kind in (COMPLETE, PRUNED, INFEASIBLE):
            rows = np.flatnonzero(self._kinds[: self.n_read] == kind)
            n = min(missing, len(rows))
            if n == len(rows):
                best[rows] = True
            elif n > 0 and kind == COMPLETE and self._losses.shape[1] > 1:
                best[rows[survivors(self._losses[rows], n)]] = True
            elif n > 0:
                best[rows[_least(self._keys[rows], n)]] = True
            missing = max(0, missing - n)
        self._split = n_best, best
        return best

    def _add(self, trial: FrozenTrial) -> None:
        row, self._split = self.n_read, None
        self._kinds = grown(self._kinds, row + 1, OTHER)
        self._keys, self._losses = grown(self._keys, row + 1, 0.0), grown(self._losses, row + 1, np.nan)
        self._kinds[row], self._keys[row], self._losses[row] = OTHER, 0.0, np.nan
        self.n_read = row + 1
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return
        broken = sum(v for v in trial.constraints.values() if v > 0)
        if broken > 0:
            self._kinds[row], self._keys[row, 0] = INFEASIBLE, broken
        elif trial.state is TrialState.COMPLETE:
            self._kinds[row], self._losses[row] = COMPLETE, trial.values
            self._keys[row, 0] = self._losses[row, 0]
        else:
            self._kinds[row], self._keys[row] = PRUNED, _last_report(trial)
        self._hold(row, trial)

    def _hold(self, row: int, trial: FrozenTrial) -> None:
        distributions, params = trial.distributions, trial.params
        for name, distribution in distributions.items():
            axis = self._axes.get(name)
            if axis is None:
                axis = self._axes[name] = axis_of(distribution)
            elif not same_distribution(axis.distribution, distribution):
                self._changing.add(name)
                continue
            axis.hold(row, distribution.to_internal_repr(params[name]))
        if self._shared is None:
            self._shared = dict(sorted(distributions.items()))
        else:
            shared = {n: d for n, d in self._shared.items() if same_distribution(distributions.get(n), d)}
            self._shared = shared if len(shared) < len(self._shared) else self._shared
        names = tuple(distributions)
        if names not in self._known:
            self._known.add(names)
            self._groups = merged(self._groups, distributions)


def _least(keys: Floats, n: int) -> Codes:
    """The n least of rows ``(m, 2)``, the first ones where some are equal; n < m."""
    if keys[:, 1].any():
        return np.lexsort(keys.T[::-1])[:n]
    first = keys[:, 0]
    last = np.partition(first, n - 1)[n - 1]
    below = np.flatnonzero(first < last)
    return np.concatenate([below, np.flatnonzero(first == last)[: n - len(below)]])


def _last_report(trial: FrozenTrial) -> tuple[float, float]:
    """The keys of a pruned trial: later reports first, then better ones; without any it is the last."""
    if not trial.intermediate_values:
        return 1.0, 0.0
    step, value = max(trial.intermediate_values.items())
    return float(-step), math.inf if math.isnan(value) else value
