"""The studies of a journal file, read once and without Optuna's storage, for those who do not write.

The trials are those that Optuna's storage makes of the same file: operations on what is not there or has ended are
passed over, as it does for those of other processes. Optuna reads the distribution of every choice of every trial from
its text and copies a trial for each of its operations; here each text is read once, and a trial is made once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from searchkit.storage.journal import JournalFile, damaged
from searchkit.storage.recorded_study import RecordedStudy

_Log = dict[str, Any]


def read_journal(path: Path) -> list[RecordedStudy]:
    """The studies of a journal file, as they are now; nothing is created, changed or locked.

    Raises:
        StorageError: the file is not a journal, or a line of it is damaged; the message names the line.
        OSError: the file cannot be read.
    """
    replay = _Replay()
    for number, log in enumerate(JournalFile(path, write=False).read_logs(0), 1):
        try:
            replay.apply(log)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            why = ValueError(f"it has no {error}") if isinstance(error, KeyError) else error
            raise damaged(path, number, why) from error
    return [
        RecordedStudy(study.name, str(path), study.attributes, partial(list, study.trials))
        for study in replay.studies.values()
    ]


@dataclass
class _Study:
    name: str
    attributes: _Log = field(default_factory=dict)
    trials: list[FrozenTrial] = field(default_factory=list)
    # of each choice: the first trial that has it, and its distribution there
    first: dict[str, tuple[int, BaseDistribution]] = field(default_factory=dict)

    def has(self, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> None:
        """Note that a trial has a choice."""
        known = self.first.get(name)
        if known is None or trial.number <= known[0]:
            self.first[name] = trial.number, distribution


class _Replay:
    """Studies and trials after some operations of a journal."""

    def __init__(self) -> None:
        self.studies: dict[int, _Study] = {}
        self._n_studies = 0
        self._trials: dict[int, tuple[_Study, FrozenTrial]] = {}  # by id
        self._distributions: dict[str, BaseDistribution] = {}  # by their text
        # by Optuna's numbers of operations
        self._of_studies: dict[int, Callable[[_Study, _Log], object]] = {
            2: lambda study, log: study.attributes.update(_one(log["user_attr"])),
            3: lambda study, log: _one(log["system_attr"]),  # which no reader uses
            4: self._create_trial,
        }
        self._of_trials: dict[int, Callable[[_Study, FrozenTrial, _Log], None]] = {
            5: self._set_choice,
            6: _set_state,
            7: lambda study, trial, log: trial.intermediate_values.update({log["step"]: log["intermediate_value"]}),
            8: lambda study, trial, log: trial.user_attrs.update(_one(log["user_attr"])),
            9: lambda study, trial, log: trial.system_attrs.update(_one(log["system_attr"])),
        }

    def apply(self, log: _Log) -> None:
        """The next operation."""
        operation = log["op_code"]
        if operation in self._of_trials:
            of_study, trial = self._trials.get(log["trial_id"], (None, None))
            if of_study is not None and trial is not None and not trial.state.is_finished():
                self._of_trials[operation](of_study, trial, log)
        elif operation in self._of_studies:
            found = self.studies.get(log["study_id"])
            if found is not None:
                self._of_studies[operation](found, log)
        elif operation == 0:
            self._create_study(log)
        elif operation == 1:
            if log["study_id"] in self.studies:  # pop of an empty mapping takes what is no key as well
                del self.studies[log["study_id"]]
        elif operation != 10:  # trials that another storage of Optuna's has discarded; Optuna keeps them too
            raise ValueError(f"its operation {operation} is not known")

    def _create_study(self, log: _Log) -> None:
        name = log["study_name"]
        if name is None:
            raise ValueError("its study has no name")
        if not isinstance(name, str):
            raise ValueError(f"the name of its study is {type(name).__name__}, not a text")
        if any("\ud800" <= character <= "\udfff" for character in name):  # which no page, table or URL can have
            raise ValueError(f"the name of its study, {name!r:.60}, has half a character")
        for direction in log["directions"]:
            StudyDirection(direction)  # or ValueError
        if all(study.name != name for study in self.studies.values()):
            self.studies[self._n_studies] = _Study(name)
            self._n_studies += 1

    def _create_trial(self, study: _Study, log: _Log) -> None:
        distributions = {name: self._distribution(text) for name, text in log.get("distributions", {}).items()}
        trial = FrozenTrial(
            trial_id=len(self._trials),
            number=len(study.trials),
            state=TrialState(log.get("state", TrialState.RUNNING)),
            params={name: distributions[name].to_external_repr(p) for name, p in log.get("params", {}).items()},
            distributions=distributions,
            user_attrs=log.get("user_attrs", {}),
            system_attrs=log.get("system_attrs", {}),
            value=log.get("value"),
            intermediate_values={int(step): v for step, v in log.get("intermediate_values", {}).items()},
            datetime_start=None if log["datetime_start"] is None else _local(log["datetime_start"]),
            datetime_complete=_local(log["datetime_complete"]) if "datetime_complete" in log else None,
            values=log.get("values"),
        )
        for name in trial.params.keys() - study.first.keys():
            study.has(trial, name, distributions[name])
        study.trials.append(trial)
        self._trials[len(self._trials)] = study, trial

    def _set_choice(self, study: _Study, trial: FrozenTrial, log: _Log) -> None:
        name, distribution = log["param_name"], self._distribution(log["distribution"])
        if name in study.first:
            try:
                check_distribution_compatibility(study.first[name][1], distribution)
            except ValueError:
                return  # Optuna takes no other kind of distribution
        trial.params[name] = distribution.to_external_repr(log["param_value_internal"])
        trial.distributions[name] = distribution
        study.has(trial, name, distribution)

    def _distribution(self, text: str) -> BaseDistribution:
        found = self._distributions.get(text)
        if found is None:
            found = self._distributions[text] = json_to_distribution(text)
        return found


def _set_state(study: _Study, trial: FrozenTrial, log: _Log) -> None:
    state = TrialState(log["state"])
    if state is TrialState.RUNNING:
        if trial.state is TrialState.RUNNING:
            return  # another process was first
        trial.datetime_start = _local(log["datetime_start"])
    if state.is_finished():
        trial.datetime_complete = _local(log["datetime_complete"])
    trial.state = state
    if log["values"] is not None:
        trial.values = log["values"]


def _one(attribute: _Log) -> _Log:
    found = dict(attribute)  # a text, or a list that is no pairs, is no attribute
    if len(found) != 1:
        raise ValueError(f"it writes {len(found)} attributes")
    return found


def _local(text: str) -> datetime:
    """A time as Optuna has it: that of this machine's clock, without its zone."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
