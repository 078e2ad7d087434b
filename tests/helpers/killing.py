"""A search in a process of its own that is killed where a test says."""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, event

from searchkit.storage.journal import JournalFile

Tick = Callable[[], None]


def in_a_process_that_is_killed(kind: str, count: int, work: str, run: Callable[[Tick], object]) -> None:
    """Call ``run(tick)`` in a fork that gets SIGKILL at its n-th tick, or in the middle of its n-th write.

    Args:
        kind: what is counted: "write", or ``work``.
        count: the n.
        work: what a tick is called; ``run`` calls it where such work begins.
    """
    child = _fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the search was to be killed in {kind} {count}, and ended"
        return
    done = 0
    if kind == "write":
        _die_in_a_line(count)

    def tick() -> None:
        nonlocal done
        done += 1
        if kind == work and done == count:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        run(tick)
    finally:
        os._exit(0)


def in_a_process_that_is_killed_somewhere(rng: np.random.Generator, run: Callable[[Tick], object]) -> bool:
    """Call ``run(tick)`` in a fork that gets SIGKILL at a random moment; False where it ended before.

    One kind of moment is a time that the parent draws, from the first or second tick on and before the one that
    follows; the other is within what the search writes: in the middle of a line of the journal, or before or after a
    statement or a commit in a database.

    Args:
        run: calls ``tick`` where an evaluation begins.
    """
    n_ticks, within_a_write = int(rng.integers(1, 3)), rng.random() < 0.5
    n_lines, n_statements = int(rng.integers(1, 4)), int(rng.integers(1, 60))
    delay = 10 ** rng.uniform(-4, -1.5)  # seconds: from a tenth of a millisecond to thirty
    begun, begins = os.pipe()
    child = _fork()
    if child:
        os.close(begins)
        return _killed_after(delay, begun, child)
    done, failed, searching = 0, 1, os.getpid()

    def tick() -> None:
        nonlocal done
        if os.getpid() != searching:  # a worker: it is the search that is killed
            return
        done += 1
        if done == n_ticks and not within_a_write:
            os.write(begins, b"!")
        elif done == n_ticks + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        if within_a_write:
            _die_in_a_line(n_lines)
            _die_in_a_statement(n_statements)
        run(tick)
        failed = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(failed)


def _killed_after(delay: float, begun: int, child: int) -> bool:
    """Kill a child some seconds after it has said that it begins; False where it ended before that."""
    if os.read(begun, 1):
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.close(begun)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the search raised an error"
    return os.WIFSIGNALED(status)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside torch's idle threads
        return os.fork()


def _die_in_a_line(count: int) -> None:
    """SIGKILL in the middle of the n-th write of a journal."""
    write, n = JournalFile._write, 0

    def half_a_write(journal: JournalFile, lines: list[str]) -> None:
        nonlocal n
        n += 1
        if n == count:
            text = ("\n".join(lines) + "\n").encode()
            with Path(journal.path).open("ab") as file:
                file.write(text[: len(text) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(journal, lines)

    JournalFile._write = half_a_write  # type: ignore[method-assign]


def _die_in_a_statement(count: int) -> None:
    """SIGKILL around the n-th statement or commit in a database."""
    n = 0

    def die(*_: object) -> None:
        nonlocal n
        n += 1
        if n == count:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, moment, die)


def in_a_process_that_is_killed_after(count: int, delay: float, run: Callable[[Tick], object]) -> bool:
    """Call ``run(tick)`` in a fork that gets SIGKILL some seconds after its n-th tick; False where it ended before.

    Args:
        count: the n; 0 is where the process begins. With the tick after the next one it is killed in any case.
        delay: seconds.
        run: calls ``tick`` where a result is on record.
    """
    begun, begins = os.pipe()
    child = _fork()
    if child:
        os.close(begins)
        return _killed_after(delay, begun, child)
    done, failed = -1, 1
    said = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # of loky, which counts what a killed process leaves behind

    def tick() -> None:
        nonlocal done
        done += 1
        if done == count:
            os.write(begins, b"!")
        elif done == count + 2:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        tick()
        run(tick)
        failed = 0
    except BaseException:
        os.write(said, traceback.format_exc().encode())
    finally:
        os._exit(failed)


def is_running(process: int) -> bool:
    """Whether a process is there, and not only its exit status."""
    try:
        os.kill(process, 0)
        return "zombie" not in Path(f"/proc/{process}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # no such file system: it answered the signal


def forked(run: Callable[[], object]) -> int:
    """The number of a process that calls ``run()`` and ends; its exit status is 0 where nothing was raised."""
    child = _fork()
    if child:
        return child
    failed = 1
    try:
        run()
        failed = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(failed)
