"""Evaluate one candidate; if that fails, the outcome has the reason, and the search goes on."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from searchkit.errors import (
    LONGEST_TRACEBACK,
    PASSED_ON,
    CandidateError,
    TimeLimitError,
    advised,
    is_out_of_memory,
    message_of,
    printable,
    readable,
)
from searchkit.execution.time_limits import within
from searchkit.problem.numbers import number_of
from searchkit.surroundings import usable
from searchkit.training.evaluation import Evaluate, Reported
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.problem.trial import Report
    from searchkit.training.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One evaluation that is to be made.

    Attributes:
        code: the candidate, ``(d,)``.
        seed: of all random numbers in the evaluation.
        rung: of the fidelity ladder; None: full evaluation.
        within: seconds that a training should take at most; None: as long as its recipe takes.
        final: the recipe of a final training, in place of that of the search's candidates; None: no final training.
    """

    code: Codes
    seed: int
    rung: int | None = None
    within: float | None = None
    final: Recipe | None = None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Arguments of the evaluation. What is None at their end is left out, so that functions need not accept it."""
        given = (self.rung, self.within, self.final)
        n = max((i + 1 for i, value in enumerate(given) if value is not None), default=0)
        return (self.code, self.seed, *given[:n])


@dataclass(frozen=True)
class Outcome:
    """The result of one evaluation: values, or the reason why it failed.

    Attributes:
        values: ``{metric: value}``; empty after a failure.
        reason: of a failure, in one sentence; else None.
        traceback: of the exception, where there was one.
        seconds: duration of the evaluation.
        out_of_memory: whether that was the reason.
        process_ended: whether its worker process ended, for example by a crash.
        files: ``{path: content}`` of the files that it wrote on a machine other than the one that searches.
        reports: what the user's training function reported (:mod:`searchkit.training.own_training`).
        stopped: whether its training was stopped early; ``reason`` says why. It is no failure.
        ignored: whether the training function went on after it was told to stop.
    """

    values: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    seconds: float = 0.0
    out_of_memory: bool = False
    process_ended: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()
    stopped: bool = False
    ignored: bool = False


def attempt(evaluate: Evaluate, job: Job, needed: tuple[str, ...], limit: float | None = None) -> Outcome:
    """Run ``evaluate(*job.arguments)`` and check what it returns.

    The candidate has failed if an exception is raised (also one like ``SystemExit``), if the value of a needed metric
    is missing or not finite, or if the evaluation takes more than ``limit`` seconds. KeyboardInterrupt is passed on,
    and so are the errors of ``STOPS_THE_SEARCH``, because every later candidate would fail, too.
    """
    start = time.perf_counter()
    try:
        with usable():
            returned = within(limit, evaluate, *job.arguments)
        return _success(returned, needed, start, limit)
    except PASSED_ON:
        raise
    except BaseException as error:
        return _failure(error, start)


def attempt_in_turns(
    turns: Generator[T, None, Mapping[str, Any]], needed: tuple[str, ...], limit: float | None = None
) -> Generator[T, None, Outcome]:
    """:func:`attempt` for an evaluation in turns, whose yielded values are passed on.

    The time limit is only checked at the end; the evaluation itself may check it earlier.
    """
    start = time.perf_counter()
    while True:
        try:
            waiting = next(turns)
        except StopIteration as end:
            returned = end.value
            break
        except PASSED_ON:
            raise
        except BaseException as error:  # also GeneratorExit; one from outside is raised at the yield
            return _failure(error, start)
        try:
            yield waiting
        except BaseException:
            turns.close()
            raise
    try:
        return _success(returned, needed, start, limit)
    except CandidateError as error:
        return _failure(error, start)


def _success(returned: Any, needed: tuple[str, ...], start: float, limit: float | None) -> Outcome:
    report = returned if isinstance(returned, Reported) else None
    values = _checked(returned, needed if report is None or not report.stopped else ())
    if limit is not None and time.perf_counter() - start > limit:
        raise TimeLimitError(f"over its time limit of {limit:g} s")
    outcome = Outcome(values, None, None, time.perf_counter() - start)
    if report is None:
        return outcome
    if not report.stopped:
        return replace(outcome, reports=report.reports)
    return replace(outcome, reason=report.stopped, reports=report.reports, stopped=True, ignored=report.ignored)


def _failure(error: BaseException, start: float) -> Outcome:
    seconds = time.perf_counter() - start
    told = isinstance(error, CandidateError) and error.__cause__ is None  # the sentence is all there is to say
    return Outcome({}, reason_of(error), None if told else traceback_of(error), seconds, is_out_of_memory(error))


def traceback_of(error: BaseException) -> str:
    """The last part of an error's traceback, as it is recorded."""
    return readable("".join(traceback.format_exception(error)[-8:]), LONGEST_TRACEBACK)


def reason_of(error: BaseException) -> str:
    """An error as the reason of a failure: its class, unless that is CandidateError, and its message."""
    text = message_of(error).strip()
    named = text if isinstance(error, CandidateError) else f"{type(error).__name__}: {text}".removesuffix(": ")
    return readable(advised(named))


def _checked(returned: Any, needed: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        hint = ": return dict(series)" if kind == "Series" else ""
        raise CandidateError(f"evaluate returned {kind}, not a mapping of {', '.join(needed)}{hint}")
    values: dict[str, float] = {}
    given: dict[str, Any] = {}
    for name, value in returned.items():
        first = given.setdefault(printable(str(name)), name)
        if first is not name:
            raise CandidateError(
                f"evaluate returned values for {first!r} and for {name!r}, which are both recorded as '{name}': give "
                "one of them another name"
            )
        try:
            values[printable(str(name))] = number_of(value)
        except PASSED_ON:
            raise
        except BaseException as error:
            if name in needed:
                raise CandidateError(f"{name} is {message_of(error)}") from None
    for name in needed:
        if name not in values:
            raise CandidateError(f"evaluate returned no {name!r}, only {', '.join(values) or 'nothing'}")
        if not math.isfinite(values[name]):
            raise CandidateError(f"{name} is {values[name]}")
    return values
