"""Repeats work in a database that failed for a temporary reason: a broken connection, a restart, a lock."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from searchkit.errors import StorageError
from searchkit.storage.paths import reason_of
from searchkit.storage.waiting import is_short

WAIT = 120.0  # seconds to wait for a database that does not answer any more
PAUSES = (0.1, 0.3, 1.0, 2.0)  # seconds between attempts; the last one repeats

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# SQLSTATE codes, beside class 08: shut down, crashed, starting; too many connections; deadlocks and held locks.
_STATES = {"57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03"}
_MYSQL = {1040, 1053, 1205, 1213, 2006, 2013}  # error numbers of MySQL for the same, and "server has gone away"
_STARTING = ("starting up", "shutting down", "recovery mode", "not yet accepting connections")

log = logging.getLogger("searchkit")

T = TypeVar("T")


def passes(error: BaseException) -> bool:
    """Whether an error is temporary: a broken connection, a restart of the server, or a lock of another program."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ConnectionError) or (isinstance(link, DBAPIError) and _driver_says(link)):
            return True
        link = link.__cause__
    return False


def with_patience(operation: Callable[[], T], what: str, again: Callable[[], T] | None = None) -> T:
    """Run an operation, and repeat it while it fails for a temporary reason, for at most :data:`WAIT` seconds.

    Inside :func:`searchkit.storage.waiting.at_most` it is not repeated.

    Args:
        operation: it may run several times.
        what: the object of the work for messages, such as "study 'a'".
        again: run in place of the operation from the second time on; by default the operation.

    Raises:
        StorageError: the database did not answer in time; the message says what to do.
    """
    try:
        return operation()
    except Exception as error:
        if not passes(error) or is_short():
            raise
        failed: Exception = error
    log.warning("the database of %s does not answer (%s); trying again for up to %g seconds", what, _said(failed), WAIT)
    give_up, attempt = time.monotonic() + WAIT, 0
    while True:
        time.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
        attempt += 1
        try:
            answer = (again or operation)()
        except Exception as error:
            if not passes(error):
                raise
            if time.monotonic() < give_up:
                continue
            raise StorageError(
                f"the database of {what} did not answer for {WAIT:g} seconds ({_said(error)}): check that it runs and "
                "can be reached, and that no other program locks it; what was written is intact, and the same call "
                "continues from there"
            ) from error
        log.warning("the database of %s answers again; going on", what)
        return answer


def _driver_says(error: DBAPIError) -> bool:
    driver = error.orig
    if isinstance(driver, sqlite3.Error):
        return (getattr(driver, "sqlite_errorcode", 0) or 0) & 0xFF in _LOCKED
    state = str(getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None) or "")
    number = driver.args[0] if driver is not None and driver.args else None
    return (
        error.connection_invalidated
        or state in _STATES
        or state.startswith("08")
        or (isinstance(number, int) and number in _MYSQL)
        or any(words in str(driver) for words in _STARTING)
    )


def _said(error: BaseException) -> str:
    """The reason of the innermost error that is known."""
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return reason_of(error)
