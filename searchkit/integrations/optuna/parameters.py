"""The space of a define-by-run study, as its trials so far show it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import SpaceError, StudyMismatchError
from searchkit.integrations.optuna.conditions import ABSENT, conditions_of
from searchkit.integrations.optuna.distributions import Searched, own, searched
from searchkit.space import Choice, Space
from searchkit.space.conditions import When
from searchkit.space.parameters import changed
from searchkit.storage.parameters import same_distribution
from searchkit.types import Codes

log = logging.getLogger("searchkit")

CHANGES = 3  # of a parameter's distribution in a study; if there are more, it is drawn at random
ASKED = "searchkit:asked"  # attribute of a trial: the suggested values, before the objective uses them


class Parameters:
    """The parameters of a study that are searched together, and the space that they form.

    These are the parameters of all finished trials, each with its newest distribution, except those whose distribution
    has changed more than three times, and those that some trials lack though no earlier parameter
    explains it (:mod:`searchkit.integrations.optuna.conditions`). A parameter with a single value is left out.

    Args:
        trials: finished ones, in order.
        space: the user's, whose parameters are those of the study from the beginning; or None.
        prior: name -> a value that may be good, or ``(value, confidence)``, of parameters that are not the space's.

    Raises:
        SpaceError: a prior is no value of its parameter.
        StudyMismatchError: a trial has a parameter of the user's space in another distribution.
    """

    def __init__(
        self, trials: Sequence[FrozenTrial], space: Space | None, prior: Mapping[str, object] | None = None
    ) -> None:
        self._own, self._prior = space, prior or {}
        self._rows: dict[int, Codes | None] = {}  # of finished trials, by number: each is asked for again and again
        mine = [own(parameter) for parameter in space.choices] if space else []
        self.n_own = len(mine)
        self._newest: dict[str, BaseDistribution] = {one.name: one.distribution for one in mine}
        changes: dict[str, int] = {}
        for trial in trials:
            for name, distribution in trial.distributions.items():
                if not same_distribution(self._newest.setdefault(name, distribution), distribution):
                    self._newest[name] = distribution
                    changes[name] = changes.get(name, 0) + 1
        for one in mine:
            _check(one, self._newest[one.name])
        self._changed = set(changes)
        self._varying = {name for name, n in changes.items() if n > CHANGES}
        self.searched = [*mine, *self._others(mine)]
        conditions = self._explained(trials)
        self.space = self._space(conditions) if self.searched else None
        self.distributions = {one.name: one.distribution for one in self.searched}

    def fit(self, trial: FrozenTrial) -> bool:
        """Whether a finished trial agrees with the known parameters and conditions."""
        distributions = trial.distributions.items()
        newest, varying = self._newest, self._varying
        if any(not same_distribution(newest.get(name), d) and name not in varying for name, d in distributions):
            return False
        if trial.state is not TrialState.COMPLETE or self.space is None:  # it may have ended before it asked for all
            return True
        row = self._row(trial)
        return row is None or bool((self.space.active(row[None])[0] == (row != ABSENT)).all())

    def code(self, trial: FrozenTrial) -> Codes | None:
        """``(d,)`` the candidate of a trial; None where it is not determined.

        For parameters that the objective has not used (yet), the suggested value counts.
        """
        row = self._row(trial)
        if row is None or not len(row):
            return None
        assert self.space is not None
        absent = row == ABSENT
        if absent.any() and (absent & self.space.active(row[None])[0]).any():
            return None
        code: Codes = self.space.canonical(np.where(absent, 0, row)[None])[0]
        return code

    def values(self, code: Codes) -> dict[str, Any]:
        """The parameters that exist in a candidate ``(d,)``, by name."""
        assert self.space is not None
        exists = self.space.active(code[None])[0].tolist()
        triples = zip(self.searched, code.tolist(), exists, strict=True)
        return {one.name: one.value(i) for one, i, on in triples if on}

    def _row(self, trial: FrozenTrial) -> Codes | None:
        """``(d,)`` codes, -1 for parameters that the trial lacks; None where a value is outside its distribution."""
        if trial.number not in self._rows:
            row = self._read(trial)
            if not trial.state.is_finished():
                return row
            self._rows[trial.number] = row
        return self._rows[trial.number]

    def _read_all(self, trials: Sequence[FrozenTrial]) -> None:
        """Know the rows of complete trials, parameter by parameter, and of no others."""
        self._rows = {}
        if not trials or not self.searched:
            return
        params = [trial.params for trial in trials]
        rows, outside = np.full((len(trials), len(self.searched)), ABSENT), np.zeros(len(trials), dtype=bool)
        for j, one in enumerate(self.searched):
            there = np.flatnonzero([one.name in known for known in params])
            codes = one.codes([params[i][one.name] for i in there])
            rows[there, j] = [ABSENT if code is None else code for code in codes]
            outside[there] |= np.array([code is None for code in codes], dtype=bool)
        self._rows = {trial.number: None if out else row for trial, row, out in zip(trials, rows, outside, strict=True)}

    def _read(self, trial: FrozenTrial) -> Codes | None:
        suggested = {} if trial.state is TrialState.COMPLETE else trial.system_attrs.get(ASKED, {})
        row = np.full(len(self.searched), ABSENT, dtype=np.int64)
        params = trial.params
        for j, one in enumerate(self.searched):
            if one.name in params:
                value = params[one.name]
            elif one.name in suggested:
                value = one.distribution.to_external_repr(suggested[one.name])
            else:
                continue
            code = one.code(value)
            if code is None:
                return None
            row[j] = code
        return row

    def _others(self, mine: Sequence[Searched]) -> list[Searched]:
        """The parameters that are not the user's, in the order in which they first occurred."""
        left_out = self._varying | {one.name for one in mine}
        others = {name: d for name, d in self._newest.items() if name not in left_out and not d.single()}
        found = [self._guessed(name, d) for name, d in others.items()]
        return [one for one in found if one is not None]

    def _guessed(self, name: str, distribution: BaseDistribution) -> Searched | None:
        """A parameter with its prior, if any; without it where the distribution has changed and has it no longer."""
        try:
            return searched(name, distribution, self._prior.get(name))
        except SpaceError as error:
            if name not in self._changed:
                log.warning("%s", error)  # `catch=` of a study may hide it in a failed trial
                raise
            return searched(name, distribution)

    def _explained(self, trials: Sequence[FrozenTrial]) -> dict[int, When]:
        """Column -> condition; parameters without an explanation are no longer searched together."""
        while True:
            complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
            self._read_all(complete)
            rows = map(self._row, complete)
            known = [row for row in rows if row is not None]
            if self._own is not None:
                known = [row for row in known if (self._exists(row) == (row[: self.n_own] != ABSENT)).all()]
            if not known or not self.searched:
                return {}
            found = conditions_of(np.stack(known), [one.parameter for one in self.searched])
            conditions = {column: when for column, when in found.items() if column >= self.n_own}
            unexplained = [column for column, when in conditions.items() if when is None]
            if not unexplained:
                return {column: when for column, when in conditions.items() if when is not None}
            self.searched = [one for j, one in enumerate(self.searched) if j not in unexplained]

    def _exists(self, row: Codes) -> Any:
        assert self._own is not None
        return self._own.active(row[None, : self.n_own])[0]

    def _space(self, conditions: dict[int, When]) -> Space:
        if self._own is not None and self.n_own == len(self.searched):
            return self._own
        parameters = [
            changed(one.parameter, when=(conditions[j],)) if j in conditions else one.parameter
            for j, one in enumerate(self.searched)
        ]
        return Space(parameters, name="parameters", canonical=None if self._own is None else self._canonical)

    def _canonical(self, codes: Codes) -> Codes:
        assert self._own is not None
        return np.concatenate([self._own.canonical(codes[:, : self.n_own]), codes[:, self.n_own :]], axis=1)


def _said(one: Searched) -> str:
    parameter = one.parameter
    return f"a choice with the options {list(parameter.labels)}" if isinstance(parameter, Choice) else parameter.said


def _check(one: Searched, recorded: BaseDistribution) -> None:
    if not same_distribution(recorded, one.distribution):
        raise StudyMismatchError(
            f"parameter '{one.name}' of the study is {recorded}, and {_said(one)} in the space given: suggest the "
            "space's choices with suggest(trial, space), or rename one"
        )
