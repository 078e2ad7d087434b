"""A single connection with which a search claims its study in an SQL database, and writes related changes at once.

The claim is a lock of the server, which is held as long as the connection exists. The search writes on the same
connection. So while the server still commits the last changes of a killed search, the claim is not released; and a
search that has lost its connection, and with it the claim, cannot write before it has claimed the study again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Iterator
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from searchkit.storage.optuna_compat import on_session
from searchkit.storage.owners import ClaimedByAnotherError, in_use, this_process
from searchkit.storage.paths import reason_of
from searchkit.storage.pymysql_compat import socket_of

PATIENCE = 2.0  # seconds that a server may take to notice that the process with the claim was killed

_POSTGRESQL = {
    "where": "SELECT concat(current_database(), '.', current_schema())",
    "claim": "SELECT pg_try_advisory_lock(:key)",
    "release": "SELECT pg_advisory_unlock(:key)",
    "sign": "SELECT set_config('application_name', :name, false)",
    # A session may be idle during a long training, and a machine without power must not keep the claim for two hours.
    "stay": "SELECT set_config(name, CASE name WHEN 'idle_session_timeout' THEN '0' ELSE '20' END, false) "
    "FROM pg_settings WHERE name IN ('idle_session_timeout', 'tcp_keepalives_idle', 'tcp_keepalives_interval')",
    "owner": "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND ((l.classid::bigint << 32) | l.objid::bigint) = :key "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
}
_MYSQL = {
    "where": "SELECT DATABASE()",
    "claim": "SELECT GET_LOCK(CONCAT('searchkit ', :key), 0)",
    "release": "SELECT RELEASE_LOCK(CONCAT('searchkit ', :key))",
    "stay": "SET SESSION wait_timeout = 2000000",
    "owner": "SELECT CONCAT('connection ', IS_USED_LOCK(CONCAT('searchkit ', :key)))",
}
_LOCKS = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}


class DatabaseWriter:
    """Writes an SQL database on behalf of one search.

    Attributes:
        storage: an Optuna storage that uses this connection only.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self._statements = _LOCKS.get(storage.engine.dialect.name)
        self._engine = storage.engine
        self._connection = self._connect()
        self._group: _Group | None = None
        self._key: int | None = None
        self._name = ""
        self.storage = on_session(storage, self._session)
        _writers.add(self)

    def claim(self, name: str) -> bool:
        """Lock a study until :meth:`close` or the end of the process; False where the database has no such locks.

        Raises:
            StorageError: another search is writing the study; the message names its process, where known.
        """
        if self._statements is None:
            return False
        digest = hashlib.blake2b(f"{self._ask('where')} {name}".encode(), digest_size=8, person=b"searchkit").digest()
        key = int.from_bytes(digest, "big", signed=True)
        self._lock(name, key)
        self._key, self._name = key, name
        return True

    def renew(self) -> None:
        """Connect and claim the study again, if the connection broke.

        Raises:
            ConnectionError: the server cannot be reached, or has not noticed yet that the old connection is gone.
            StorageError: another search has claimed the study meanwhile.
        """
        if self._key is None or not (self._connection.invalidated or self._connection.closed):
            return  # the claim is still held
        self._part()
        try:
            self._engine.dispose()  # other pooled connections are broken, too
            self._connection = self._connect()
            self._lock(self._name, self._key)
        except ClaimedByAnotherError as error:
            self._part()
            if _signed() in str(error):
                raise ConnectionError("the server has not ended the connection that broke") from error
            raise
        except DBAPIError as error:
            self._part()
            raise ConnectionError(reason_of(error)) from error

    def _part(self) -> None:
        """Close a connection that holds no claim."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        if self._statements:
            connection.detach()  # it is closed with this search, and not returned to the pool
        return connection

    def _lock(self, name: str, key: int) -> None:
        self._ask("sign", name=_signed())
        self._ask("stay")
        give_up = time.monotonic() + PATIENCE
        while not self._ask("claim", key=key):
            if time.monotonic() > give_up:
                raise in_use(name, "the database", self._ask("owner", key=key))
            time.sleep(0.1)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make the operations inside one transaction; after an exception inside, nothing is written."""
        self._group = group = _Group(bind=self._connection, autoflush=False)  # commit() flushes after every operation
        try:
            yield
            group.end()
        finally:
            self._group = None
            Session.close(group)  # rolls back what was not committed

    def close(self) -> None:
        """Release the study and the connection."""
        _writers.discard(self)
        with contextlib.suppress(Exception):  # if the server is gone, so is the claim
            if self._key is not None:
                self._ask("release", key=self._key)
        with contextlib.suppress(Exception):
            self._connection.close()

    def _session(self) -> Session:
        """The session for Optuna, which commits and closes it after every operation, and retries some operations."""
        if self._connection.invalidated or self._connection.closed:
            raise ConnectionError("the connection to the database broke")  # a new one would have no claim
        if self._group is None:
            return Session(bind=self._connection)
        self._group.check()
        return self._group

    def _ask(self, what: str, **given: Any) -> Any:
        assert self._statements is not None
        if what not in self._statements:
            return None
        result = self._connection.execute(text(self._statements[what]), given)
        answer = result.scalar() if result.returns_rows else None
        self._connection.commit()
        return answer


class _Group(Session):
    """A session that commits at the end of a group, and not whenever Optuna asks for it."""

    broken = False

    def commit(self) -> None:
        self.flush()

    def rollback(self) -> None:
        self.broken = True  # earlier operations are rolled back too, so later ones must not be committed
        super().rollback()

    def close(self) -> None:
        pass

    def check(self) -> None:
        if self.broken:
            raise OSError("the database took back a part of changes that belong together")

    def end(self) -> None:
        self.check()
        super().commit()


def _signed() -> str:
    """The name that this process gives its connections; PostgreSQL keeps 63 bytes."""
    return f"searchkit, {this_process()}"[:63]


_writers: weakref.WeakSet[DatabaseWriter] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    """Close a forked process's copy of the socket, which would otherwise keep the claim when the parent is killed."""
    for writer in list(_writers):
        with contextlib.suppress(Exception):
            opened = socket_of(writer._connection.connection.dbapi_connection)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, opened, inheritable=False)
            os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
