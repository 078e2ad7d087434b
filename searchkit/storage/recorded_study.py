"""A study as those see it who read its record: the same from a journal file and from any Optuna storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from searchkit.storage.optuna_compat import storage_of
from searchkit.storage.paths import place_of


@dataclass(frozen=True)
class RecordedStudy:
    """What is read of a study.

    Args:
        name: of the study.
        place: its file or database, as text for messages.
        attributes: its user attributes: the header, and the notes of searches.
        trials: returns its trials by number. They are those of the record; a reader does not change them.
    """

    name: str
    place: str
    attributes: dict[str, Any]
    trials: Callable[[], Sequence[FrozenTrial]]

    @classmethod
    def of(cls, study: optuna.Study) -> RecordedStudy:
        """An Optuna study."""
        place = place_of(storage_of(study))
        return cls(study.study_name, place, study.user_attrs, lambda: study.get_trials(deepcopy=False))
