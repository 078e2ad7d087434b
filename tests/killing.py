"""A search in a process of its own that is killed where a test says."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

from searchkit.journal import JournalFile

Tick = Callable[[], None]


def in_a_process_that_is_killed(kind: str, count: int, work: str, run: Callable[[Tick], object]) -> None:
    """Call ``run(tick)`` in a fork that gets SIGKILL at its n-th tick, or in the middle of its n-th write.

    Args:
        kind: what is counted: "write", or ``work``.
        count: the n.
        work: what a tick is called; ``run`` calls it where such work begins.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside torch's idle threads
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the search was to be killed in {kind} {count}, and ended"
        return
    done = {work: 0, "write": 0}
    write = JournalFile._write

    def half_a_write(journal: JournalFile, lines: list[str]) -> None:
        done["write"] += 1
        if kind == "write" and done["write"] == count:
            text = ("\n".join(lines) + "\n").encode()
            with Path(journal.path).open("ab") as file:
                file.write(text[: len(text) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(journal, lines)

    def tick() -> None:
        done[work] += 1
        if kind == work and done[work] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    JournalFile._write = half_a_write  # type: ignore[method-assign]
    try:
        run(tick)
    finally:
        os._exit(0)
