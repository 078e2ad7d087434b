"""The process of one call: a line of JSON on standard input says which, and the end of the input stops it.

It writes a line for each event: ``{"progress": n, "total": n or null, "message": text}`` while it works, and at the end
one of ``{"result": ...}``, ``{"error": sentence}`` and ``{"interrupted": true}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from typing import TextIO

from searchkit.errors import SearchkitError, first_line_said
from searchkit.integrations.mcp.inputs import read_input
from searchkit.integrations.mcp.settings import Settings
from searchkit.integrations.mcp.streams import claimed_output
from searchkit.integrations.mcp.tools import TOOLS

LAST = 60.0  # seconds that an interrupted call has, where no server ends it


def main() -> int:
    """Work on the call that standard input says; returns the exit code."""
    output = claimed_output()
    _first_without_memory()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("searchkit").setLevel(logging.INFO)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process begun in the background may ignore it
    answered = threading.Event()
    try:
        request = json.loads(sys.stdin.readline())
        threading.Thread(target=_wait_for_the_end, args=(answered,), daemon=True).start()
        answer = _answer(request, output)
        answered.set()
    except KeyboardInterrupt:
        answer = {"interrupted": True}
        answered.set()
    with contextlib.suppress(BrokenPipeError):  # the server is gone
        _write(output, answer)
    return 0


def _answer(request: dict[str, str], output: TextIO) -> dict[str, object]:
    """The last line of a call."""

    def tell(progress: float, total: float | None, message: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # the server is gone, and the end of the input stops the work
            _write(output, {"progress": progress, "total": total, "message": message})

    try:
        tool = TOOLS[request["tool"]]
        given = read_input(request["tool"], tool.takes, json.loads(request["arguments"]))
        return {"result": tool.call_apart(given, Settings(**json.loads(request["settings"])), tell)}
    except SearchkitError as error:
        return {"error": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{request['tool']} failed: {type(error).__name__}: {first_line_said(error)}"}


def _write(output: TextIO, line: dict[str, object]) -> None:
    output.write(json.dumps(line) + "\n")
    output.flush()


def _first_without_memory() -> None:
    """Let Linux, where memory runs out, end this process and its workers before others: the server tells of it."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _wait_for_the_end(answered: threading.Event) -> None:
    """Interrupt the work when standard input ends, as Ctrl-C would: the server stops the call, or is gone.

    Where that does not end the process, it ends without further ado; what is on record stays.
    """
    sys.stdin.read()
    if answered.is_set():
        return
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGINT)  # wakes it where it waits
    else:
        signal.raise_signal(signal.SIGINT)
    if not answered.wait(LAST):
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
