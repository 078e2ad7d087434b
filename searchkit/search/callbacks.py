"""Callbacks: functions called with every candidate, and objects that are also called at the start and the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, first_line_said
from searchkit.search.accounting import Callback

if TYPE_CHECKING:
    from searchkit.results.result import Result


def read_callbacks(given: Callback | Iterable[Callback] | None) -> tuple[Callback, ...]:
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


class watched:  # noqa: N801 - used as a function, as contextlib's own are
    """Call ``on_start`` and ``on_end`` of those callbacks that have them, around a search.

    ``on_start(result)`` is called before the first candidate, with the result that the search will return. It contains
    the trials on record at first, and new ones as they end. ``on_end(result, error)`` is called at the end, also when
    an error ended the search; ``error`` is that error, else None. ``result.stopped`` says why the search ended. What
    these methods raise ends the search. Every callback whose ``on_start`` returned gets its ``on_end``.
    """

    def __init__(self, result: Result, callbacks: Sequence[Callback]) -> None:
        self._result, self._callbacks = result, callbacks
        self._begun: list[Any] = []

    def __enter__(self) -> None:
        try:
            for callback in self._callbacks:
                if hasattr(callback, "on_start"):
                    callback.on_start(self._result)
                self._begun.append(callback)
        except BaseException as raised:
            self._end(raised)
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            said = f"{type(error).__name__}: {first_line_said(error)}".removesuffix(": ")
            self._result.stopped = "interrupted" if interrupted else said
        self._result.refresh()
        with ExitStack() as ends:
            for callback in reversed(self._begun):
                if hasattr(callback, "on_end"):
                    ends.callback(callback.on_end, self._result, error)
