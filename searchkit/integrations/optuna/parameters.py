"""The space of a define-by-run study, as its trials so far show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import StudyMismatchError
from searchkit.integrations.optuna.axes import Axis, axes_of, choice_axis
from searchkit.integrations.optuna.conditions import ABSENT, Condition, active, conditions_of
from searchkit.space import Space
from searchkit.types import Codes

CHANGES = 3  # of a parameter's distribution in a study; if there are more, it is drawn at random
ASKED = "searchkit:asked"  # attribute of a trial: the suggested values, before the objective uses them


class Parameters:
    """The parameters of a study that are searched together, and the space that they form.

    These are the parameters of all finished trials, each with its newest distribution, except those whose distribution
    has changed more than three times, and those that some trials lack though no earlier parameter
    explains it (:mod:`searchkit.integrations.optuna.conditions`). A parameter with a single value is left out.

    Args:
        trials: finished ones, in order.
        own: the user's space, whose choices are parameters from the beginning.
        levels: see :func:`searchkit.integrations.optuna.axes.axes_of`.

    Raises:
        StudyMismatchError: a trial has a choice of the user's space in another distribution.
    """

    def __init__(self, trials: Sequence[FrozenTrial], own: Space | None, levels: int | None) -> None:
        self._own = own
        mine = [choice_axis(choice) for choice in own.choices] if own else []
        self.n_own = len(mine)
        self._newest: dict[str, BaseDistribution] = {axis.name: axis.distribution for axis in mine}
        changes: dict[str, int] = {}
        for trial in trials:
            for name, distribution in trial.distributions.items():
                if self._newest.setdefault(name, distribution) != distribution:
                    self._newest[name] = distribution
                    changes[name] = changes.get(name, 0) + 1
        for axis in mine:
            _check(axis, self._newest[axis.name])
        self._varying = {name for name, n in changes.items() if n > CHANGES}
        self.axes = [*mine, *axes_of(self._searched(mine), levels)]
        self._conditions = self._explained(trials)
        self.space = self._space() if self.axes else None

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Distributions of the parameters that are searched together."""
        return {axis.name: axis.distribution for axis in self.axes}

    def fit(self, trial: FrozenTrial) -> bool:
        """Whether a finished trial agrees with the known parameters and conditions."""
        distributions = trial.distributions.items()
        if any(self._newest.get(name) != d and name not in self._varying for name, d in distributions):
            return False
        if trial.state is not TrialState.COMPLETE:  # it may have ended before it suggested all parameters
            return True
        row = self._row(trial)
        return row is None or bool((active(row[None], self._conditions)[0] == (row != ABSENT)).all())

    def code(self, trial: FrozenTrial) -> Codes | None:
        """``(d,)`` the candidate of a trial; None where it is not determined.

        For parameters that the objective has not used (yet), the suggested value counts.
        """
        row = self._row(trial)
        if row is None or not len(row):
            return None
        absent = row == ABSENT
        if (absent & active(row[None], self._conditions)[0]).any():
            return None
        assert self.space is not None
        code: Codes = self.space.canonical(np.where(absent, 0, row)[None])[0]
        return code

    def values(self, code: Codes, rng: np.random.Generator | None = None) -> dict[str, Any]:
        """The active parameters of a candidate ``(d,)``; numbers are drawn inside their cells by ``rng``."""
        asked = active(code[None], self._conditions)[0]
        return {axis.name: axis.value(int(i), rng) for axis, i, on in zip(self.axes, code, asked, strict=True) if on}

    def _row(self, trial: FrozenTrial) -> Codes | None:
        """``(d,)`` codes, -1 for parameters that the trial lacks; None where a value is outside its distribution."""
        suggested = {} if trial.state is TrialState.COMPLETE else trial.system_attrs.get(ASKED, {})
        row = np.full(len(self.axes), ABSENT, dtype=np.int64)
        for j, axis in enumerate(self.axes):
            value = trial.params.get(axis.name)
            if axis.name not in trial.params:
                if axis.name not in suggested:
                    continue
                value = axis.distribution.to_external_repr(suggested[axis.name])
            code = axis.code(value)
            if code is None:
                return None
            row[j] = code
        return row

    def _searched(self, mine: Sequence[Axis]) -> dict[str, BaseDistribution]:
        others = self._newest.keys() - self._varying - {axis.name for axis in mine}
        return {name: d for name, d in self._newest.items() if name in others and not d.single()}

    def _explained(self, trials: Sequence[FrozenTrial]) -> Mapping[int, Condition | None]:
        """The conditions; parameters without an explanation are left out of the axes."""
        while True:
            rows = [self._row(trial) for trial in trials if trial.state is TrialState.COMPLETE]
            codes = [row for row in rows if row is not None and (row[: self.n_own] != ABSENT).all()]
            if not codes:
                return {}
            conditions = conditions_of(np.stack(codes), [axis.choice for axis in self.axes])
            unexplained = [column for column, condition in conditions.items() if condition is None]
            if not unexplained:
                return conditions
            self.axes = [axis for j, axis in enumerate(self.axes) if j not in unexplained]

    def _space(self) -> Space:
        if self._own is not None and self.n_own == len(self.axes):
            return self._own
        return Space([axis.choice for axis in self.axes], name="parameters", canonical=self._canonical)

    def _canonical(self, codes: Codes) -> Codes:
        if self._own is not None:
            codes = np.concatenate([self._own.canonical(codes[:, : self.n_own]), codes[:, self.n_own :]], axis=1)
        return np.where(active(codes, self._conditions), codes, 0) if self._conditions else codes


def _check(axis: Axis, recorded: BaseDistribution) -> None:
    if recorded != axis.distribution:
        assert isinstance(axis.distribution, CategoricalDistribution)
        raise StudyMismatchError(
            f"parameter '{axis.name}' of the study is {recorded}, and a choice of the space given, with the options "
            f"{list(axis.distribution.choices)}: suggest the space's choices with suggest(trial, space), or rename one"
        )
