"""URLs of databases: choosing a driver and its timeouts, and checking that the installed Optuna can read the tables."""

from __future__ import annotations

import importlib.util
import math
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from searchkit.errors import StorageError, nearest
from searchkit.storage.urls import DATABASES, EXAMPLES, check_form, nearest_form, shown
from searchkit.storage.waiting import limited
from searchkit.surroundings import settled

CONNECT = 10  # seconds to wait for an answer of the server
ANSWER = 60_000  # milliseconds after which a connection on which nothing arrives is taken for broken
LOCKED = 60  # seconds to wait while another process writes the same SQLite file
_INSTALL = {"psycopg": '"searchkit-nas[postgresql]"', "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_SETTINGS: dict[str, dict[str, Any]] = {  # arguments of a connection, by driver
    "pysqlite": {"timeout": LOCKED},
    "psycopg": {"connect_timeout": CONNECT, "keepalives_idle": 60, "tcp_user_timeout": ANSWER},
    "psycopg2": {"connect_timeout": CONNECT, "keepalives_idle": 60, "tcp_user_timeout": ANSWER},
    "pymysql": {"connect_timeout": CONNECT},
    "mysqldb": {"connect_timeout": CONNECT},
}

_PATIENCE = ("timeout", "connect_timeout")  # those that are seconds to wait, whole ones


def check_url(url: str) -> URL:
    """Parse a database's URL, and complete it with an installed driver; no connection is made.

    Raises:
        StorageError: the URL is malformed, the kind of database is unknown, or its driver is not installed; no message
            has its password.
    """
    check_form(url)
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            old = _is_installed("psycopg2") and not _is_installed("psycopg")
            parsed = parsed.set(drivername="postgresql+psycopg2" if old else "postgresql+psycopg")
        _check_parts(parsed, url)
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError as error:
        kind = parsed.get_backend_name()
        near = nearest(kind, DATABASES)
        raise StorageError(
            f"storage {shown(url)!r} names a database '{kind}' that is not known: choose from {', '.join(DATABASES)}."
            + (f" Did you mean '{near}', as in {nearest_form(url)}?" if near else "")
        ) from error
    except (ArgumentError, ValueError):  # whose messages may have the password
        raise StorageError(f"storage {shown(url)!r} is no database's URL: write {EXAMPLES}. {_ENCODE}") from None
    except ImportError as error:
        package = _INSTALL.get(error.name or "", error.name)
        raise StorageError(
            f"storage {shown(url)!r} needs the package {error.name}, which is not installed: pip install {package}"
        ) from error
    return parsed


def open_database(url: str, *, write: bool = True) -> RDBStorage:
    """Open the Optuna storage at a URL.

    Args:
        url: of the database.
        write: False to only read, in which case nothing is created.

    Raises:
        StorageError: the database does not exist, or its tables are those of another version of Optuna.
        SQLAlchemyError, StorageInternalError: the database cannot be connected to or read.
    """
    path = sqlite_path(url)
    if not write and path is not None and not path.exists():
        raise StorageError(f"storage {shown(url)!r} does not exist")
    parsed = check_url(settled_url(url))
    usual = _SETTINGS.get(parsed.get_dialect().driver, {})
    settings = {key: math.ceil(limited(value)) if key in _PATIENCE else value for key, value in usual.items()}
    given: dict[str, Any] = {
        "url": parsed.render_as_string(hide_password=False),
        "engine_kwargs": {"connect_args": {key: settings[key] for key in settings.keys() - parsed.query.keys()}},
        "skip_compatibility_check": True,
        "skip_table_creation": not write,
    }
    for patience in (0.2, 1.0, 0.0):
        try:
            storage = RDBStorage(**given)
            break
        except (SQLAlchemyError, StorageInternalError) as error:
            no_connection = isinstance(error, OperationalError) and path is None
            if not write or no_connection or _is_broken(error) or not patience:
                raise
            time.sleep(patience)  # another process may be creating the same tables
    try:
        _check_schema(storage, url)
    except BaseException:
        storage.engine.dispose()
        raise
    return storage


def _is_broken(error: Exception) -> bool:
    """Whether SQLite says that a file is no database or a damaged one, which it says of none that is being created."""
    driver = getattr(error, "orig", None)
    code = getattr(driver, "sqlite_errorcode", 0) if isinstance(driver, sqlite3.Error) else 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def sqlite_path(url: object) -> Path | None:
    """The file of the SQLite database that a URL or an Optuna storage uses; None if it uses no such file."""
    text = str(getattr(url, "url", url) or "")
    if not re.match(r"sqlite(\+\w+)?:///", text):
        return None
    database = make_url(text).database or ""
    if database in ("", ":memory:") or "mode=memory" in text:
        return None
    return settled(database.removeprefix("file:"))


def settled_url(url: str) -> str:
    """The URL of an SQLite database with the absolute path of its file; any other URL as it is."""
    path = sqlite_path(url)
    if path is None:
        return url
    parsed = make_url(url)
    scheme = "file:" if (parsed.database or "").startswith("file:") else ""
    return parsed.set(database=f"{scheme}{path}").render_as_string(hide_password=False)


_ENCODE = "In a user's name or password, '@' is written as %40, ':' as %3A, '/' as %2F, '?' as %3F and '#' as %23"


def _check_parts(parsed: URL, url: str) -> None:
    """Refuse a URL whose parts were divided wrongly, since later errors would show the password as part of a name."""
    if parsed.get_backend_name() == "sqlite":
        if parsed.host or parsed.username:
            raise StorageError(f"storage {shown(url)!r} is no file: write {nearest_form(url)}")
        return
    login = [parsed.host or "", parsed.database or "", *map(str, (parsed.query.get("host", ""),))]
    if any("@" in part for part in login) or ":" in (parsed.username or ""):
        raise StorageError(f"storage {shown(url)!r} is no database's URL: write {EXAMPLES}. {_ENCODE}")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _check_schema(storage: RDBStorage, url: str) -> None:
    found, newest = storage.get_current_version(), _newest_schema(storage)
    if found == newest:
        return
    if found in storage.get_all_versions():
        raise StorageError(
            f"storage {shown(url)!r} was made by an older Optuna (tables {found}): bring it up to date with 'optuna "
            f"storage upgrade --storage {shown(url)}'"
        )
    raise StorageError(
        f"storage {shown(url)!r} was made by a newer Optuna (tables {found}) than the one installed, which reads up to "
        f"{newest}: pip install --upgrade optuna"
    )


# Version of the tables that the installed Optuna writes; cached, because finding it reads a folder of files.
_newest: list[str] = []


def _newest_schema(storage: RDBStorage) -> str:
    if not _newest:
        _newest.append(storage.get_head_version())
    return _newest[0]
