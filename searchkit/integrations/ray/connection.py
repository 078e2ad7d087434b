"""Connecting to a Ray cluster that is there, in seconds, or starting one that this machine alone can reach."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchkit.errors import SearchkitError, concealed, first_line_said
from searchkit.integrations.ray_compat import last_cluster, on_the_loopback

PATIENCE = 5.0  # seconds that a cluster has to answer at its address

log = logging.getLogger("searchkit")

# How a client of HTTP/2 begins, which Ray's servers speak: a preface, and empty settings. A server sends its own.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS = 4  # the type of their frame, which its fourth byte says


def connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one.

    Args:
        ray: the module.
        address: of the cluster; None, "ray://" and "auto": that of ``RAY_ADDRESS``, or the last that ``ray start``
            began on this machine, or else a new one, whose ports listen on the loopback interface only.

    Raises:
        SearchkitError: no cluster answers at the address within seconds, or it cannot be used.
    """
    given = address if address not in (None, "ray://", "auto") else None
    wanted = given or os.environ.get("RAY_ADDRESS") or None
    if wanted not in (None, "auto", "local"):
        _check_answers(str(wanted))
    begins = wanted == "local" or (wanted is None and not _is_there(last_cluster()))
    try:
        with warnings.catch_warnings(), contextlib.ExitStack() as stack:
            warnings.simplefilter("ignore")  # about Ray's own future defaults
            if begins:
                stack.enter_context(on_the_loopback())
                stack.enter_context(_own_token())
                given = "local"
            elif wanted == "auto" and last_cluster():
                _check_answers(str(last_cluster()))
            dashboard = False if begins else None
            ray.init(given, include_dashboard=dashboard, log_to_driver=False, logging_level="ERROR")
    except SearchkitError:
        raise
    except Exception as error:
        where = concealed(wanted or "this machine")
        raise SearchkitError(f"the Ray cluster at {where} cannot be used: {first_line_said(error)}") from error


def _is_there(address: str | None) -> bool:
    """Whether a cluster is at the address that Ray keeps in a file; the file outlives a cluster that was killed."""
    if not address:
        return False
    try:
        _check_answers(address)
    except SearchkitError as error:
        log.warning("a new Ray cluster is started on this machine, since %s", error)
        return False
    return True


def _check_answers(address: str) -> None:
    """Refuse an address at which no cluster answers; Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    shown = concealed(address)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SearchkitError(f'{shown!r} is no address of a Ray cluster: write "ray://head:10001" or "head:6379"')
    advice = "start one with 'ray start --head', or use 'ray' without an address for one on this machine"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("0", "", "false", "False"):
                return  # what is encrypted cannot be looked at
            connection.sendall(_HELLO)
            answer = _first_bytes(connection, 9)
    except (OSError, ValueError) as error:
        raise SearchkitError(f"no Ray cluster answers at {shown} ({error}): {advice}") from error
    if len(answer) < 9 or answer[3] != _SETTINGS:
        raise SearchkitError(f"no Ray cluster answers at {shown} (what listens there does not speak as Ray): {advice}")


def _first_bytes(connection: socket.socket, n: int) -> bytes:
    """As many bytes of an answer; fewer where the other side ends it. OSError where it says nothing."""
    answer = b""
    while len(answer) < n and (more := connection.recv(n - len(answer))):
        answer += more
    return answer


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """Where Ray writes a new token inside, nobody else on this machine may read it."""
    try:
        token = Path.home() / ".ray" / "auth_token"
        there = token.exists()
    except (OSError, RuntimeError):
        yield
        return
    yield
    if not there:
        with contextlib.suppress(OSError):
            token.chmod(0o600)
