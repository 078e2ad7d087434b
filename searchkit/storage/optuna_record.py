"""The record of a study in an Optuna storage, so that Optuna's own tools can read it.

Each candidate is an Optuna trial, and is written before it is evaluated; outcomes are never overwritten. The states
correspond as follows. Asked: a running trial with its parameters. Scored: complete, with the raw objective values.
Infeasible: pruned. Dropped from the ladder: pruned, with the attribute "dropped". Failed: failed, with the reason as an
attribute. The score at a rung of the ladder is an intermediate value. The study's header (space, objectives,
constraints, data, seed) is an attribute of the study, and a study with another header is refused.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage
from optuna.study import StudyDirection
from sqlalchemy.exc import SQLAlchemyError

from searchkit.errors import SearchkitError, StorageError, StudyMismatchError
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.runtime.interrupts import uninterrupted
from searchkit.space import Space
from searchkit.space.dictionaries import labelled
from searchkit.storage.header import HEADER_COPY, compare_headers
from searchkit.storage.header_check import checked_header
from searchkit.storage.locks import claim_study
from searchkit.storage.optuna_compat import CONSTRAINTS, quiet, study_id, trial_id
from searchkit.storage.owners import ClaimedByAnotherError
from searchkit.storage.parameters import distribution_of
from searchkit.storage.paths import StorageLike, cannot_open, reason_of
from searchkit.storage.patience import with_patience
from searchkit.storage.recorded_reports import report_attributes
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.recorded_trials import TO_OPTUNA, check_batches, read_trials

T = TypeVar("T")


class OptunaRecord:
    """A study in an Optuna storage.

    Args:
        storage: see :func:`open_storage`.
        name: of the study.
        space, goals: the space of the candidates, and the objectives and constraints.
        header: JSON values that identify the search; compared with those of an existing study.

    Raises:
        StudyMismatchError: the study is of another search; the message lists the differences.
        StorageError: the storage cannot be written, or another search is writing the study. Methods that write raise it
            where the storage can no longer be written, or another search has taken the study over.
    """

    def __init__(self, storage: StorageLike, name: str, space: Space, goals: Goals, header: dict[str, Any]) -> None:
        self._space, self._goals = space, goals
        self._name = name
        with_patience(lambda: self._begin(storage, header), f"study '{name}'")
        self._distributions = {choice.name: distribution_of(choice) for choice in space.choices}

    def _begin(self, storage: StorageLike, header: dict[str, Any]) -> None:
        name = self._name
        with uninterrupted():
            self._claim = claim_study(storage, name)
        try:
            self._storage = self._claim.storage
            with self._opened(storage), uninterrupted():
                self._study = self._open(name, header)
            # A search that finds another token than its own knows that another search has taken the study over.
            signed = not self._claim.alone or self._claim.renew is not None
            self._token = uuid.uuid4().hex if signed else None
            if self._token:
                with self._written(), uninterrupted():
                    self._study.set_user_attr("searchkit:driver", self._token)
            with self._opened(storage):
                self.trials = read_trials(RecordedStudy.of(self._study), self._space, self._goals)
                self._ids = [trial_id(trial) for trial in self._study.get_trials(deepcopy=False)]
            check_batches(name, self.trials)
        except BaseException:
            self.close()
            raise

    def ask(self, trials: Sequence[Trial]) -> None:
        """Create one running trial for each, in a single write where the storage supports that."""

        def write() -> list[int]:
            with self._claim.together():
                if not self._claim.alone:
                    self._check_driver()
                return [self._create(trial) for trial in trials]

        def found() -> list[int] | None:
            on_record = [trial_id(t) for t in self._storage.get_all_trials(study_id(self._study), deepcopy=False)]
            return on_record[len(self._ids) :] or None

        self._ids += self._persist(write, found)
        self.trials.extend(trials)

    def _create(self, trial: Trial) -> int:
        params = labelled(self._space, trial.code)
        template = optuna.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs={"batch": trial.batch, "batch_size": trial.batch_size},
        )
        return self._storage.create_new_trial(study_id(self._study), template)

    def reach(self, trial: Trial, rung: int, score: float) -> None:
        """Write the values of a running trial, and its score at a rung as an intermediate value, in one write."""
        number = self._ids[trial.number]

        def write() -> None:
            with self._claim.together():
                for key, value in _so_far(trial).items():
                    self._storage.set_trial_user_attr(number, key, value)
                self._storage.set_trial_intermediate_value(number, rung, score)

        self._persist(write)

    def finish(self, trial: Trial) -> None:
        """Write the outcome of a trial, in a single write."""
        number = self._ids[trial.number]

        def found() -> bool | None:
            return self._storage.get_trial(number).state.is_finished() or None

        def write() -> bool:
            with self._claim.together():
                self._write_outcome(trial, number)
            return True

        self._persist(write, found)

    def _write_outcome(self, trial: Trial, number: int) -> None:
        outcome: dict[str, Any] = _so_far(trial) | {"elapsed": trial.elapsed}
        outcome |= {"dropped": True} if trial.state is State.DROPPED else {}
        outcome |= report_attributes(trial.reports)
        outcome |= {"methods": trial.methods} if trial.methods else {}
        outcome |= {"reason": trial.reason} if trial.reason else {}
        outcome |= {"traceback": trial.traceback} if trial.traceback else {}
        for key, value in outcome.items():
            self._storage.set_trial_user_attr(number, key, value)
        known: list[float] = []
        for bound in self._goals.bounds:
            value = float(bound.violation(np.array([trial.values.get(bound.name, np.nan)]))[0])
            if np.isfinite(value):
                self._storage.set_trial_system_attr(number, f"constraints:{bound}", value)
                known.append(value)
        if known:  # Optuna's older attribute, which its dashboard reads
            self._storage.set_trial_system_attr(number, CONSTRAINTS, known)
        scored = trial.state is State.SCORED
        values = [trial.values[name] for name in self._goals.names] if scored else None
        self._storage.set_trial_state_values(number, TO_OPTUNA[trial.state], values)

    def note(self, key: str, value: object) -> None:
        """Write a value to the study's attributes."""
        self._persist(lambda: self._study.set_user_attr(f"searchkit:{key}", value))

    def notes(self, key: str) -> Any:
        """The value of a note, or None."""
        return self._attributes().get(f"searchkit:{key}")

    def noted(self, prefix: str) -> list[Any]:
        """The values of all notes whose keys begin with a prefix."""
        return [value for key, value in self._attributes().items() if key.startswith(f"searchkit:{prefix}")]

    def _attributes(self) -> dict[str, Any]:
        return self._persist(lambda: self._study.user_attrs)

    def close(self) -> None:
        """Release the study, so that another search may write it."""
        self._claim.release()

    def _open(self, name: str, header: dict[str, Any]) -> optuna.Study:
        storage = self._storage
        directions = [
            StudyDirection.MAXIMIZE if o.direction == "max" else StudyDirection.MINIMIZE for o in self._goals.objectives
        ]
        if not _has_study(storage, name):
            with quiet(), self._claim.together():  # so that the disk never has a study without its header
                storage.create_new_study(directions, name)
                study = optuna.load_study(study_name=name, storage=storage)
                self._write_header(study, header)
        study = optuna.load_study(study_name=name, storage=storage)
        if "searchkit" not in study.user_attrs:
            begun = not study.user_attrs and not study.get_trials(deepcopy=False) and study.directions == directions
            if not begun:
                raise StudyMismatchError(f"study '{name}' was not made by searchkit; give another name")
            with quiet():
                self._write_header(study, header)  # an earlier search was killed before it wrote the header
        found = checked_header(RecordedStudy.of(study))
        # A recorded ladder or proxies that are not asked for now count as a difference. A record from before these
        # settings existed has neither, and can be continued.
        compare_headers(name, found, header | {"search": {"ladder": None, "proxies": None} | header["search"]})
        self.header = found
        return study

    def _write_header(self, study: optuna.Study, header: dict[str, Any]) -> None:
        study.set_user_attr("searchkit", header)
        study.set_metric_names(list(self._goals.names))
        if isinstance(self._storage, JournalStorage):
            study.set_user_attr(HEADER_COPY, header)  # for `searchkit repair`

    def _persist(self, operation: Callable[[], T], found: Callable[[], T | None] = lambda: None) -> T:
        """Run an operation on the record; if the connection to a database breaks, claim the study again and repeat it.

        Args:
            operation: its changes are written all together or not at all.
            found: looks whether an earlier attempt was written after all, since a connection may break after the
                server has committed and before it has replied; returns what the operation would return, else None.
        """

        def whole() -> T:
            with uninterrupted():
                return operation()

        def again() -> T:
            with uninterrupted():
                assert self._claim.renew is not None
                try:
                    self._claim.renew()
                except ClaimedByAnotherError as error:
                    raise self._taken_over() from error
                self._check_driver()
                before = found()
                return operation() if before is None else before

        with self._written():
            return with_patience(whole, f"study '{self._name}'", again) if self._claim.renew else whole()

    def _check_driver(self) -> None:
        if self._token and self._study.user_attrs.get("searchkit:driver") != self._token:
            raise self._taken_over()

    def _taken_over(self) -> StorageError:
        return StorageError(f"study '{self._name}' was taken over by another search; this one stops")

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except UpdateFinishedTrialError as error:
            raise self._taken_over() from error
        except (OSError, SQLAlchemyError, StorageInternalError) as error:
            if isinstance(error, SearchkitError):
                raise
            raise StorageError(
                f"the record of study '{self._name}' cannot be written any more ({reason_of(error)}); what was "
                "written is intact, and the same call continues from there"
            ) from error

    @contextlib.contextmanager
    def _opened(self, storage: StorageLike) -> Iterator[None]:
        try:
            yield
        except SearchkitError:
            raise
        except (OSError, SQLAlchemyError, StorageInternalError) as error:
            raise cannot_open(storage, error) from error


def _has_study(storage: BaseStorage, name: str) -> bool:
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def _so_far(trial: Trial) -> dict[str, Any]:
    finite = {name: value for name, value in trial.values.items() if np.isfinite(value)}
    return {"metrics": finite, "seconds": trial.seconds}
