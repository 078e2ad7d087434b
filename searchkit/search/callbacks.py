"""Who watches a search: functions called with every candidate, and objects that are told of its two ends as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, first_line_said
from searchkit.search.accounting import Callback

if TYPE_CHECKING:
    from searchkit.results.result import Result


def read_callbacks(given: Any) -> tuple[Callback, ...]:
    """Callbacks from what a user writes: one, or several.

    Raises:
        SearchkitError: something that cannot be called with a candidate.
    """
    callbacks = () if given is None else (given,) if callable(given) else tuple(given)
    for callback in callbacks:
        if isinstance(callback, type):
            raise SearchkitError(
                f"callbacks are functions or objects, and {callback.__name__} is a class: write {callback.__name__}()"
            )
        if not callable(callback):
            raise SearchkitError(f"callbacks are functions (trial, trials) -> None, not {callback!r}")
    return callbacks


@contextmanager
def watched(result: Result, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Around a search: those callbacks that have the methods are told that it begins and how it ended.

    ``on_start(result)`` is called before the first candidate. The result is the one that the search will return; its
    trials, those on record to begin with, grow as it goes on, and its tables with them. ``on_end(result, error)`` is
    called when all is done, or when an error breaks the search off, which then is ``error`` (None otherwise), and
    ``result.stopped`` says why it ended in both cases. What these methods raise is raised, as with any callback; all
    that were told of the beginning are told of the end.
    """
    error: BaseException | None = None
    begun: list[Any] = []
    try:
        for callback in callbacks:
            if hasattr(callback, "on_start"):
                callback.on_start(result)
            begun.append(callback)
        yield
    except BaseException as raised:
        error = raised
        said = first_line_said(raised)
        interrupted = isinstance(raised, KeyboardInterrupt)
        result.stopped = "interrupted" if interrupted else f"{type(raised).__name__}: {said}".removesuffix(": ")
        raise
    finally:
        result.refresh()
        with ExitStack() as ends:
            for callback in reversed(begun):
                if hasattr(callback, "on_end"):
                    ends.callback(callback.on_end, result, error)
