"""Where a study is kept: what ``storage=`` means, and which files belong to it."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from sqlalchemy.exc import DBAPIError

from searchkit.errors import SearchkitError, StorageError
from searchkit.storage.database import check_url, is_url, open_database, shown
from searchkit.storage.journal import JournalFile
from searchkit.storage.optuna_compat import database_behind, file_behind, quiet

FOLDER = "searchkit-runs"
SUFFIX = ".journal"


def check_storage(storage: Any) -> None:
    """Refuse what cannot be a storage, before any work.

    Raises:
        StorageError: it says what a storage may be, or what a database's URL lacks.
    """
    if storage is not None and not isinstance(storage, str | Path | BaseStorage):
        raise StorageError(
            f"storage {storage!r} is not known: give a folder, a .journal file, 'memory', an SQLAlchemy URL such as "
            "'sqlite:///study.db', or an Optuna storage"
        )
    if is_url(storage):
        check_url(storage)


def open_storage(storage: Any, name: str, *, write: bool = True) -> tuple[BaseStorage, JournalFile | None]:
    """The Optuna storage that a user means.

    Args:
        storage: None (a journal file in ``searchkit-runs/``), a folder, a ``.journal`` file, an SQLAlchemy URL
            (``sqlite:///study.db``) or an Optuna storage object.
        name: of the study; names the journal file in a folder.
        write: False to read only: nothing is created.

    Raises:
        StorageError: it cannot be opened or written; the reason is given.
    """
    if isinstance(storage, BaseStorage):
        return storage, None
    try:
        with quiet():
            if is_url(storage):
                return open_database(storage, write=write), None
            journal = JournalFile(journal_path(storage, name), write=write)
            return JournalStorage(journal), journal
    except SearchkitError:
        raise
    except Exception as error:
        raise cannot_open(storage, error) from error


def cannot_open(storage: Any, error: Exception) -> StorageError:
    """The sentence for a storage that is there and cannot be used."""
    return StorageError(f"storage {shown(storage or FOLDER)!r} cannot be opened: {first_line(error)}")


def is_file(storage: Any) -> bool:
    """Whether the storage is a journal file, and not a database or an object of Optuna's."""
    return not isinstance(storage, BaseStorage) and not is_url(storage)


def check_name(name: str) -> str:
    """A study's name, if it can be a file's."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.+ -]*", name):
        raise StorageError(f"a study's name is made of letters, digits, '.', '-', '_' and spaces, not {name!r}")
    return name


def journal_path(storage: str | Path | None, name: str) -> Path:
    """The journal file of a study: the file given, or one named after it in the folder given."""
    path = Path(storage or FOLDER)
    if path.suffix in (".db", ".sqlite", ".sqlite3") and not path.is_dir():
        raise StorageError(f"storage '{storage}' names a database: write 'sqlite:///{storage}'")
    return path if path.suffix in (SUFFIX, ".log") else path / f"{check_name(name)}{SUFFIX}"


def networks_folder(storage: Any, name: str) -> Path:
    """Where the trained networks of a study are kept: beside its journal, or in ``searchkit-runs/``.

    Studies of one name in two journals or two databases have two folders; those of a storage that lives in memory
    have one that goes with it.
    """
    if is_file(storage):
        journal = journal_path(storage, name)
        stem = "" if journal.stem == name else f"{journal.stem}."
        return journal.parent / f"{stem}{check_name(name)}.networks"
    address = (
        storage
        if isinstance(storage, str)
        else getattr(database_behind(storage) or storage, "url", file_behind(storage))
    )
    if address is None:
        return _temporary(storage) / f"{check_name(name)}.networks"
    digest = hashlib.blake2b(str(address).encode(), digest_size=3).hexdigest()
    return Path(FOLDER) / f"{check_name(name)}-{digest}.networks"


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__  # Optuna's own words are of invalid data, whatever happened
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


_temporaries: weakref.WeakKeyDictionary[BaseStorage, Path] = weakref.WeakKeyDictionary()


def _temporary(storage: BaseStorage) -> Path:
    if storage not in _temporaries:
        _temporaries[storage] = Path(tempfile.mkdtemp(prefix="searchkit-"))
        weakref.finalize(storage, shutil.rmtree, _temporaries[storage], ignore_errors=True)
    return _temporaries[storage]
