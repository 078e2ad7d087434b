"""Calls that have a process of their own: begun, listened to, and stopped by closing their standard input."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from searchkit.errors import SearchkitError, duration
from searchkit.integrations.mcp.inputs import Input
from searchkit.integrations.mcp.settings import Settings

OnProgress = Callable[[float, float | None, str], Awaitable[None]]
STARTING = 15.0  # seconds beside those of a call, to load libraries
GRACE = 15.0  # seconds that a call has to end after it was told to
SILENCE = 15.0  # seconds without news, after which that it is running is told
LITTLE = 1e-3  # progress has to grow with everything that is told
LONGEST_LINE = 2**26  # bytes


async def called_apart(name: str, given: Input, settings: Settings, on_progress: OnProgress) -> dict[str, object]:
    """What a tool returns that works in a process of its own.

    Cancelled, or after the server's longest time, the process is interrupted as by Ctrl-C: a search keeps its record,
    and the front of what it has by then is returned where there is someone to return it to. A process that does not
    end then is killed, so that no call takes longer than that time, STARTING and GRACE.

    Raises:
        SearchkitError: of the tool; or the process ended without an answer.
    """
    command = [sys.executable, "-m", f"{__package__}.worker"]
    request = {
        "tool": name,
        "arguments": given.model_dump_json(exclude_unset=True),
        "settings": json.dumps(dataclasses.asdict(settings)),
    }
    process = await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, start_new_session=os.name == "posix"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = BufferedByteReceiveStream(process.stdout)
    limit, killed_at = settings.max_seconds + STARTING, None
    try:
        with contextlib.suppress(anyio.BrokenResourceError):  # it has ended already, which is seen below
            await process.stdin.send(json.dumps(request).encode() + b"\n")
        with anyio.move_on_after(limit) as within:
            return _result(name, await _last_line(lines, on_progress), process)
        assert within.cancelled_caught
        killed_at = anyio.current_time() + GRACE
        await process.stdin.aclose()
        last: dict[str, object] = {}
        with anyio.move_on_after(GRACE):
            last = await _last_line(lines, on_progress)
        if "result" not in last:
            raise SearchkitError(
                f"{name} was stopped after {settings.max_seconds:g} s, the limit of this server; what was recorded is "
                "kept, and the same call continues"
            )
        return _result(name, last, process)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, anyio.current_time() + GRACE if killed_at is None else killed_at)


async def _last_line(lines: BufferedByteReceiveStream, on_progress: OnProgress) -> dict[str, object]:
    """The answer of a process, after its progress; empty where it ends without one.

    Where a process is silent for long, as in a final training, that it is running is told, as a little progress:
    programs give up on calls of which they hear nothing.
    """
    began, done, total = anyio.current_time(), 0.0, None
    while True:
        line: dict[str, object] | None = None
        try:
            with anyio.move_on_after(SILENCE):
                line = json.loads(await lines.receive_until(b"\n", LONGEST_LINE))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            return {}
        if line is None:
            done += LITTLE
            await on_progress(done, total, f"running for {duration(anyio.current_time() - began)}")
        elif "progress" in line:
            done = max(done + LITTLE, float(str(line["progress"])))
            total = None if line["total"] is None else float(str(line["total"]))
            await on_progress(done, total, str(line["message"]))
        else:
            return line


def _result(name: str, last: dict[str, object], process: Process) -> dict[str, object]:
    if "error" in last:
        raise SearchkitError(str(last["error"]))
    if "interrupted" in last:
        raise SearchkitError(f"{name} was interrupted; what was recorded is kept, and the same call continues")
    found = last.get("result")
    if not isinstance(found, dict):
        raise SearchkitError(f"the process of {name} ended without an answer; what was recorded is kept")
    return found


async def _end(process: Process, killed_at: float) -> None:
    """Tell a process to stop, and end it and what it began where it has not by a time of anyio's clock."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(killed_at - anyio.current_time()):
        await process.wait()
    if process.returncode is None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        await process.wait()
    await process.aclose()
