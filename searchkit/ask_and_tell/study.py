"""Ask and tell: a study whose candidates are evaluated elsewhere.

Every candidate is on record before it is given away, so that nothing depends on the process that asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from searchkit.ask_and_tell.recorded import USUAL, Known, evaluated_elsewhere, on_record
from searchkit.ask_and_tell.values import checked_seconds, checked_values, open_trial
from searchkit.errors import SearchkitError
from searchkit.execution.outcome import Outcome
from searchkit.problem.budget import Budget
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.accounting import seconds_of
from searchkit.search.study import Study, go_on
from searchkit.space import Space
from searchkit.space.dictionaries import labelled
from searchkit.space.labels import Label
from searchkit.storage.optuna_record import OptunaRecord
from searchkit.storage.owners import ClaimedByAnotherError
from searchkit.storage.paths import settled_storage
from searchkit.storage.record import Memory, Record

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from searchkit.api import Limit
    from searchkit.options import Options
    from searchkit.search.loop import Search

AGAIN = 0.2  # seconds between two attempts to open a study that another process has


@dataclass(frozen=True)
class Asked:
    """A candidate that is to be evaluated: its ``number``, and its ``choices`` by name."""

    number: int
    choices: dict[str, Label]


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
        given = {"space": space, "objectives": objectives, "constraints": constraints, "strategy": strategy}
        given = {key: value for key, value in (given | {"budget": budget, "seed": seed}).items() if value is not None}
        self._name, self._storage, self._wait, self._opened = name, storage, wait, ExitStack()
        known = on_record(name, storage, given) if space is None or objectives is None else None
        usual = {"strategy": "auto", "budget": USUAL, "seed": 0}
        self._arguments: dict[str, Any] = (usual if known is None else known.arguments) | given
        # a study that is continued as it was begun needs no options to be told something: their libraries take seconds
        self._known: Known | None = None if given else known
        self._options: Options | None = None if self._known else self._read_options()
        self._record: Record
        self._search: Search | None = None
        self._batches: list[list[Trial]] = []

    def _read_options(self) -> Options:
        from inspect import signature

        from searchkit.api import run
        from searchkit.option_reading import read_options

        fixed = {"storage": self._storage, "name": self._name, "proxies": (), "evaluate": evaluated_elsewhere}
        bound = signature(run).bind(**self._arguments, **fixed)
        bound.apply_defaults()
        return read_options(**bound.arguments)

    def __enter__(self) -> AskAndTell:
        self._search, self._batches = None, []
        if self._known is not None:
            known = self._known
            self._space, self._goals = known.space, known.goals
            place = settled_storage(self._storage)
            self._record = self._claimed(
                lambda: OptunaRecord(place, self._name, known.space, known.goals, known.header)
            )
            header = None
        else:
            header = self._open_with_options()
        self._opened.callback(self._record.close)
        with ExitStack() as opened:
            opened.callback(self._opened.close)
            if header is not None:
                go_on(self._record, self._name, header)
            self._study, self._began = Study(self._record), time.perf_counter()
            self._before = seconds_of(self._study)
            opened.pop_all()
        return self

    def _open_with_options(self) -> dict[str, Any]:
        """Open the record of a study that is begun, or continued with other arguments; returns its header."""
        from searchkit.assembly import begin_strategy, opener_of
        from searchkit.planned import checked_problem

        options = self._options = self._options or self._read_options()
        self._space, self._goals = options.task.space, options.task.goals
        header = options.header(begin_strategy(options, checked_problem(options)))
        self._record = Memory() if options.in_memory else self._claimed(opener_of(options, header))
        return header

    def _searching(self) -> Search:
        """The search, whose strategy has been told what is on record; made when the first candidate is asked for."""
        if self._search is None:
            from searchkit.assembly import begin_strategy
            from searchkit.execution.executors import InProcess
            from searchkit.planned import checked_problem
            from searchkit.search.loop import Search

            options = self._options = self._options or self._read_options()
            task, problem = options.task, checked_problem(options)
            self._search = Search(
                problem, begin_strategy(options, problem), task.goals, None,
                InProcess(task.evaluate, task.needed, None), self._record, Budget(), 1, options.seed,
                called=options.strategy_name,
            )  # fmt: skip
            self._batches = [self._search.ask(1, batch) for batch in self._search.begin()]
        return self._search

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _claimed(self, opener: Callable[[], Record]) -> Record:
        """The record, when no other process writes it any more."""
        until = time.monotonic() + self._wait
        while True:
            try:
                return opener()
            except ClaimedByAnotherError:
                if time.monotonic() >= until:
                    raise
                time.sleep(AGAIN)

    @property
    def trials(self) -> Sequence[Trial]:
        """Every candidate so far, in the order of asking."""
        return self._study.trials

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
        search, asked = self._searching(), []
        for _ in range(n):
            batch = search.ask(1, [], [trial.code for trial in self.trials if not trial.finished])
            if not batch:
                break
            self._batches.append(batch)
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
        trial, checked = open_trial(self.trials, number, self._name), checked_values(values, self._goals.metrics)
        self._finish(trial, State.SCORED, Outcome(values=checked, seconds=checked_seconds(seconds)))
        return trial in pareto_front(self.trials, self._goals)

    def fail(self, number: int, reason: str, seconds: float = 0.0) -> None:
        """Record that the evaluation of a candidate failed, and why.

        Raises:
            SearchkitError: the candidate was never asked for, or was told already.
        """
        trial = open_trial(self.trials, number, self._name)
        self._finish(trial, State.FAILED, Outcome(reason=str(reason), seconds=checked_seconds(seconds)))

    def check(self, number: int, values: Mapping[str, float] | None = None, seconds: float = 0.0) -> None:
        """Raise what :meth:`tell` would raise with these values, or :meth:`fail` without any; nothing is recorded."""
        open_trial(self.trials, number, self._name)
        checked_seconds(seconds)
        if values is not None:
            checked_values(values, self._goals.metrics)

    def _finish(self, trial: Trial, state: State, outcome: Outcome) -> None:
        self._study.finish(trial, state, outcome, self._before + time.perf_counter() - self._began)
        if self._search is not None:
            (batch,) = [batch for batch in self._batches if trial in batch]
            self._search.tell_if_complete(batch)

    def _asked(self, trial: Trial) -> Asked:
        return Asked(trial.number, labelled(self._space, trial.code))
