"""How long work in a database waits for it: searches long, who shows a page not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_most: ContextVar[float | None] = ContextVar("most", default=None)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Inside, in this thread, a database that is locked or does not answer is an error after this many seconds."""
    token = _most.set(seconds)
    try:
        yield
    finally:
        _most.reset(token)


def is_short() -> bool:
    """Whether nothing is tried again, since somebody waits for an answer."""
    return _most.get() is not None


def limited(seconds: float) -> float:
    """Seconds to wait, where as many are usual."""
    most = _most.get()
    return seconds if most is None else min(seconds, most)
