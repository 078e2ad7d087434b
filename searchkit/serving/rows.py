"""What the list of studies says of each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from optuna.trial import FrozenTrial

from searchkit.problem.trial import State, pareto_front
from searchkit.results.report.markup import number
from searchkit.results.studies import Study
from searchkit.serving.places import Stamp
from searchkit.storage.paths import StorageLike, is_file
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.writers import Locks

SMALL = 4096  # combinations of a space that are listed and compared with what was evaluated

Word = Literal["running", "ended", "stopped", "begun", "damaged", "gone"]


@dataclass(frozen=True)
class Row:
    """A study as it was read last.

    Attributes:
        place: where it is recorded, as its storage is given.
        key: changes when its record does.
        outcomes, failed: numbers of its candidates that have an outcome, and of those that failed.
        budget: of evaluations; None where it has another one.
        spent: whether its budget is used up, or every candidate of its space has an outcome.
        best: the best of each objective on the front, as ("accuracy", "0.97").
        written: when it was written last, with its time zone; None where that is not known.
        problem: why it cannot be read; else an empty string.
    """

    name: str
    place: StorageLike
    key: Stamp
    strategy: str = ""
    outcomes: int = 0
    failed: int = 0
    front: int = 0
    budget: int | None = None
    spent: bool = False
    best: tuple[tuple[str, str], ...] = ()
    written: datetime | None = None
    problem: str = ""

    def word(self, locks: Locks) -> Word:
        """The state of the study: where nobody can tell whether a search runs, it has "begun"."""
        if self.problem:
            return "damaged"
        running = locks.is_written(self.place, self.name)
        if running:
            return "running"
        return "ended" if self.spent else "begun" if running is None else "stopped"


def row_of(found: RecordedStudy, place: StorageLike, key: Stamp) -> Row:
    """The row of a study, for which its record is read.

    Raises:
        SearchkitError: the record is damaged, or of a newer version.
    """
    study = Study.read(found)
    outcomes = sum(trial.finished for trial in study.trials)
    budget = study.header["context"].get("budget") or {}
    evaluations, seconds = budget.get("evaluations"), budget.get("seconds")
    winners = pareto_front(study.trials, study.goals)
    best = []
    for objective in study.goals.objectives if winners else ():
        values = [trial.values.get(objective.name, math.nan) for trial in winners]
        best.append((objective.name, number(max(values) if objective.direction == "max" else min(values))))
    return Row(
        study.name,
        place,
        key,
        str(study.header["context"].get("strategy") or "a strategy of your own"),
        outcomes,
        sum(trial.state is State.FAILED for trial in study.trials),
        len(winners),
        evaluations,
        bool(evaluations and outcomes >= evaluations) or bool(seconds and study.spent >= seconds) or _is_used_up(study),
        tuple(best),
        _written(place, found.trials()),
    )


def _is_used_up(study: Study) -> bool:
    """Whether every candidate of a small space was evaluated, which ends a search before its budget does."""
    space = study.space
    if not space.is_finite or space.size > SMALL:
        return False
    evaluated = {tuple(trial.code) for trial in study.trials if trial.finished}
    return len(evaluated) >= len(space.enumerate(SMALL))


def written_at(file: str | Path | None) -> datetime | None:
    """When a file was written last; None where it is not there any more."""
    try:
        return datetime.fromtimestamp(Path(file or "").stat().st_mtime).astimezone()
    except OSError:
        return None


def _written(place: StorageLike, trials: Iterable[FrozenTrial]) -> datetime | None:
    """When a record was written last: of a file, its own time; of a study in a database, its last trial's."""
    if is_file(place):
        return written_at(place)
    times = [when for trial in trials for when in (trial.datetime_start, trial.datetime_complete) if when is not None]
    return max(times).astimezone() if times else None
