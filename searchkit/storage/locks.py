"""Claims: one search at a time may write a study, and its claim ends at the latest with its process."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import filelock
from optuna.storages import BaseStorage, InMemoryStorage

from searchkit.errors import SearchkitError, StorageError
from searchkit.storage.database import sqlite_path
from searchkit.storage.journal import check_journal, drop_stale_lock
from searchkit.storage.optuna_compat import database_behind, file_behind
from searchkit.storage.owners import in_use, namespace, signature_in, this_process
from searchkit.storage.paths import (
    StorageLike,
    cannot_open,
    check_name,
    check_place,
    is_file,
    journal_path,
    open_storage,
    reason_of,
)
from searchkit.storage.places import LONGEST_FILE, check_file
from searchkit.storage.transactions import DatabaseWriter
from searchkit.storage.urls import is_url, shown


@dataclass(frozen=True)
class Claim:
    """A storage in which one study is claimed.

    Attributes:
        storage: the Optuna storage to write to.
        together: context in which operations are written together or not at all, where the storage supports that.
        alone: whether the claim prevents all other searches from writing the study; False if the storage has no locks.
        release: ends the claim.
        renew: makes a database usable again after a temporary failure: if the connection broke, it connects and claims
            the study again. It raises ClaimedByAnotherError if another search has claimed the study meanwhile. None
            for storages that are no database.
    """

    storage: BaseStorage
    together: Callable[[], AbstractContextManager[None]]
    alone: bool
    release: Callable[[], None]
    renew: Callable[[], None] | None = None


def claim_study(storage: StorageLike, name: str) -> Claim:
    """Open a storage to write one study, and claim the study.

    For a journal file or an SQLite database, the claim is a lock of the operating system on a file beside it; for other
    databases, a lock of the server. An Optuna object is claimed within this process, and through the file or database
    that it writes.

    Raises:
        StorageError: another search is writing the study, or the storage cannot be opened or written.
    """
    with ExitStack() as stack:
        check_place(storage, name)
        alone = isinstance(storage, InMemoryStorage)
        if isinstance(storage, BaseStorage):
            stack.callback(_claim_object(storage, name))
        path = lock_path(storage, name)
        if path is not None:
            stack.callback(_claim_file(path, storage, name))
            alone = is_file(storage) or database_behind(storage) is not None
        opened, journal = open_storage(storage, name)
        together: Callable[[], AbstractContextManager[None]] = journal.together if journal else contextlib.nullcontext
        renew: Callable[[], None] | None = None
        database = database_behind(opened)
        if database is not None:
            try:
                if is_url(storage):
                    stack.callback(database.engine.dispose)
                writer = DatabaseWriter(database)
                stack.callback(writer.close)
                alone = writer.claim(name) or alone or database.url.startswith("sqlite")
            except SearchkitError:
                raise
            except Exception as error:
                raise cannot_open(storage, error) from error
            opened, together, renew = writer.storage, writer.together, writer.renew
        return Claim(opened, together, alone, stack.pop_all().close, renew)


def lock_path(storage: StorageLike, name: str) -> Path | None:
    """The file whose lock claims a study, or all of a journal file; None for servers and storages in memory.

    Raises:
        StorageError: the storage is a folder, and no study can have this name there.
    """
    if is_file(storage):
        path = journal_path(storage, name).resolve()
        return path.with_name(f".{path.name}.driver")
    shared = sqlite_path(database_behind(storage) or storage) or file_behind(storage)
    if shared is None:
        return None
    shared = shared.resolve()
    lock = f".{shared.name}.{check_name(name)}.driver"
    if len(lock.encode()) > LONGEST_FILE:
        lock = f".{shared.name}.{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.driver"
    return shared.with_name(lock)


def _claim_file(path: Path, storage: StorageLike, name: str) -> Callable[[], None]:
    journal = journal_path(storage, name) if is_file(storage) else None
    if journal is not None:
        check_journal(journal)
    check_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path, timeout=0)
        lock.acquire()
        if journal is not None:
            drop_stale_lock(journal)
    except filelock.Timeout:
        owner = (signature_in(path) or "").partition("\n")[0]
        raise in_use(name, str(journal or shown(storage)), owner) from None
    except OSError as error:
        raise StorageError(f"storage '{shown(storage)}' cannot be written: {reason_of(error)}") from error
    with contextlib.suppress(OSError):  # some systems cannot write a locked file; the owner is then unknown to others
        path.write_text(f"{this_process()}\n{namespace()}")
    return lock.release


_claimed: weakref.WeakKeyDictionary[BaseStorage, set[str]] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def _claim_object(storage: BaseStorage, name: str) -> Callable[[], None]:
    with _guard:
        names = _claimed.setdefault(storage, set())
        if name in names:
            raise in_use(name, f"this {type(storage).__name__}", "in this process")
        names.add(name)
    return lambda: names.discard(name)
