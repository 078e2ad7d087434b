"""The one connection on which a search writes an SQL database: it claims the study, and commits what belongs together.

The claim is a lock of the server's that lives as long as the connection. Since the search writes on the same one, a
server that still commits what a killed search sent last has not released its claim, and a search whose connection broke
writes nothing more.
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
from sqlalchemy.orm import Session

from searchkit.storage.optuna_compat import on_session
from searchkit.storage.owners import in_use, this_process

PATIENCE = 2.0  # seconds for a server to notice that the search that held the study was killed

_POSTGRESQL = {
    "where": "SELECT concat(current_database(), '.', current_schema())",
    "claim": "SELECT pg_try_advisory_lock(:key)",
    "release": "SELECT pg_advisory_unlock(:key)",
    "sign": "SELECT set_config('application_name', :name, false)",
    # a training may take long, and a machine that lost its power must not keep the study for two hours
    "stay": "SELECT set_config(name, CASE name WHEN 'idle_session_timeout' THEN '0' ELSE '20' END, false) "
    "FROM pg_settings WHERE name IN ('idle_session_timeout', 'tcp_keepalives_idle', 'tcp_keepalives_interval')",
    "holder": "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND ((l.classid::bigint << 32) | l.objid::bigint) = :key "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
}
_MYSQL = {
    "where": "SELECT DATABASE()",
    "claim": "SELECT GET_LOCK(CONCAT('searchkit ', :key), 0)",
    "release": "SELECT RELEASE_LOCK(CONCAT('searchkit ', :key))",
    "stay": "SET SESSION wait_timeout = 2000000",
    "holder": "SELECT CONCAT('connection ', IS_USED_LOCK(CONCAT('searchkit ', :key)))",
}
_LOCKS = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}


class DatabaseWriter:
    """An SQL database, to be written by one search.

    Attributes:
        storage: Optuna's storage, on this one connection.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self._statements = _LOCKS.get(storage.engine.dialect.name)
        self._connection: Connection = storage.engine.connect()
        if self._statements:
            self._connection.detach()  # ends with this search; what it leaves behind is no business of the pool's
        self._group: _Group | None = None
        self._key: int | None = None
        self.storage = on_session(storage, self._session)
        _writers.add(self)

    def claim(self, name: str) -> bool:
        """Lock a study until :meth:`close` or the end of the process; False where the database has no such locks.

        Raises:
            StorageError: another search has it open; it says which.
        """
        if self._statements is None:
            return False
        digest = hashlib.blake2b(f"{self._ask('where')} {name}".encode(), digest_size=8, person=b"searchkit").digest()
        key = int.from_bytes(digest, "big", signed=True)
        self._ask("sign", name=f"searchkit, {this_process()}"[:63])
        self._ask("stay")
        give_up = time.monotonic() + PATIENCE
        while not self._ask("claim", key=key):
            if time.monotonic() > give_up:
                raise in_use(name, "the database", self._ask("holder", key=key))
            time.sleep(0.1)
        self._key = key
        return True

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Operations inside become one transaction; nothing is written where an exception leaves."""
        self._group = group = _Group(bind=self._connection, autoflush=False)  # it flushes after every operation
        try:
            yield
            group.end()
        finally:
            self._group = None
            Session.close(group)  # takes back what was not committed

    def close(self) -> None:
        """Release the study and the connection."""
        _writers.discard(self)
        with contextlib.suppress(Exception):  # a server that is gone has released it
            if self._key is not None:
                self._ask("release", key=self._key)
        with contextlib.suppress(Exception):
            self._connection.close()

    def _session(self) -> Session:
        """What Optuna works on: it commits and closes after every operation, and tries some again."""
        if self._connection.invalidated:
            raise ConnectionError("the connection to the database broke")  # on a new one, nothing would be claimed
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
    """Does at the end what Optuna asks for after every operation."""

    broken = False

    def commit(self) -> None:
        self.flush()

    def rollback(self) -> None:
        self.broken = True  # what came before is taken back too, so what comes after must not be committed
        super().rollback()

    def close(self) -> None:
        pass

    def check(self) -> None:
        if self.broken:
            raise OSError("the database took back a part of what belongs together")

    def end(self) -> None:
        self.check()
        super().commit()


_writers: weakref.WeakSet[DatabaseWriter] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    """In a forked process (a worker): its copy of the socket would keep the claim when the search is killed."""
    for writer in list(_writers):
        with contextlib.suppress(Exception):
            driver: Any = writer._connection.connection.dbapi_connection
            opened = driver.fileno() if hasattr(driver, "fileno") else driver._sock.fileno()
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, opened, inheritable=False)
            os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
