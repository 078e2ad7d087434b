"""Private names of Optuna that searchkit uses; checked with Optuna 5.0.0.

No other file uses private names of Optuna. If a later Optuna moves one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

from searchkit.storage.silence import quiet

__all__ = [
    "CONSTRAINTS", "SEED", "FrozenStudy", "all_trials", "database_behind", "file_behind", "is_lazy_generator", "note",
    "on_session", "quiet", "renumber", "storage_of", "study_id", "trial_id", "unread_trials",
    "whole_study",
]  # fmt: skip

CONSTRAINTS = "constraints"  # the trial attribute from which Optuna's dashboard reads constraints
SEED = "_seed"  # the attribute with the seed of a sampler of quasi-random sequences


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage of a study."""
    return study._storage


def study_id(study: optuna.Study) -> int:
    """The id of a study in its storage."""
    return study._study_id


def trial_id(trial: FrozenTrial) -> int:
    """The id of a trial in its storage; unlike its number, it is unique over all studies of the storage."""
    return trial._trial_id


def renumber(trial: FrozenTrial, number: int) -> None:
    """Give a trial another number, and the same id."""
    trial.number = trial._trial_id = number


def all_trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials, read from the storage, since pruners that divide a study into brackets show those of one bracket."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def unread_trials(study: optuna.Study, unfinished: Collection[int], n_read: int) -> list[FrozenTrial]:
    """Those trials whose state may have changed since a reader last looked, in the order of their numbers.

    Storages list all trials in a time that grows with their number; of Optuna's own, the ones that are asked for are
    taken out of what they keep, once they have read what others wrote.

    Args:
        unfinished: numbers below ``n_read`` of trials that had not finished, ascending.
        n_read: the reader knows all trials with a lower number.
    """
    storage, study_id = study._storage, study._study_id
    try:
        if isinstance(storage, InMemoryStorage):
            with storage._lock:
                trials = storage._studies[study_id].trials
                return [*(trials[number] for number in unfinished), *trials[n_read:]]
        if isinstance(storage, _CachedStorage):
            storage._read_trials_from_remote_storage(study_id)
            with storage._lock:
                cached = storage._studies[study_id].trials
                return [cached[number] for number in (*unfinished, *range(n_read, len(cached)))]
        if isinstance(storage, JournalStorage):
            with storage._thread_lock:
                storage._sync_with_backend()
                kept = storage._replay_result
                ids = kept._study_id_to_trial_ids[study_id]
                return [kept._trials[ids[number]] for number in (*unfinished, *range(n_read, len(ids)))]
    except (AttributeError, LookupError):
        pass  # of a later Optuna; or a trial with a lower number is not written yet
    wanted = set(unfinished)
    return [trial for trial in all_trials(study) if trial.number >= n_read or trial.number in wanted]


def whole_study(study: optuna.Study) -> optuna.Study:
    """The whole study, where a pruner gave one bracket of it."""
    name = study._storage.get_study_name_from_id(study._study_id)
    return optuna.load_study(study_name=name, storage=study._storage)


def note(study: optuna.Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Write a system attribute of a trial, of the kind that Optuna itself writes."""
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


def database_behind(storage: object) -> RDBStorage | None:
    """The database that an Optuna storage writes, also through Optuna's cache; None if it writes none."""
    inner = storage._backend if isinstance(storage, _CachedStorage) else storage
    return inner if isinstance(inner, RDBStorage) else None


def file_behind(storage: object) -> Path | None:
    """The journal file that an Optuna storage writes; None if it writes none."""
    if not isinstance(storage, JournalStorage):
        return None
    path = getattr(storage._backend, "_file_path", None) or getattr(storage._backend, "path", None)
    return Path(path) if isinstance(path, str | Path) else None


def on_session(storage: RDBStorage, session: Callable[[], Any]) -> RDBStorage:
    """A storage of the same database that uses the sessions returned by a function."""
    other: RDBStorage = object.__new__(RDBStorage)
    other.__dict__ |= storage.__dict__ | {"scoped_session": session}
    return other


def is_lazy_generator(value: object) -> bool:
    """Whether a sampler's attribute holds a random generator that is created at its first use (``value.rng``)."""
    return type(value).__name__ == "LazyRandomState"
