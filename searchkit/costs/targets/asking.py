"""A target is asked: its command is run, its host is reached, its function is called, a bounded number of times."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from searchkit.costs.targets.answers import Answer, read_output, read_value
from searchkit.costs.targets.target import FILE, Target
from searchkit.errors import PASSED_ON, TargetError, first_line_said, nearest, readable

RUNNER = Path(__file__).with_name("runner.py")
CONNECT = 10  # seconds to reach a host, or the timeout where that is shorter
LOOK = 0.2  # seconds after which one that waits for an answer sees that nobody wants it any more
LATE = "gave no answer within {:g} s"

# The other side reads the length of the runner, the runner, and leaves the rest, which is the network, to it.
_BEGIN = "import sys; i = sys.stdin.buffer; exec(compile(i.read(int(i.readline())), 'runner', 'exec'))"


@dataclass(frozen=True)
class Question:
    """A target, the metrics that its answer has to have, and the attempts in place of its own number of them."""

    target: Target
    asked: Sequence[str]
    repeats: int | None = None


class _StoppedError(Exception):
    """Nobody wants the answer any more."""


def ask_all(questions: Mapping[str, Question], path: Path) -> dict[str, Answer | TargetError]:
    """Ask several targets for the costs of one file: devices at the same time, targets of one device in their order.

    Args:
        questions: by name.
        path: of the file.

    Returns:
        by name, the answer, or why there is none. What else is raised, here or by a target, ends all of them.
    """
    found, stop = dict[str, Answer | BaseException](), threading.Event()

    def ask_one_by_one(names: Sequence[str]) -> None:
        for name in names:
            one = questions[name]
            try:
                found[name] = ask(one.target, path, one.asked, one.repeats, stop)
            except TargetError as error:
                found[name] = error
            except BaseException as error:
                found[name] = error
                stop.set()
                return

    first, *others = _by_place(questions)
    threads = [threading.Thread(target=ask_one_by_one, args=(names,), daemon=True) for names in others]
    try:
        for thread in threads:
            thread.start()
        ask_one_by_one(first)
    finally:
        for thread in threads:
            try:
                thread.join()
            except BaseException:  # such as Ctrl-C: what was started elsewhere is ended with it
                stop.set()
                raise
    answers = dict[str, Answer | TargetError]()
    for name, one in found.items():  # in the order of time, so that what ended the others is first
        if not isinstance(one, Answer | TargetError):
            raise one
        answers[name] = one
    return {name: answers[name] for name in questions}


def _by_place(questions: Mapping[str, Question]) -> list[list[str]]:
    places: dict[str, list[str]] = {}
    for name, question in questions.items():
        places.setdefault(question.target.place, []).append(name)
    return list(places.values())


def ask(
    target: Target,
    path: Path,
    asked: Sequence[str],
    repeats: int | None = None,
    stop: threading.Event | None = None,
) -> Answer:
    """Measure the network in an ONNX file, again where that fails, up to ``target.repeats`` times in all.

    Args:
        path: of the file; its input is float32 ``(n, ...)`` for any n.
        asked: metrics that the answer has to have.
        repeats: attempts in place of those of the target.
        stop: set by another thread when nobody wants the answer any more; what was started is ended then.

    Raises:
        TargetError: every attempt failed; the message has the last reason and the number of attempts.
    """
    attempts = repeats or target.repeats
    for attempt in range(1, attempts + 1):
        try:
            return _ask_once(target, path, asked, stop)
        except TargetError as error:
            if attempt == attempts:
                times = "" if attempts == 1 else f" ({attempts} attempts)"
                raise TargetError(f"{error}{times}") from error
    raise AssertionError("unreachable")


def _ask_once(target: Target, path: Path, asked: Sequence[str], stop: threading.Event | None) -> Answer:
    if target.kind == "function":
        answer = read_value(_called(target, path, stop), target.metric)
    elif target.kind == "ssh":
        answer = read_output(_over_ssh(target, path, stop), target.metric)
    else:
        arguments = [argument.replace(FILE, str(path)) for argument in target.arguments]
        answer = read_output(run_command(arguments, target.timeout, stop=stop), target.metric)
    lacking = [name for name in asked if name not in answer.values]
    if lacking:
        near = nearest(lacking[0], answer.values)
        hint = f"; did you mean {near}?" if near else ""
        raise TargetError(f"answered {', '.join(answer.values)}, and not {lacking[0]}{hint}")
    return answer


def run_command(
    arguments: Sequence[str], timeout: float, given: bytes = b"", stop: threading.Event | None = None
) -> str:
    """What a command prints to its standard output. It is ended with all that it has started, once the time is over.

    Args:
        timeout: seconds.
        given: its standard input.
        stop: see :func:`ask`.

    Raises:
        TargetError: it cannot be run, takes too long, or ends with another exit code than 0.
    """
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile() as standard:  # no pipe: of one, communicate() writes no more after its first timeout
        standard.write(given)
        standard.seek(0)
        try:
            process = subprocess.Popen(
                list(arguments), stdin=standard, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise TargetError(f"cannot be asked: {type(error).__name__}: {first_line_said(error)}") from error
    try:
        output, errors = _communicate(process, timeout, stop)
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


def _communicate(process: subprocess.Popen[bytes], timeout: float, stop: threading.Event | None) -> tuple[bytes, bytes]:
    until = time.monotonic() + timeout
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(until - time.monotonic(), LOOK)))
        except subprocess.TimeoutExpired:
            if stop is not None and stop.is_set():
                raise _StoppedError from None
            if time.monotonic() >= until:
                raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all that it has started, which would disturb the next measurement."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _over_ssh(target: Target, path: Path, stop: threading.Event | None) -> str:
    host, port = target.address
    connect = max(1, math.ceil(min(CONNECT, target.timeout)))
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={connect}", *(["-p", port] if port else [])]
    command = f"{target.python} -c {shlex.quote(_BEGIN)}"
    runner = RUNNER.read_bytes()
    given = b"%d\n" % len(runner) + runner + path.read_bytes()
    return run_command(["ssh", *options, host, command], target.timeout, given, stop)


def _called(target: Target, path: Path, stop: threading.Event | None) -> object:
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
    until = time.monotonic() + target.timeout
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        thread.join(min(left, LOOK))
        if stop is not None and stop.is_set() and thread.is_alive():
            raise _StoppedError
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
