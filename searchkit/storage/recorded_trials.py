"""The trials of a recorded study, read from an Optuna storage and checked."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import groupby

from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import LONGEST_REASON, LONGEST_TRACEBACK, StorageError, StudyMismatchError, readable
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.space import Space
from searchkit.storage.measured_notes import add_measured
from searchkit.storage.parameters import CodeReader
from searchkit.storage.recorded_reports import read_reports
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.types import Codes

TO_OPTUNA = {
    State.SCORED: TrialState.COMPLETE,
    State.INFEASIBLE: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
    State.DROPPED: TrialState.PRUNED,
}
_FROM_OPTUNA = {theirs: ours for ours, theirs in TO_OPTUNA.items() if ours is not State.DROPPED}


def read_trials(study: RecordedStudy, space: Space, goals: Goals) -> list[Trial]:
    """The trials of a recorded study, in the order in which they were asked.

    Raises:
        StudyMismatchError: the study has trials that searchkit did not create.
        StorageError: what is recorded of a trial is damaged; the message names it.
    """
    codes = CodeReader(space)
    trials = []
    for frozen in study.trials():
        if "batch" not in frozen.user_attrs:
            raise StudyMismatchError(
                f"study '{study.name}' holds candidates that searchkit did not ask for (trial {frozen.number}); "
                "give another name"
            )
        try:
            trial = _trial_of(frozen, codes(frozen.params))
            if trial.state is State.SCORED:
                trial.values |= {n: v for n, v in zip(goals.names, frozen.values, strict=True) if n not in trial.values}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise StorageError(
                f"candidate {frozen.number} of study '{study.name}' in {study.place} is damaged "
                f"({why}); take the record from a copy, or give another name"
            ) from error
        trials.append(trial)
    add_measured(study.attributes, trials)
    return trials


def _trial_of(frozen: FrozenTrial, code: Codes) -> Trial:
    attrs = frozen.user_attrs
    return Trial(
        number=frozen.number,
        batch=operator.index(attrs["batch"]),
        batch_size=operator.index(attrs["batch_size"]),
        code=code,
        state=State.DROPPED if attrs.get("dropped") else _FROM_OPTUNA.get(frozen.state, State.ASKED),
        values={name: float(value) for name, value in attrs.get("metrics", {}).items()},
        methods=dict(attrs.get("methods", {})),
        reason=_readable(attrs.get("reason"), LONGEST_REASON),
        traceback=_readable(attrs.get("traceback"), LONGEST_TRACEBACK),
        seconds=float(attrs.get("seconds", 0.0)),
        elapsed=float(attrs.get("elapsed", 0.0)),
        reports=read_reports(attrs),
    )


def _readable(text: str | None, longest: int) -> str | None:
    """A recorded text, shortened; records of older versions have texts of any length and with any characters."""
    return None if text is None else readable(text, longest)


def check_batches(name: str, trials: Sequence[Trial]) -> None:
    """Refuse a record with missing, additional or misplaced trials: only the last batch may be incomplete.

    Raises:
        StorageError: the batches are inconsistent; the message names the first trial of the wrong batch.
    """
    batches = [list(group) for _, group in groupby(trials, key=lambda trial: trial.batch)]
    for number, group in enumerate(batches):
        first, missing = group[0], group[0].batch_size - len(group)
        if first.batch != number or missing < 0 or (missing and number < len(batches) - 1):
            raise StorageError(
                f"the record of study '{name}' is inconsistent at trial {first.number} (batch {first.batch}): two "
                "searches wrote it at once. It can be shown, but not continued; give another name"
            )
