"""Where a study is kept: what ``storage=`` means, which files belong to it, and who may write them."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import filelock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy import make_url

from searchkit._optuna import quiet
from searchkit.errors import SearchkitError, StorageError
from searchkit.journal import JournalFile, check_journal, drop_stale_lock

FOLDER = "searchkit-runs"
SUFFIX = ".journal"


def check_storage(storage: Any) -> None:
    """Refuse what cannot be a storage, before any work.

    Raises:
        StorageError: it says what a storage may be.
    """
    if storage is not None and not isinstance(storage, str | Path | BaseStorage):
        raise StorageError(
            f"storage {storage!r} is not known: give a folder, a .journal file, 'memory', an SQLAlchemy URL such as "
            "'sqlite:///study.db', or an Optuna storage"
        )


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
            if "://" in str(storage or ""):
                return _database(str(storage), write), None
            journal = JournalFile(journal_path(storage, name), write=write)
            return JournalStorage(journal), journal
    except SearchkitError:
        raise
    except Exception as error:
        raise StorageError(f"storage {str(storage or FOLDER)!r} cannot be opened: {first_line(error)}") from error


def is_file(storage: Any) -> bool:
    """Whether the storage is a journal file, and not a database or an object of Optuna's."""
    return not isinstance(storage, BaseStorage) and "://" not in str(storage or "")


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
    backend = getattr(getattr(storage, "_backend", None), "_file_path", None)  # Optuna's own journal file
    address = storage if isinstance(storage, str) else getattr(storage, "url", backend)
    if address is None:
        return _temporary(storage) / f"{check_name(name)}.networks"
    digest = hashlib.blake2b(str(address).encode(), digest_size=3).hexdigest()
    return Path(FOLDER) / f"{check_name(name)}-{digest}.networks"


def sqlite_path(url: Any) -> Path | None:
    """The file of an SQLite database that a URL or an Optuna storage names, or None."""
    text = str(getattr(url, "url", url) or "")
    if not re.match(r"sqlite(\+\w+)?:///", text):
        return None
    database = make_url(text).database
    return Path(database) if database and database != ":memory:" else None


def claim(storage: Any, name: str) -> filelock.BaseFileLock | None:
    """A lock that the operating system releases with the process, so that one search drives a journal file."""
    database = None if is_file(storage) else sqlite_path(storage)
    if not is_file(storage) and database is None:
        return None
    path = database or journal_path(storage, name)
    if not database:
        check_journal(path)
    own = f".{check_name(name)}" if database else ""  # a database may be written by several searches, a study by one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}{own}.driver"), timeout=0)
        lock.acquire()
        if not database:
            drop_stale_lock(path)
    except filelock.Timeout:
        raise StorageError(
            f"study '{name}' in {path} is being written by another search; wait for it, or give another name"
        ) from None
    except OSError as error:
        raise StorageError(f"storage '{storage or FOLDER}' cannot be written: {first_line(error)}") from error
    return lock


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _database(url: str, write: bool) -> RDBStorage:
    path = sqlite_path(url)
    if not write and path is not None and not path.exists():
        raise StorageError(f"storage '{url}' is not there")
    return RDBStorage(url, skip_table_creation=not write)


_temporaries: weakref.WeakKeyDictionary[BaseStorage, Path] = weakref.WeakKeyDictionary()


def _temporary(storage: BaseStorage) -> Path:
    if storage not in _temporaries:
        _temporaries[storage] = Path(tempfile.mkdtemp(prefix="searchkit-"))
        weakref.finalize(storage, shutil.rmtree, _temporaries[storage], ignore_errors=True)
    return _temporaries[storage]
