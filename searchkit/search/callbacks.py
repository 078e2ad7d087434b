"""Callbacks: functions called with every candidate, and objects that are also called at the start and the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, first_line_said
from searchkit.search.accounting import Callback

if TYPE_CHECKING:
    from searchkit.results.result import Result


def read_callbacks(given: Any) -> tuple[Callback, ...]:
    """The ``callbacks=`` argument as a tuple: the user gives one or several.

    Raises:
        SearchkitError: one of them cannot be called.
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
    """Call ``on_start`` and ``on_end`` of those callbacks that have them, around a search.

    ``on_start(result)`` is called before the first candidate, with the result that the search will return. It contains
    the trials on record at first, and new ones as they end. ``on_end(result, error)`` is called at the end, also when
    an error ended the search; ``error`` is that error, else None. ``result.stopped`` says why the search ended. What
    these methods raise ends the search. Every callback whose ``on_start`` returned gets its ``on_end``.
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
