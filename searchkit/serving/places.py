"""Where the studies of a storage are, and by what one sees cheaply that a record has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from searchkit.errors import StorageError
from searchkit.results.found_studies import readable_in
from searchkit.storage.database import sqlite_path
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.paths import FOLDER, StorageLike, is_file, journals_in, open_storage
from searchkit.storage.places import look_at
from searchkit.storage.urls import is_url, shown
from searchkit.surroundings import settled

Stamp = tuple[object, ...]  # compared for equality only


def places(storage: StorageLike) -> Sequence[StorageLike]:
    """The journal files of a folder, in the order of their names; else the file, database or Optuna storage itself.

    Raises:
        StorageError: it was given and does not exist. That nothing was searched in the default folder is no error.
    """
    if not is_file(storage):
        path = sqlite_path(storage) if is_url(storage) else None
        if path is not None and look_at(path) is None:
            raise StorageError(f"storage '{shown(storage)}' does not exist")
        return [storage]
    path = settled(storage or FOLDER)
    mode = look_at(path)
    if mode is None and storage is not None:
        raise StorageError(f"storage '{shown(storage)}' does not exist")
    if path.is_dir():
        return journals_in(path)
    return [path] if mode is not None else []


def stamp(place: StorageLike) -> Stamp:
    """Changes whenever what is recorded at a place does; no lock is taken and nothing of a file is read.

    Of a file: which one it is, its size, when it was written and when its permissions changed. Of a server: numbers of
    trials, and its notes.

    Raises:
        StorageError: a server does not answer.
        OSError: the file cannot be looked at.
    """
    if is_file(place):
        return _of_file(settled(place or FOLDER))
    path = sqlite_path(place)
    if path is None:
        return tuple(fingerprints(place).items())
    ahead = path.with_name(f"{path.name}-wal")  # what is written in the mode "wal" stands there first
    return (*_of_file(path), *(_of_file(ahead) if ahead.exists() else ()))


def fingerprints(place: StorageLike) -> dict[str, str]:
    """For each study of a database, by name, a text that changes when the study does, in a few short queries.

    Raises:
        StorageError: the database cannot be read.
    """
    with _opened(place) as storage:
        found = {}
        for study in storage.get_all_studies():
            if "searchkit" in study.user_attrs:
                number = storage.get_study_id_from_name(study.study_name)
                counts = [storage.get_n_trials(number, state) for state in (None, TrialState.RUNNING, TrialState.FAIL)]
                notes = json.dumps(study.user_attrs, sort_keys=True, default=str)
                digest = hashlib.blake2b(f"{number} {counts} {notes}".encode(), digest_size=8).hexdigest()
                found[study.study_name] = digest
        return found


@contextmanager
def _opened(place: StorageLike) -> Iterator[BaseStorage]:
    """A database, opened for reading."""
    with quiet(), readable_in(place):
        opened, _ = open_storage(place, "", write=False)
        try:
            yield opened
        finally:
            if is_url(place) and isinstance(opened, RDBStorage):
                opened.engine.dispose()


def _of_file(path: Path) -> Stamp:
    try:
        seen = path.stat()
    except FileNotFoundError:
        raise
    except OSError:
        look_at(path)  # which says of a link that leads back to itself what it is
        raise
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns  # the last changes with who may read it
