"""A target is asked: its command is run, its host is reached, its function is called, a bounded number of times."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from searchkit.costs.targets.answers import Answer, read_output, read_value
from searchkit.costs.targets.target import FILE, Target
from searchkit.errors import PASSED_ON, TargetError, first_line_said, nearest, readable

RUNNER = Path(__file__).with_name("runner.py")
CONNECT = 10  # seconds to reach a host, or the timeout where that is shorter
LATE = "gave no answer within {:g} s"

# The other side reads the length of the runner, the runner, and leaves the rest, which is the network, to it.
_BEGIN = "import sys; i = sys.stdin.buffer; exec(compile(i.read(int(i.readline())), 'runner', 'exec'))"


def ask(target: Target, path: Path, asked: Sequence[str], repeats: int | None = None) -> Answer:
    """Measure the network in an ONNX file, again where that fails, up to ``target.repeats`` times in all.

    Args:
        path: of the file; its input is float32 ``(n, ...)`` for any n.
        asked: metrics that the answer has to have.
        repeats: attempts in place of those of the target.

    Raises:
        TargetError: every attempt failed; the message has the last reason and the number of attempts.
    """
    attempts = repeats or target.repeats
    for attempt in range(1, attempts + 1):
        try:
            return ask_once(target, path, asked)
        except TargetError as error:
            if attempt == attempts:
                times = "" if attempts == 1 else f" ({attempts} attempts)"
                raise TargetError(f"{error}{times}") from error
    raise AssertionError("unreachable")


def ask_once(target: Target, path: Path, asked: Sequence[str]) -> Answer:
    """As :func:`ask`, with one attempt."""
    if target.kind == "function":
        answer = read_value(_called(target, path), target.metric)
    elif target.kind == "ssh":
        answer = read_output(_over_ssh(target, path), target.metric)
    else:
        arguments = [argument.replace(FILE, str(path)) for argument in target.arguments]
        answer = read_output(run_command(arguments, target.timeout), target.metric)
    lacking = [name for name in asked if name not in answer.values]
    if lacking:
        near = nearest(lacking[0], answer.values)
        hint = f"; did you mean {near}?" if near else ""
        raise TargetError(f"answered {', '.join(answer.values)}, and not {lacking[0]}{hint}")
    return answer


def run_command(arguments: Sequence[str], timeout: float, given: bytes = b"") -> str:
    """What a command prints to its standard output. It is ended with all that it has started, once the time is over.

    Args:
        timeout: seconds.
        given: its standard input.

    Raises:
        TargetError: it cannot be run, takes too long, or ends with another exit code than 0.
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(list(arguments), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    except (OSError, ValueError) as error:
        raise TargetError(f"cannot be asked: {type(error).__name__}: {first_line_said(error)}") from error
    try:
        output, errors = process.communicate(given, timeout)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TargetError(LATE.format(timeout)) from None
        raise
    if process.returncode:
        said = _last_line(errors) or _last_line(output)
        code = process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise TargetError(readable(f"{how}: {said}" if said else how))
    return output.decode("utf-8", "backslashreplace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all that it has started, which would disturb the next measurement."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _over_ssh(target: Target, path: Path) -> str:
    host, port = target.address
    connect = max(1, math.ceil(min(CONNECT, target.timeout)))
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={connect}", *(["-p", port] if port else [])]
    command = f"{target.python} -c {shlex.quote(_BEGIN)}"
    runner = RUNNER.read_bytes()
    given = b"%d\n" % len(runner) + runner + path.read_bytes()
    return run_command(["ssh", *options, host, command], target.timeout, given)


def _called(target: Target, path: Path) -> object:
    """What a function returns, called in a thread so that one that hangs does not hold the search up."""
    assert callable(target.how)
    function: Callable[[Path], object] = target.how
    returned: list[object] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            returned.append(function(path))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True, name="searchkit-target")
    thread.start()
    thread.join(target.timeout)
    if raised and isinstance(raised[0], PASSED_ON):
        raise raised[0]
    if raised:
        said = f"{type(raised[0]).__name__}: {first_line_said(raised[0])}".removesuffix(": ")
        raise TargetError(readable(f"raised {said}")) from raised[0]
    if not returned:
        raise TargetError(LATE.format(target.timeout))
    return returned[0]


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "backslashreplace").strip().splitlines()
    return lines[-1].strip() if lines else ""
