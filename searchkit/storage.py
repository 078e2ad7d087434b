"""The record of a study, on Optuna's storages: asked is written before it is evaluated, and nothing is overwritten.

A candidate is an Optuna trial. Asked = a running trial with its choices; scored = complete, with the raw objective
values; infeasible = pruned; failed = failed, with its reason. The study's header (space, objectives, constraints, data,
seed) stands in its attributes, and a study with another header is refused. So Optuna's own tools work on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import filelock
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from searchkit._optuna import quiet
from searchkit.errors import StorageError, StudyMismatchError
from searchkit.journal import JournalFile, drop_stale_lock
from searchkit.objectives import Goals
from searchkit.space import Space
from searchkit.trial import State, Trial

FOLDER = "searchkit-runs"
FORMAT = 1  # of the record; a newer one is refused, an older one is read
SUFFIX = ".journal"

_TO_OPTUNA = {
    State.SCORED: TrialState.COMPLETE,
    State.INFEASIBLE: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}
_FROM_OPTUNA = {theirs: ours for ours, theirs in _TO_OPTUNA.items()}


class Record(Protocol):
    """Where a search writes what it does."""

    trials: list[Trial]  # in the order of asking

    def ask(self, trials: Sequence[Trial]) -> None:
        """Make new trials durable, before they are evaluated."""
        ...

    def finish(self, trial: Trial) -> None:
        """Make an outcome durable."""
        ...

    def note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the study."""
        ...

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        ...

    def close(self) -> None:
        """Let another search open the study."""
        ...


class Memory:
    """A record that ends with the process."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._notes: dict[str, Any] = {}

    def ask(self, trials: Sequence[Trial]) -> None:
        """Keep new trials."""
        self.trials.extend(trials)

    def finish(self, trial: Trial) -> None:
        """Nothing to do: the trial is the record."""

    def note(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._notes[key] = value

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        return self._notes.get(key)

    def close(self) -> None:
        """Nothing to release."""


class OptunaRecord:
    """A study in an Optuna storage.

    Args:
        storage: see :func:`open_storage`.
        name: of the study.
        space, goals: what the trials mean.
        header: JSON values that identify the search; compared with those of a study that exists.

    Raises:
        StudyMismatchError: the name holds another search; it says what differs.
        StorageError: the storage cannot be written, or another search has the study open.
    """

    def __init__(self, storage: Any, name: str, space: Space, goals: Goals, header: dict[str, Any]) -> None:
        self._space, self._goals = space, goals
        self._lock = _claim(storage, name)
        try:
            self._storage, self._journal = open_storage(storage, name)
            self._study = self._open(name, header)
            self.trials = read_trials(self._study, space)
            self._ids = [trial._trial_id for trial in self._study.get_trials(deepcopy=False)]
        except BaseException:
            self.close()
            raise
        self._distributions: dict[str, BaseDistribution] = {
            choice.name: CategoricalDistribution(choice.labels) for choice in space.choices
        }

    def ask(self, trials: Sequence[Trial]) -> None:
        """Create one running trial each, in one write where the storage is a journal file."""
        with self._together():
            for trial in trials:
                labels = {c.name: c.labels[i] for c, i in zip(self._space.choices, trial.code.tolist(), strict=True)}
                template = optuna.create_trial(
                    state=TrialState.RUNNING,
                    params=labels,
                    distributions=self._distributions,
                    user_attrs={"batch": trial.batch, "batch_size": trial.batch_size},
                )
                self._ids.append(self._storage.create_new_trial(self._study._study_id, template))
        self.trials.extend(trials)

    def finish(self, trial: Trial) -> None:
        """Write the outcome; in one write where the storage is a journal file."""
        number = self._ids[trial.number]
        with self._together():
            outcome: dict[str, Any] = {
                "metrics": {name: value for name, value in trial.values.items() if np.isfinite(value)},
                "seconds": trial.seconds,
                "elapsed": trial.elapsed,
            }
            outcome |= {"methods": trial.methods} if trial.methods else {}
            outcome |= {"reason": trial.reason} if trial.reason else {}
            outcome |= {"traceback": trial.traceback} if trial.traceback else {}
            for key, value in outcome.items():
                self._storage.set_trial_user_attr(number, key, value)
            for bound in self._goals.bounds:
                value = float(bound.violation(np.array([trial.values.get(bound.name, np.nan)]))[0])
                if np.isfinite(value):
                    self._storage.set_trial_system_attr(number, f"constraints:{bound}", value)
            scored = trial.state is State.SCORED
            values = [trial.values[name] for name in self._goals.names] if scored else None
            self._storage.set_trial_state_values(number, _TO_OPTUNA[trial.state], values)

    def note(self, key: str, value: Any) -> None:
        """Keep a value in the study's attributes."""
        self._study.set_user_attr(f"searchkit:{key}", value)

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        return self._study.user_attrs.get(f"searchkit:{key}")

    def close(self) -> None:
        """Release the study."""
        if self._lock is not None:
            self._lock.release()

    def _open(self, name: str, header: dict[str, Any]) -> optuna.Study:
        storage = self._storage
        if name not in {study.study_name for study in storage.get_all_studies()}:
            directions = [
                StudyDirection.MAXIMIZE if o.direction == "max" else StudyDirection.MINIMIZE
                for o in self._goals.objectives
            ]
            with quiet(), self._together():  # a study without its header is never on disk
                storage.create_new_study(directions, name)
                study = optuna.load_study(study_name=name, storage=storage)
                study.set_user_attr("searchkit", header)
                study.set_metric_names(list(self._goals.names))
        study = optuna.load_study(study_name=name, storage=storage)
        found = study.user_attrs.get("searchkit")
        if found is None:
            raise StudyMismatchError(f"study '{name}' was not made by searchkit; give another name")
        compare_headers(name, found, header)
        return study

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        with self._journal.together() if self._journal else contextlib.nullcontext():
            yield


