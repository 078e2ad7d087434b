"""An Optuna storage that holds one study in memory and can remove trials, so that asking changes nothing.

Optuna itself cannot remove a trial. Suggestions that are not evaluated would stay in the study as failed trials, cost
time at every later suggestion, and change later suggestions.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from searchkit.storage.optuna_compat import FrozenStudy, renumber, trial_id
from searchkit.strategies.tpe_columns import Columns

STUDY = 0


class Shelf(BaseStorage):
    """Finished trials, and running ones that exist only inside ``running()``.

    Args:
        n_objectives: all of them minimised.
    """

    def __init__(self, n_objectives: int) -> None:
        self._directions = [StudyDirection.MINIMIZE] * n_objectives
        self._finished: list[FrozenTrial] = []
        self._states: set[TrialState] = set()
        self._running: list[FrozenTrial] = []
        self._attributes: dict[str, Any] = {}
        self._columns = Columns(n_objectives)

    @property
    def columns(self) -> Columns:
        """The finished trials as arrays."""
        self._columns.read(self._finished)
        return self._columns

    @property
    def unfinished(self) -> list[FrozenTrial]:
        """The running trials."""
        return self._running

    @contextmanager
    def running(self) -> Iterator[None]:
        """Trials started inside, and attributes that a sampler sets on the study, are removed at the end."""
        before = dict(self._attributes)
        try:
            yield
        finally:
            self._running, self._attributes = [], before

    def begin(self) -> FrozenTrial:
        """A running trial without parameters."""
        number = len(self._finished) + len(self._running)
        trial = FrozenTrial(
            number, TrialState.RUNNING, None, datetime.now(), None, {}, {}, {}, {}, {}, trial_id=number
        )  # fmt: skip
        self._running.append(trial)
        return trial

    def finish(self, trial: FrozenTrial) -> None:
        """Add a finished trial with the next number. No trial may be running."""
        renumber(trial, len(self._finished))
        self._finished.append(trial)
        self._states.add(trial.state)
        self._running = []

    def keep(self, rows: Sequence[int]) -> None:
        """Remove all finished trials but those in the given rows."""
        self.columns.keep(rows)
        self._finished = [self._finished[i] for i in rows]
        for i, trial in enumerate(self._finished):
            renumber(trial, i)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states is None:
            trials = self._finished + self._running
        else:  # a sampler asks once per parameter: no filtering where all would stay
            everything = all(state in states for state in self._states)
            finished = self._finished if everything else [t for t in self._finished if t.state in states]
            trials = finished + (self._running if TrialState.RUNNING in states else [])
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        n = len(self._finished)
        return self._finished[trial_id] if trial_id < n else self._running[trial_id - n]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return trial_id(self.begin())

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self.get_trial(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: object) -> None:
        self.get_trial(trial_id).system_attrs[key] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: object) -> None:
        self.get_trial(trial_id).user_attrs[key] = value

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.get_trial(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        raise NotImplementedError("trials of this storage are finished by finish()")

    def set_study_system_attr(self, study_id: int, key: str, value: object) -> None:
        self._attributes[key] = value

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._attributes

    def set_study_user_attr(self, study_id: int, key: str, value: object) -> None:
        raise NotImplementedError("a sampler has nothing to write there")

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_id_from_name(self, study_name: str) -> int:
        return STUDY

    def get_study_name_from_id(self, study_id: int) -> str:
        return "searchkit"

    def get_all_studies(self) -> list[FrozenStudy]:
        return [FrozenStudy("searchkit", None, {}, self._attributes, STUDY, directions=self._directions)]

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise NotImplementedError("this storage has one study")

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("this storage has one study")
