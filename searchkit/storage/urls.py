"""URLs of databases as text: recognising them, correcting mistyped ones, and showing them without the password."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TypeGuard

from searchkit.errors import StorageError

DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
EXAMPLES = "'sqlite:///study.db' or 'postgresql://user:password@host/database'"
_ALSO = {"postgres": "postgresql", "psql": "postgresql", "pg": "postgresql", "pgsql": "postgresql", "maria": "mariadb"}
_PLAIN = {  # settings in a URL's query whose values are no secrets
    "application_name", "cache", "channel_binding", "charset", "client_encoding", "connect_timeout", "database",
    "dbname", "driver",
    "gssencmode", "host", "hostaddr", "keepalives", "keepalives_idle", "keepalives_interval", "local_infile",
    "mode", "nolock", "port", "read_timeout", "ssl", "sslmode", "target_session_attrs", "timeout", "unix_socket", "uri",
    "user", "username", "vfs", "write_timeout",
}  # fmt: skip
_BEGINS = re.compile(r"\s*(?P<kind>[A-Za-z][\w.+-]+)?(?P<between>[:;/\\]*)(?P<rest>.*)", re.DOTALL)
_LOGIN = re.compile(r"[^/\\\s]:[^/]*@[\w\[.-]")  # user:password@host


def is_url(storage: object) -> TypeGuard[str]:
    """Whether a storage is the URL of a database, or a mistyped one that cannot be meant as a path."""
    if not isinstance(storage, str | Path):
        return False
    text = str(storage)
    if "://" in text:
        return isinstance(storage, str)
    if re.match(r"\.{1,2}/|~|/(?!/)|[A-Za-z]:[\\/]|\\", text):
        return False  # clearly a path
    found = _BEGINS.match(text)
    kind, between = (found["kind"] or "", found["between"]) if found else ("", "")
    if kind and between.startswith((":/", ";/")):
        return True
    return bool(kind and len(between) > between.count("\\") and between != "/" and kind_of(kind)) or (
        _LOGIN.search(text) is not None
    )


def kind_of(given: str) -> str | None:
    """The database whose name is most similar to the given one; None if none is similar."""
    word = given.partition("+")[0].lower()
    near = difflib.get_close_matches(word, [*DATABASES, *_ALSO], n=1, cutoff=0.75)
    return _ALSO.get(near[0], near[0]) if near else None


def check_form(url: str) -> None:
    """Refuse a mistyped URL of a database.

    Raises:
        StorageError: it does not begin like a URL; the message has the nearest valid form, without a password.
    """
    if not re.match(r"[\w.+-]+://", str(url)):
        raise StorageError(
            f"storage {shown(url)!r} is no database's URL: write {nearest_form(url)}. A folder of that name is given "
            "by its whole path"
        )


def nearest_form(url: object) -> str:
    """The valid URL that a mistyped one probably means, in quotes and without its password."""
    found = _BEGINS.match(str(url))
    kind = kind_of(found["kind"] or "") if found else None
    if found is None or (kind is None and not _LOGIN.search(str(url))):
        return EXAMPLES
    if kind == "sqlite":
        path = found["rest"].partition("?")[0].rpartition("@")[2] or "study.db"
        path = "study.db" if "://" in path else path
        rooted = found["between"].count("/") in (1, 2) and not path.endswith((".db", ".sqlite", ".sqlite3"))
        return f"'sqlite:///{path}'" + (f", or 'sqlite:////{path}' from the root" if rooted else "")
    rest = str(url).strip() if kind is None else found["rest"]
    return f"'{_masked(kind or 'postgresql', '://', rest or 'user:password@host/database')}'"


def shown(storage: object) -> str:
    """A storage as text for messages; of a URL, everything that is or may be a password is replaced by ``***``."""
    text = str(storage)
    if not (is_url(storage) or "://" in text):
        return text
    found = _BEGINS.match(text)
    if found is None or not found["between"] or (found["between"] == ":" and not kind_of(found["kind"] or "")):
        return _masked("", "", text.strip())
    return _masked(found["kind"] or "", found["between"], found["rest"])


def _masked(kind: str, between: str, rest: str) -> str:
    """The URL of these parts, in which the password and settings that may be secrets are replaced by ``***``."""
    head, asked, query = rest.partition("?")
    settings = [pair.partition("=") for pair in re.split("[&;]", query)] if asked else []
    if "@" in query and not all(equals for _, equals, _ in settings):  # a password with a ? in it
        return f"{kind}{between}***@{query.rpartition('@')[2]}"
    place = head
    if not (kind.startswith("sqlite") and between.startswith(":///")):
        login, at, place = head.rpartition("@")
        user, secret, _ = _split_login(login)
        host, slash, path = place.partition("/")
        name, colon, port = host.rpartition(":")
        if colon and port and not port.isdigit() and not port.endswith("]"):  # user:password/database
            place = f"{name}:***{slash}{path}"
        place = f"{user}{':***' if secret else ''}{at}{place}"
    told = [
        f"{name}{equals}{value if name.lower() in _PLAIN and '@' not in value else '***'}" if equals else "***"
        for name, equals, value in settings
    ]
    return f"{kind}{between}{place}{asked}{'&'.join(told)}"


def _split_login(login: str) -> tuple[str, str, str]:
    """User, separator and password; the separator may be percent-encoded, once or twice."""
    found = re.search(r":|%(25)*3a", login, re.IGNORECASE)
    return (login, "", "") if found is None else (login[: found.start()], found[0], login[found.end() :])