def open_storage(storage: Any, name: str) -> tuple[BaseStorage, JournalFile | None]:
    """The Optuna storage that a user means.

    Args:
        storage: None (a journal file in ``searchkit-runs/``), a folder, a ``.journal`` file, an SQLAlchemy URL
            (``sqlite:///study.db``) or an Optuna storage object.
        name: of the study; names the journal file in a folder.

    Raises:
        StorageError: it cannot be opened or written; the reason is given.
    """
    if isinstance(storage, BaseStorage):
        return storage, None
    try:
        with quiet():
            if "://" in str(storage or ""):
                return RDBStorage(str(storage)), None
            journal = JournalFile(journal_path(storage, name))
            return JournalStorage(journal), journal
    except Exception as error:
        raise StorageError(f"storage {str(storage or FOLDER)!r} cannot be opened: {_first_line(error)}") from error


def journal_path(storage: str | Path | None, name: str) -> Path:
    """The journal file of a study: the file given, or one named after it in the folder given."""
    path = Path(storage or FOLDER)
    return path if path.suffix in (SUFFIX, ".log") else path / f"{check_name(name)}{SUFFIX}"


def networks_folder(storage: Any, name: str) -> Path:
    """Where the trained networks of a study are kept: beside its journal, or in ``searchkit-runs/``.

    Studies of one name in two databases have two folders.
    """
    if is_file(storage):
        return journal_path(storage, name).parent / f"{check_name(name)}.networks"
    address = str(getattr(storage, "url", storage if isinstance(storage, str) else type(storage).__name__))
    digest = hashlib.blake2b(address.encode(), digest_size=3).hexdigest()
    return Path(FOLDER) / f"{check_name(name)}-{digest}.networks"


def is_file(storage: Any) -> bool:
    """Whether the storage is a journal file, and not a database or an object of Optuna's."""
    return not isinstance(storage, BaseStorage) and "://" not in str(storage or "")


def check_name(name: str) -> str:
    """A study's name, if it can be a file's."""
    if not re.fullmatch(r"[\w][\w.+ -]*", name):
        raise StorageError(f"a study's name is made of letters, digits, '.', '-', '_' and spaces, not {name!r}")
    return name


def read_trials(study: optuna.Study, space: Space) -> list[Trial]:
    """The record of a study as trials, in the order of asking."""
    lookup = [{_typed(label): i for i, label in enumerate(choice.labels)} for choice in space.choices]
    trials = []
    for frozen in study.get_trials(deepcopy=False):
        code = [index[_typed(frozen.params[name])] for name, index in zip(space.names, lookup, strict=True)]
        attrs = frozen.user_attrs
        trials.append(
            Trial(
                number=frozen.number,
                batch=attrs["batch"],
                batch_size=attrs["batch_size"],
                code=np.array(code, dtype=np.int64),
                state=_FROM_OPTUNA.get(frozen.state, State.ASKED),
                values=dict(attrs.get("metrics", {})),
                methods=dict(attrs.get("methods", {})),
                reason=attrs.get("reason"),
                traceback=attrs.get("traceback"),
                seconds=attrs.get("seconds", 0.0),
                elapsed=attrs.get("elapsed", 0.0),
            )
        )
    return trials


def compare_headers(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a recorded study whose header differs from the search that wants to continue it.

    Raises:
        StudyMismatchError: with the name of everything that differs, as recorded and as asked.
    """
    if found.get("format", 0) > FORMAT:
        raise StudyMismatchError(
            f"study '{name}' was written in format {found['format']} by searchkit {found.get('version')}, which is "
            f"newer than the format {FORMAT} that this version reads; update searchkit"
        )
    recorded = found["search"]
    differing = [
        _difference(key, recorded.get(key), value)
        for key, value in wanted["search"].items()
        if recorded.get(key) != value
    ]
    if differing:
        raise StudyMismatchError(
            f"study '{name}' holds another search; it differs in {'; '.join(differing)}. "
            "Give another name, or call it as it was begun"
        )


def _claim(storage: Any, name: str) -> filelock.BaseFileLock | None:
    """A lock that the operating system releases with the process, so that one search drives a journal file."""
    if not is_file(storage):
        return None
    path = journal_path(storage, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.driver"), timeout=0)
        lock.acquire()
        drop_stale_lock(path)
    except filelock.Timeout:
        raise StorageError(
            f"study '{name}' in {path} is being written by another search; wait for it, or give another name"
        ) from None
    except OSError as error:
        raise StorageError(f"storage '{storage or FOLDER}' cannot be written: {_first_line(error)}") from error
    return lock


def _typed(label: Any) -> tuple[type, Any]:
    return type(label), label  # 1, 1.0 and True are different options


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _difference(key: str, recorded: Any, asked: Any) -> str:
    """What differs, down to the entry of a dictionary."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        inner = [name for name in {**recorded, **asked} if recorded.get(name) != asked.get(name)]
        if "name" not in inner:
            return ", ".join(_difference(f"{key}.{name}", recorded.get(name), asked.get(name)) for name in inner)
        recorded, asked = recorded.get("name"), asked.get("name")
    was, now = (text if len(text) <= 60 else text[:57] + "..." for text in (str(recorded), str(asked)))
    return f"{key} (recorded {was}, asked {now})"
