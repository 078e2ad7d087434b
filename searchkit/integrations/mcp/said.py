"""What a call says while it works: its progress, and the messages of searchkit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[float, float | None, str], None]  # progress, of how much, and what happened
LONGEST = 30  # messages that a call returns


@contextmanager
def heard() -> Iterator[list[str]]:
    """What searchkit says inside, the last of it."""
    said: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            del said[:-LONGEST]

    keeping, log = Keeping(logging.INFO), logging.getLogger("searchkit")
    log.addHandler(keeping)
    try:
        yield said
    finally:
        log.removeHandler(keeping)
