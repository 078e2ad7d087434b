"""Optuna without its chatter, and what is used of it that has no public name; checked on Optuna 5.0.0.

No other file uses a private name of Optuna's. Where a later Optuna has moved one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

__all__ = [
    "CONSTRAINTS", "SEED", "FrozenStudy", "all_trials", "database_behind", "file_behind", "is_lazy_generator", "note",
    "on_session", "quiet", "renumber", "storage_of", "study_id", "trial_id", "whole_study",
]  # fmt: skip

CONSTRAINTS = "constraints"  # the attribute of a trial in which constraints stand, as the dashboard reads them
SEED = "_seed"  # the attribute of a sampler of quasi-random sequences that has its seed


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna's information messages and notices of experimental features are off inside."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)


def storage_of(study: optuna.Study) -> BaseStorage:
    """Where a study is kept."""
    return study._storage


def study_id(study: optuna.Study) -> int:
    """What the storage calls a study."""
    return study._study_id


def trial_id(trial: FrozenTrial) -> int:
    """What the storage calls a trial; its number counts within the study."""
    return trial._trial_id


def renumber(trial: FrozenTrial, number: int) -> None:
    """Give a trial another number, which is also what the storage calls it."""
    trial.number = trial._trial_id = number


def all_trials(study: optuna.Study) -> list[FrozenTrial]:
    """From the storage: a pruner that divides a study into brackets would show those of one alone."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def whole_study(study: optuna.Study) -> optuna.Study:
    """The study itself, where a pruner gives one bracket of it."""
    name = study._storage.get_study_name_from_id(study._study_id)
    return optuna.load_study(study_name=name, storage=study._storage)


def note(study: optuna.Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Write an attribute of Optuna's own to a trial."""
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


def database_behind(storage: Any) -> RDBStorage | None:
    """The database that an Optuna object writes, also through Optuna's cache for it."""
    inner = storage._backend if isinstance(storage, _CachedStorage) else storage
    return inner if isinstance(inner, RDBStorage) else None


def file_behind(storage: Any) -> Path | None:
    """The journal file that an Optuna object writes."""
    path = getattr(storage._backend, "_file_path", None) if isinstance(storage, JournalStorage) else None
    return None if path is None else Path(path)


def on_session(storage: RDBStorage, session: Callable[[], Any]) -> RDBStorage:
    """The same database, worked on through the sessions that a function gives."""
    other: RDBStorage = object.__new__(RDBStorage)
    other.__dict__ |= storage.__dict__ | {"scoped_session": session}
    return other


def is_lazy_generator(value: Any) -> bool:
    """Whether a sampler's attribute is a random generator that is made when it is first used, as ``value.rng``."""
    return type(value).__name__ == "LazyRandomState"
