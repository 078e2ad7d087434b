"""Standard output for the protocol alone: whatever else is printed goes to standard error."""

from __future__ import annotations

import io
import os
import sys

OUTPUT, ERROR = 1, 2  # file descriptors


def claimed_output() -> io.TextIOWrapper:
    """The standard output of this process, which nothing else can write to from now on.

    ``print``, libraries written in C and processes that are begun later write to standard error instead.
    """
    sys.stdout.flush()
    ours = os.dup(sys.stdout.fileno())
    os.dup2(ERROR, OUTPUT)
    sys.stdout = sys.stderr
    return io.TextIOWrapper(os.fdopen(ours, "wb"), encoding="utf-8", write_through=True)
