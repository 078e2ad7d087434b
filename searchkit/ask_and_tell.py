"""Searches whose candidates are evaluated elsewhere, by whom and in whatever language: asked for, and told later.

Every candidate is on record before it is given away, so that nothing depends on the process that asked for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from searchkit.api import Limit, run
from searchkit.assembly import begin_strategy, opener_of
from searchkit.errors import ObjectiveError, SearchkitError, UnknownNameError, check_name, nearest
from searchkit.execution.executors import InProcess
from searchkit.execution.outcome import Outcome
from searchkit.option_reading import read_options
from searchkit.planned import checked_problem
from searchkit.problem.budget import Budget
from searchkit.problem.numbers import number_of, shown
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.found_studies import recorded_header
from searchkit.results.studies import goals_of, read_study, space_of
from searchkit.runtime.fingerprint import fingerprint
from searchkit.search.loop import Search
from searchkit.search.study import go_on
from searchkit.space import Space
from searchkit.space.dictionaries import labelled
from searchkit.space.labels import Label
from searchkit.storage.owners import ClaimedByAnotherError
from searchkit.storage.record import Memory, Record

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

USUAL = 100  # evaluations that a strategy reckons with where no budget is given
LONGEST = 1e9  # seconds of an evaluation: thirty years
AGAIN = 0.2  # seconds between two attempts to open a study that another process has


@dataclass(frozen=True)
class Asked:
    """A candidate that is to be evaluated: its ``number``, and its ``choices`` by name."""

    number: int
    choices: dict[str, Label]


def _elsewhere(choices: Mapping[str, object]) -> dict[str, float]:
    """In the place of the function that evaluates."""
    raise SearchkitError("the candidates of this study are evaluated elsewhere: ask for them and tell their values")


ELSEWHERE = fingerprint(_elsewhere)  # what the record of such a study has in the place of a function's fingerprint


class AskAndTell:
    """A study whose candidates are evaluated elsewhere. A context manager: inside, no other process writes the study.

    >>> with searchkit.AskAndTell("kettle", space=space, objectives={"loss": "min"}) as study:
    ...     (asked,) = study.ask()
    ...     study.tell(asked.number, {"loss": 0.3})

    Args:
        name: of the study. A recorded one is continued, with what its record says of all that is not given.
        space: of which candidates are; needed for a new study, as are objectives.
        objectives: name -> "min" or "max".
        constraints: bounds, as for :func:`searchkit.run`.
        strategy: its name ("auto"), or what else :func:`searchkit.run` takes.
        budget: evaluations that the strategy reckons with (100); more may be asked for.
        storage, seed: see :func:`searchkit.run`.
        wait: seconds to wait while another process writes the study.

    Raises:
        SearchkitError: an argument is invalid, or there is no such study and no space is given.
        StudyMismatchError: the study on record is of another space, or has other objectives.
        StorageError: another process writes the study for longer than that.
    """

    def __init__(
        self,
        name: str,
        *,
        space: Space | str | None = None,
        objectives: Mapping[str, str] | None = None,
        constraints: Mapping[str, Limit] | None = None,
        strategy: str | object | None = None,
        budget: int | None = None,
        storage: str | Path | BaseStorage | None = None,
        seed: int | None = None,
        wait: float = 60.0,
    ) -> None:
        given: dict[str, Any] = {"strategy": strategy, "space": space, "objectives": objectives, "seed": seed}
        given |= {"constraints": constraints, "budget": budget}
        known: dict[str, Any] = {"strategy": "auto", "budget": USUAL, "seed": 0}
        if space is None or objectives is None:
            known = _on_record(name, storage, space, objectives)
        said = known | {key: value for key, value in given.items() if value is not None}
        bound = signature(run).bind(**said, storage=storage, name=name, proxies=(), evaluate=_elsewhere)
        bound.apply_defaults()
        self._options = read_options(**bound.arguments)
        self._wait = wait
        self._opened = ExitStack()

    def __enter__(self) -> AskAndTell:
        options, task = self._options, self._options.task
        problem = checked_problem(options)
        strategy = begin_strategy(options, problem)
        record: Record = Memory() if options.in_memory else self._claimed(options.header(strategy))
        self._opened.callback(record.close)
        with ExitStack() as opened:
            opened.callback(self._opened.close)
            go_on(record, options.name, options.header(strategy))
            self._search = Search(
                problem, strategy, task.goals, None, InProcess(task.evaluate, task.needed, None), record, Budget(), 1,
                options.seed, called=options.strategy_name,
            )  # fmt: skip
            self._begun = [self._search.ask(1, batch) for batch in self._search.begin()]
            opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _claimed(self, header: dict[str, Any]) -> Record:
        """The record, when no other process writes it any more."""
        until = time.monotonic() + self._wait
        while True:
            try:
                return opener_of(self._options, header)()
            except ClaimedByAnotherError:
                if time.monotonic() >= until:
                    raise
                time.sleep(AGAIN)

    @property
    def trials(self) -> Sequence[Trial]:
        """Every candidate so far, in the order of asking."""
        return self._search.study.trials

    @property
    def pending(self) -> list[Asked]:
        """Candidates that were asked for and not told yet."""
        return [self._asked(trial) for trial in self.trials if not trial.finished]

    def ask(self, n: int = 1) -> list[Asked]:
        """New candidates, which are on record when this returns; fewer where the space has no more.

        The strategy knows which are pending, and does not propose them again.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise SearchkitError(f"n is a number of candidates of at least 1, not {n!r}")
        asked = []
        for _ in range(n):
            batch = self._search.ask(1, [], [trial.code for trial in self.trials if not trial.finished])
            if not batch:
                break
            self._begun.append(batch)
            asked += [self._asked(trial) for trial in batch]
        return asked

    def tell(self, number: int, values: Mapping[str, float], seconds: float = 0.0) -> bool:
        """Record what a candidate is worth; returns whether it is on the front now.

        Args:
            number: of the candidate.
            values: of all objectives and bounded metrics, in their own units; other numbers are recorded as well.
            seconds: that its evaluation took.

        Raises:
            SearchkitError: the candidate was never asked for, or was told already.
            ObjectiveError: a value is missing or no finite number.
        """
        trial, checked = self._open_trial(number), self._checked(values)
        self._finish(trial, State.SCORED, Outcome(values=checked, seconds=_seconds(seconds)))
        return trial in pareto_front(self.trials, self._search.goals)

    def fail(self, number: int, reason: str, seconds: float = 0.0) -> None:
        """Record that the evaluation of a candidate failed, and why.

        Raises:
            SearchkitError: the candidate was never asked for, or was told already.
        """
        trial = self._open_trial(number)
        self._finish(trial, State.FAILED, Outcome(reason=str(reason), seconds=_seconds(seconds)))

    def check(self, number: int, values: Mapping[str, float] | None = None, seconds: float = 0.0) -> None:
        """Raise what :meth:`tell` would raise with these values, or :meth:`fail` without any; nothing is recorded."""
        self._open_trial(number)
        _seconds(seconds)
        if values is not None:
            self._checked(values)

    def _finish(self, trial: Trial, state: State, outcome: Outcome) -> None:
        self._search.study.finish(trial, state, outcome, self._search.ledger.elapsed())
        (batch,) = [batch for batch in self._begun if trial in batch]
        self._search.tell_if_complete(batch)

    def _asked(self, trial: Trial) -> Asked:
        return Asked(trial.number, labelled(self._search.problem.space, trial.code))

    def _open_trial(self, number: int) -> Trial:
        """The trial of this number, if it waits for its values."""
        trials, name = self.trials, self._options.name
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(trials):
            there = f"it has candidates 0 to {len(trials) - 1}" if trials else "none was asked for yet"
            raise SearchkitError(f"candidate {number!r} of study '{name}' was never asked for: {there}")
        trial = trials[number]
        if trial.finished:
            values = ", ".join(f"{key} {value:.6g}" for key, value in trial.values.items())
            raise SearchkitError(
                f"candidate {number} of study '{name}' was told already: it is {trial.state}"
                f"{f', {values}' if values else ''}{f' ({trial.reason})' if trial.reason else ''}"
            )
        return trial

    def _checked(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values as numbers, with all that are needed among them."""
        if not isinstance(values, Mapping):
            raise ObjectiveError(
                f'values are given by name, {{"{self._search.goals.metrics[0]}": 0.5}}, not {values!r}'
            )
        needed = self._search.goals.metrics
        for name in needed:
            if name not in values:
                near = nearest(name, [str(one) for one in values])
                hint = f"; '{near}' is none of them" if near else ""
                raise ObjectiveError(f"the value of '{name}' is missing; needed: {', '.join(needed)}{hint}")
        for name in values:
            check_name("a value", name, ObjectiveError)
        return {str(name): _number(str(name), value, name in needed) for name, value in values.items()}


def _seconds(given: float) -> float:
    """A duration as it is told."""
    try:
        seconds = math.nan if isinstance(given, bool | str) else float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST:
        raise SearchkitError(f"the seconds of an evaluation are a number from 0 to {LONGEST:.0e}, not {shown(given)}")
    return seconds


def _number(name: str, value: object, finite: bool) -> float:
    try:
        number = number_of(value)
    except ValueError as error:
        raise ObjectiveError(f"the value of '{name}' is {error}") from None
    if finite and not math.isfinite(number):
        raise ObjectiveError(f"the value of '{name}' is {number}: say that the candidate failed, and why")
    return number


def _on_record(
    name: str, storage: str | Path | BaseStorage | None, space: Space | str | None, objectives: Mapping[str, str] | None
) -> dict[str, Any]:
    """The arguments of a recorded study."""
    if storage == "memory" or (recorded_header(name, storage) is None and (space, objectives) != (None, None)):
        lacking = " and ".join(one for one, given in (("space", space), ("objectives", objectives)) if given is None)
        raise SearchkitError(f"a new study needs its {lacking}, and '{name}' is not on record")
    try:
        header = read_study(name, storage).header
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} A new study needs a space and objectives") from None
    context, search, goals = header["context"], header["search"], goals_of(header)
    if context["strategy"] is None or context["kind"] == "networks":
        how = "its networks are trained by searchkit" if context["strategy"] else "its strategy was given as an object"
        raise SearchkitError(f"study '{name}' is continued by searchkit.run: {how}")
    return {
        "strategy": context["strategy"],
        "space": space_of(header),
        "objectives": dict(search["objectives"]),
        "constraints": {bound.name: (bound.low, bound.high) for bound in goals.bounds},
        "budget": context["budget"].get("evaluations") or USUAL,
        "seed": search.get("seed") or 0,
    }
