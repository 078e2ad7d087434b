"""Private names of database drivers that searchkit uses; checked with PyMySQL 1.2.4.

No other file uses private names of a driver. If a later one moves them, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from typing import Protocol, cast


class _WithSocket(Protocol):
    """A connection of PyMySQL."""

    _sock: _WithNumber


class _WithNumber(Protocol):
    def fileno(self) -> int: ...


def socket_of(connection: object) -> int:
    """The file descriptor of a connection's socket; PyMySQL has no public name for it, other drivers do."""
    if hasattr(connection, "fileno"):
        return cast(_WithNumber, connection).fileno()
    return cast(_WithSocket, connection)._sock.fileno()
