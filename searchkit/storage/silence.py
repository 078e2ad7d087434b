"""A way to silence Optuna's messages that threads can use at the same time.

``warnings.catch_warnings`` replaces the list of filters and puts the former one back. Where two threads overlap, what
one has put back may be what the other had set for a moment, and stays for good. Here one filter is added, which holds
for threads that are inside, and taken out of the same list again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any, cast

from optuna.exceptions import ExperimentalWarning


class _Inside(threading.local):
    """How deep this thread is inside; in the place of a filter's pattern for messages, of which Python asks match()."""

    depth = 0

    def match(self, text: str) -> bool:
        return self.depth > 0


_inside = _Inside()
_FILTER = ("ignore", _inside, ExperimentalWarning, None, 0)
_logger = logging.getLogger("optuna")
_guard = threading.Lock()
_threads = 0  # that are inside, each as often as it is
_level = logging.NOTSET  # of the logger before
_lists: list[list[Any]] = []  # to which the filter was added


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's information messages and its warnings about experimental features inside.

    The messages are those of all threads; the level is put back when the last one leaves, where nobody changed it.
    """
    global _threads, _level
    with _guard:
        _threads += 1
        if _threads == 1:
            _level = _logger.level
            _logger.setLevel(logging.WARNING)
        _add()
        _inside.depth += 1
    try:
        yield
    finally:
        with _guard:
            _inside.depth -= 1
            _threads -= 1
            if _threads == 0:
                if _logger.level == logging.WARNING:
                    _logger.setLevel(_level)
                _remove()


def _add() -> None:
    """Put the filter before all others of the list that counts now."""
    filters = cast(list[Any], warnings.filters)
    if not filters or filters[0] is not _FILTER:
        _take_out(filters)
        filters.insert(0, _FILTER)
        if not any(known is filters for known in _lists):
            _lists.append(filters)


def _remove() -> None:
    """Also of a copy that somebody made inside."""
    for filters in (*_lists, cast(list[Any], warnings.filters)):
        _take_out(filters)
    _lists.clear()


def _take_out(filters: list[Any]) -> None:
    for i in reversed(range(len(filters))):
        if filters[i] is _FILTER:
            del filters[i]
