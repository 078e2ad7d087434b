"""What several test files need."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine, event

from searchkit.cli import values as cli_values

# Tests kill processes and not machines, so that nothing has to wait for a disk, which takes milliseconds each time.
os.fsync = lambda descriptor: None

# Read anew from the files of all that is installed, they take 10 ms each time, and every search asks twice and more.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)


@event.listens_for(Engine, "connect")
def _no_waiting_for_a_disk(connection: object, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):  # of a file that is broken or locked
            connection.execute("PRAGMA synchronous = OFF")


for _name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS"):
    os.environ.pop(_name, None)  # what is printed does not depend on the terminal that the tests are begun from

# A search by the command line begins processes where --workers asks for them only: each would load torch.
cli_values.n_cores = lambda: 1

# Ray finds clusters by files in this folder: those of other test processes and of the user are not for tests.
_short = "/tmp" if os.path.isdir("/tmp") else None  # Ray's sockets need paths that are short
_of_ray = tempfile.TemporaryDirectory(prefix="r", dir=_short, ignore_cleanup_errors=True)
os.environ["RAY_TMPDIR"] = _of_ray.name

torch.set_num_threads(1)  # beside a busy neighbour two threads are slower than one, several times

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # begun in a shell's background, where Ctrl-C is ignored


@pytest.fixture(autouse=True)
def _interrupts_as_before() -> Iterator[None]:
    """Ray Tune leaves a handler of its own behind, which would swallow the interrupts of later tests."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)


LONG = (  # modules that are begun first, so that no process is left with one of them at the end
    "test_docs.py", "test_readme.py", "search/test_plan.py", "search/test_recipe.py", "test_shell_blocks.py",
    "integrations/test_mcp.py", "strategies/test_strategies.py", "spaces/test_mobilenet.py",
    "search/test_slow_targets.py", "integrations/test_sklearn.py", "cli/test_cli.py", "scoring/test_pool.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


DATA = Path(os.environ.get("SEARCHKIT_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data("folder/file")`` is the path of a published table; the test is skipped where it is not there."""

    def find(path: str) -> Path:
        if not (DATA / path).exists():
            pytest.skip(f"{path} is not under {DATA}; set SEARCHKIT_DATA to the folder that has it")
        return DATA / path

    return find
