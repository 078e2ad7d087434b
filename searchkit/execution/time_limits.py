"""Time limits of evaluations: an alarm in this process, and the end of a worker process that ignores it."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from searchkit.errors import TimeLimitError, TimeUp

T = TypeVar("T")

IMPORTING = "<frozen importlib._bootstrap>"  # the file of the frames that import a module
AGAIN = 1.0  # seconds between alarms for code that catches even the first one

log = logging.getLogger("searchkit")
_said = threading.Event()  # set after the warning that a limit cannot be enforced, which is given once in a process


def well_over(limit: float) -> float:
    """Seconds after which an evaluation that does not react to its limit is given up."""
    return 1.5 * limit + 2.0


def within(limit: float | None, function: Callable[..., T], *arguments: object) -> T:
    """Call a function, and interrupt it after ``limit`` seconds where that is possible: in the main thread, on POSIX.

    The interruption is a :class:`TimeUp`, which ``except Exception`` does not catch. It takes effect when the code
    returns to Python; if it does not, a warning says once that the limit cannot be kept here. An import is not
    interrupted, but what follows it.

    Raises:
        TimeLimitError: the time is over.
    """
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if limit is None or not usable:
        return function(*arguments)

    def ring(_signal: int, frame: FrameType | None) -> None:
        while frame is not None:  # an alarm that comes late must not interrupt searchkit's own code
            if frame.f_code.co_filename == IMPORTING:
                return  # a module that is loaded in part fails in all later candidates; the next alarm comes
            if frame.f_code is _call.__code__:
                raise TimeUp
            frame = frame.f_back

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, limit, AGAIN)
    warning = threading.Timer(well_over(limit), _say, (limit,))
    warning.daemon = True
    warning.start()
    try:
        return _call(function, arguments)
    except TimeUp:
        raise TimeLimitError(f"over its time limit of {limit:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        if handler is not None:  # None: it was set by native code, and Python cannot restore it
            signal.signal(signal.SIGALRM, handler)
        warning.cancel()


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """The only function whose calls an alarm may interrupt."""
    return function(*arguments)


def _say(limit: float) -> None:
    if not _said.is_set():
        _said.set()
        log.warning(
            "a candidate goes on after its time limit of %g s: native code that does not return to Python cannot be "
            "interrupted in this process; worker processes (executor=1 or more) are ended",
            limit,
        )


@contextlib.contextmanager
def ended_when_late(limit: float | None, marker: Path | None) -> Iterator[None]:
    """Inside, end this process when it is well over a limit, whatever it is doing, also in native code.

    The process ends with code 1, after it has written to the file ``marker``; otherwise that file is deleted.
    """
    if limit is None or marker is None:
        yield
        return
    with marker.open("w") as file:
        faulthandler.dump_traceback_later(well_over(limit), exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            marker.unlink(missing_ok=True)


def late_ones(folder: Path) -> set[int]:
    """Numbers of the jobs whose process was ended by :func:`ended_when_late`, and of no others."""
    return {int(path.name) for path in folder.iterdir() if path.stat().st_size}
