"""The values that ``storage=`` accepts, and the paths of a study's files."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TypeGuard

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from sqlalchemy.exc import DBAPIError

from searchkit.errors import SearchkitError, StorageError, first_line_said
from searchkit.storage.database import check_url, open_database, settled_url, sqlite_path
from searchkit.storage.journal import JournalFile
from searchkit.storage.optuna_compat import database_behind, file_behind, quiet
from searchkit.storage.places import check_file, check_folder
from searchkit.storage.urls import is_url, shown
from searchkit.surroundings import settled

StorageLike = str | Path | BaseStorage | None  # the values of ``storage=``, see :func:`open_storage`

FOLDER = "searchkit-runs"
SUFFIX = ".journal"


def check_storage(storage: object) -> None:
    """Refuse a value that cannot be a storage, before any work.

    Raises:
        StorageError: it is no storage, or a URL that cannot be used; the message says why.
    """
    if storage is not None and not isinstance(storage, str | Path | BaseStorage):
        raise StorageError(
            f"storage {storage!r} is not known: give a folder, a .journal file, 'memory', an SQLAlchemy URL such as "
            "'sqlite:///study.db', or an Optuna storage"
        )
    if is_url(storage):
        check_url(storage)
        file = sqlite_path(storage)
        if file is not None:
            check_file(file)
    elif isinstance(storage, str | Path) and storage != "memory":
        path = settled(storage or FOLDER)
        (check_file if _names_a_file(path) else check_folder)(path)


def check_place(storage: StorageLike, name: str) -> None:
    """Refuse, before any work, a study whose journal file cannot be written.

    Raises:
        StorageError: something that is no file has its path.
    """
    if is_file(storage) and storage != "memory":
        check_file(journal_path(storage, name))


def settled_storage(storage: StorageLike) -> StorageLike:
    """The storage with an absolute path of its file, folder or SQLite database, for a later change of folder."""
    if isinstance(storage, BaseStorage):
        return storage
    return settled_url(storage) if is_url(storage) else _file_or_folder(storage)


def open_storage(storage: StorageLike, name: str, *, write: bool = True) -> tuple[BaseStorage, JournalFile | None]:
    """Open the Optuna storage that ``storage=`` stands for; also return its journal file, if it has one.

    Args:
        storage: None (a journal file in ``searchkit-runs/``), a folder, a ``.journal`` file, an SQLAlchemy URL
            (``sqlite:///study.db``) or an Optuna storage object.
        name: of the study; names the journal file in a folder.
        write: False to only read, in which case nothing is created.

    Raises:
        StorageError: the storage cannot be opened or written; the message gives the reason.
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


def cannot_open(storage: object, error: Exception) -> StorageError:
    """The error for a storage that cannot be opened."""
    return StorageError(f"storage {shown(storage or FOLDER)!r} cannot be opened: {reason_of(error)}")


def place_of(storage: BaseStorage) -> str:
    """The place of an Optuna storage as text for messages: its file, or the URL of its database."""
    database = database_behind(storage)
    if database is not None:
        return shown(database.url)
    path = file_behind(storage)
    return type(storage).__name__ if path is None else str(path)


def is_file(storage: object) -> TypeGuard[str | Path | None]:
    """Whether the storage is a journal file, and not a database or an Optuna storage."""
    return not isinstance(storage, BaseStorage) and not is_url(storage)


def check_name(name: str) -> str:
    """The name of a study, or StorageError where it cannot be the name of a file."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.+ -]*", name):
        raise StorageError(f"a study's name is made of letters, digits, '.', '-', '_' and spaces, not {name!r}")
    return name


def journal_path(storage: str | Path | None, name: str) -> Path:
    """The journal file of a study: the file given, or one named after it in the folder given."""
    path = _file_or_folder(storage)
    return path if _names_a_file(path) else path / f"{check_name(name)}{SUFFIX}"


def journals_in(folder: Path) -> list[Path]:
    """The journal files of a folder by name; a file that is called ``.journal`` is that of no study."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.name != SUFFIX)


def _names_a_file(path: Path) -> bool:
    return path.suffix in (SUFFIX, ".log")


def _file_or_folder(storage: str | Path | None) -> Path:
    path = settled(storage or FOLDER)
    if path.suffix in (".db", ".sqlite", ".sqlite3") and not path.is_dir():
        raise StorageError(f"storage '{storage}' names a database: write 'sqlite:///{storage}'")
    return path


def networks_folder(storage: StorageLike, name: str, home: Path | None = None) -> Path:
    """The folder of a study's trained networks: beside its journal, or in ``searchkit-runs/``.

    Studies of the same name in different journals or databases have different folders. For a storage in memory, it is a
    temporary folder that is deleted with the storage.

    Args:
        home: the folder in place of ``searchkit-runs/``.
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
        assert isinstance(storage, BaseStorage)
        return _temporary(storage) / f"{check_name(name)}.networks"
    digest = hashlib.blake2b(str(address).encode(), digest_size=3).hexdigest()
    return (home or settled(FOLDER)) / f"{check_name(name)}-{digest}.networks"


def reason_of(error: BaseException) -> str:
    """The class and the first line of an error, or of the driver's error that Optuna or SQLAlchemy wrapped in it."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__  # Optuna's own message blames the data, whatever the cause
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    said = first_line_said(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


_temporaries: weakref.WeakKeyDictionary[BaseStorage, Path] = weakref.WeakKeyDictionary()


def _temporary(storage: BaseStorage) -> Path:
    if storage not in _temporaries:
        _temporaries[storage] = Path(tempfile.mkdtemp(prefix="searchkit-"))
        weakref.finalize(storage, shutil.rmtree, _temporaries[storage], ignore_errors=True)
    return _temporaries[storage]
