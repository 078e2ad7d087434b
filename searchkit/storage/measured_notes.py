"""Notes of what targets have measured of a candidate: on record at once, and also after the candidate's outcome.

Outcomes are never overwritten, so a cost that was predicted when the candidate ended, and is measured later, stands in
such a note. Whoever reads the trials of a record reads the notes with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from searchkit.problem.trial import Trial
from searchkit.types import Codes

PREDICTED = "_predicted"  # after the name of a column: the standard error of the logarithm of a value that is predicted

_BEGIN = "measured:"


def measured_key(code: Codes) -> str:
    """The key of the note on a candidate ``(d,)``."""
    return f"{_BEGIN}{hashlib.blake2b(code.astype('<i8').tobytes(), digest_size=8).hexdigest()}"


def take_measured(trial: Trial, values: Mapping[str, float], methods: Mapping[str, str]) -> None:
    """Put what targets have measured in the place of what was predicted."""
    for name in values:
        trial.values.pop(f"{name}{PREDICTED}", None)
    trial.values |= values
    trial.methods = trial.methods | dict(methods)


def add_measured(attributes: Mapping[str, object], trials: Sequence[Trial]) -> None:
    """Add what is noted of the trials of a study.

    Args:
        attributes: of the study, as its record has them.
    """
    notes = {key: note for key, note in attributes.items() if key.startswith(f"searchkit:{_BEGIN}")}
    for trial in trials if notes else ():
        note = notes.get(f"searchkit:{measured_key(trial.code)}")
        if isinstance(note, Mapping):
            values = {str(name): float(value) for name, value in note["values"].items()}
            take_measured(trial, values, {str(name): str(text) for name, text in note["methods"].items()})
