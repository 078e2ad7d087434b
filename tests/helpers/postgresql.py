"""A PostgreSQL server of the tests' own: made, started and stopped here, on a port of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/pgsql/bin")


_servers: dict[int, subprocess.Popen[bytes]] = {}  # by port
_starts: dict[int, Callable[[float], None]] = {}


def stop(url: str, how: signal.Signals = signal.SIGINT) -> None:
    """Stop the server of a URL; by default it ends its connections and writes everything to the disk."""
    server = _servers[make_url(url).port or 0]
    server.send_signal(how)
    server.wait(30)


def start(url: str, after: float = 0) -> None:
    """Start the server of a URL again; with a number of seconds, so much later, which is not waited for."""
    _starts[make_url(url).port or 0](after)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database on a server that ends with the tests; the test is skipped where there is none."""
    psycopg = pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        data, log = folder / "data", folder / "log"
        quiet: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT} | as_user
        initdb = [binaries / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, **quiet)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-F", "-c", "shared_buffers=16MB"]
        url = f"postgresql://tests@127.0.0.1:{port}/postgres"

        def start(after: float) -> None:
            late = ["sh", "-c", 'sleep "$0"; exec "$@"', str(after), *command]
            with open(log, "a") as output:
                _servers[port] = subprocess.Popen(late, preexec_fn=_end_with_the_tests, **quiet | {"stdout": output})
            if not after:
                _wait(psycopg, url, _servers[port], log)

        _starts[port] = start
        try:
            start(0)
            yield url
        finally:
            stop(url, signal.SIGQUIT)  # at once: nothing of it is kept
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_the_tests() -> None:
    """Runs in the server's process before it begins: it ends with the process that started it, however that ends."""
    if sys.platform == "linux":
        parent_death_signal = 1  # prctl(2)
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGQUIT)


def _binaries() -> Path | None:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += [path for pattern in FOLDERS for path in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    import pwd

    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user 'nobody'")


def _wait(psycopg: Any, url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"the PostgreSQL server did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
