"""What is on record of a search that was hit, compared with what was there before, and with an undisturbed search."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

import searchkit
from benchmarks.trial_by_fire.cases import DIGITS, Case
from searchkit.errors import StorageError
from searchkit.problem.trial import Trial


@dataclass
class Counts:
    """One row of the table."""

    case: str
    hits: int = 0
    in_work: int = 0
    lost: int = 0
    changed: int = 0
    twice: int = 0
    other_histories: int = 0
    bare_errors: int = 0
    workers_left: int = 0

    def row(self) -> str:
        """The row, as Markdown."""
        return f"| {' | '.join(str(getattr(self, field.name)) for field in fields(self))} |"

    @property
    def faults(self) -> int:
        """What is to be 0."""
        return sum(getattr(self, field.name) for field in fields(self)[3:])


def on_record(storage: Any) -> dict[int, tuple[Any, ...]]:
    """The finished candidates, as they are on record."""
    try:
        return {trial.number: told(trial) for trial in searchkit.load("s", storage).trials if trial.finished}
    except LookupError:  # nothing was recorded yet
        return {}
    except StorageError as error:
        if "is not there" in str(error) or "no such table" in str(error):  # not even a file, or one that was being made
            return {}
        raise


def told(trial: Trial) -> tuple[Any, ...]:
    """What a record says of a candidate."""
    return (trial.batch, tuple(trial.code.tolist()), trial.state, tuple(sorted(trial.values.items())), trial.reason)


def compare(before: dict[int, Any], after: dict[int, Any], counts: Counts) -> None:
    """Count what was on record before and is not, or is something else."""
    counts.lost += sum(number not in after for number in before)
    counts.changed += sum(number in after and after[number] != held for number, held in before.items())


def finished_with(case: Case, storage: Any, log: Path, expected: Any, counts: Counts, hits: int) -> None:
    """Let a search that was hit end, and compare its history and what it evaluated."""
    before = on_record(storage)
    result = case.run(storage, log)
    compare(before, {trial.number: told(trial) for trial in result.trials}, counts)
    codes = Counter(tuple(trial.code.tolist()) for trial in result.trials)
    counts.twice += sum(n - 1 for n in codes.values())
    if case.ordered:
        counts.other_histories += not outcomes(result).equals(expected)
        begun = [line for line in log.read_text().splitlines() if line.startswith("begin")] if log.exists() else []
        if case.slow < 0.1:  # networks are built for more than one reason
            counts.twice += max(0, len(begun) - case.budget - hits * case.at_once)
    if case.slow >= 0.1:  # the weights of the front are there, and are those that were scored
        for row in range(len(result.front)):
            network = result.build(row)
            with torch.inference_mode():
                right = (network(DIGITS.val.x.float()).argmax(1) == DIGITS.val.y).double().mean().item()
            counts.changed += abs(right - result.front.iloc[row]["accuracy"]) > 1e-6


def outcomes(result: searchkit.Result) -> Any:
    """The history without seconds, and without scores on the test part: an interrupted search scores its front, too."""
    return result.history.drop(columns=["seconds", "test_accuracy"], errors="ignore")


def undisturbed(case: Case) -> Any:
    """The history of a search that nothing disturbs."""
    with tempfile.TemporaryDirectory() as folder:
        return outcomes(case.run("memory", Path(folder, "log")))
