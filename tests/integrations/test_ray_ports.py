"""A Ray cluster that a search starts is reached from this machine alone, and one that is gone is known in seconds."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from searchkit import SearchkitError

ray = pytest.importorskip("ray", reason="ray is not installed")
pytest.importorskip("psutil", reason="psutil is not installed")

from searchkit.integrations.ray import RayExecutor  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own: open sockets, future defaults


@pytest.fixture(autouse=True)
def _unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def talking() -> Iterator[str]:
    """The address of a server that is no Ray."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


# In a process of its own, since Ray keeps whether it asks for a token, and which, until the process ends.
ALONE = """
import contextlib, json, warnings
import psutil

warnings.simplefilter("ignore")
import searchkit


def listening():
    found, own = {}, psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found[tuple(connection.laddr)] = process.name()
    return found


seen = []
result = searchkit.run(
    "random", space=searchkit.Space([searchkit.Choice("a", range(4))]), evaluate=lambda c: {"loss": c["a"]},
    objectives={"loss": "min"}, budget=3, executor="ray", storage="memory",
    callbacks=[lambda trial, trials: seen.append(listening())],
)
import ray

state = result.history.state.tolist()
print(json.dumps([state, ray.is_initialized(), [[*address, name] for address, name in seen[-1].items()]]))
"""


def reached_from_outside(host: str) -> bool:
    """Whether other machines can reach what listens at this address."""
    ip = ipaddress.ip_address(host)
    return not (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def stale(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cluster leaves behind that was killed: a file with its address."""
    (folder / "ray").mkdir()
    (folder / "ray" / "ray_current_cluster").write_text(address)
    monkeypatch.setenv("RAY_TMPDIR", str(folder))


@pytest.mark.thorough
def test_a_cluster_that_a_search_starts_listens_on_the_loopback_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short: Path, silent: str
) -> None:
    stale(short, silent, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    states, still_there, found = json.loads(done.stdout.strip().splitlines()[-1])
    assert states == ["scored"] * 3
    assert not still_there
    assert {"gcs_server", "raylet"} <= {name for _, _, name in found}
    assert [where for where in found if reached_from_outside(where[0])] == []
    assert f"a new Ray cluster is started on this machine, since no Ray cluster answers at {silent}" in done.stderr
    token = tmp_path / ".ray" / "auth_token"
    assert not token.exists() or stat.S_IMODE(token.stat().st_mode) == 0o600


def test_what_does_not_answer_as_ray_is_said(silent: str, talking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchkit.integrations.ray.connection.PATIENCE", 0.5)
    for address, reason in ((silent, "timed out"), (talking, "does not speak as Ray")):
        for given in (address, f"ray://{address}"):
            with pytest.raises(SearchkitError, match=rf"no Ray cluster answers at {given} \(.*{reason}"):
                RayExecutor(given)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(SearchkitError, match=rf"no Ray cluster answers at {address}"):
            RayExecutor()
        monkeypatch.delenv("RAY_ADDRESS")


def test_a_file_of_a_cluster_that_is_gone_is_named_where_one_is_asked_for(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchkit.integrations.ray.connection.PATIENCE", 0.5)
    stale(tmp_path, silent, monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(SearchkitError, match=rf"no Ray cluster answers at {silent}"):
        RayExecutor()


@pytest.mark.parametrize("address", ["ray://me:geheim@127.0.0.1:9", "ray://127.0.0.1:70000", "127.0.0.1:0", "x:y"])
def test_an_address_that_can_be_none_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(SearchkitError) as refused:
        RayExecutor(address)
    assert "geheim" not in str(refused.value)
