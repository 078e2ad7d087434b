"""Standard output and error of the command line: any text can be printed, and nothing but ours is on the output."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator

OUTPUT, ERROR = 1, 2  # file descriptors


@contextlib.contextmanager
def any_text() -> Iterator[None]:
    """Inside, what standard output and error cannot encode is printed with escapes: options may be any text."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


@contextlib.contextmanager
def output_of_ours() -> Iterator[None]:
    """Inside, what libraries written in C, and worker processes, print to standard output goes to standard error.

    HiGHS prints a line of its own at times, which would break the JSON of ``--json``. Where standard output is no file
    of the operating system, as in a notebook, nothing is changed.
    """
    given = sys.stdout
    if _descriptor(given) != OUTPUT or _descriptor(sys.stderr) != ERROR:
        yield
        return
    given.flush()
    kept = os.dup(OUTPUT)
    ours = open(kept, "w", encoding=given.encoding, errors=given.errors, buffering=1 if given.isatty() else -1)  # noqa: SIM115
    os.dup2(ERROR, OUTPUT)
    sys.stdout = ours
    try:
        yield
    finally:
        sys.stdout = given
        with contextlib.suppress(OSError):  # the command has ended in its own way
            ours.flush()
        with contextlib.suppress(OSError):
            os.dup2(kept, OUTPUT)
        with contextlib.suppress(OSError):
            ours.close()


class ToStandardError(logging.Handler):
    """Prints what is logged to standard error as it is at the time, so that a live table stays below it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; where nobody reads, nothing happens."""
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


def _descriptor(stream: object) -> int | None:
    """The file descriptor of a text stream of Python's own; None of another or of one that is closed."""
    try:
        return stream.fileno() if isinstance(stream, io.TextIOWrapper) else None
    except ValueError:
        return None
