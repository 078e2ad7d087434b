"""Scores that outlive the process, on the record of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchkit.space import keys
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer
    from searchkit.storage.record import Record

NOTE_SIZE = 50  # scores in one note of the record


class ScoreCache:
    """A scorer's scores on a study's record: read when the search starts, and written as they are computed.

    Args:
        settings: everything beside the candidate that the scores depend on; scores of other settings are not read.
    """

    def __init__(self, record: Record, scorer: Scorer, settings: str) -> None:
        self._record, self._settings = record, settings
        self._new: list[list[Any]] = []
        self._n_notes = 0
        space = scorer.space
        for note in record.noted("scores:"):
            self._n_notes += 1
            if note["settings"] == settings:
                for code, scores in note["scores"]:
                    known = {name: math.nan if value is None else value for name, value in scores.items()}
                    scorer.cache.setdefault(keys(space.check(code))[0], {}).update(known)
        scorer.on_scored = self._keep

    def _keep(self, code: Codes, scores: Mapping[str, float]) -> None:
        named = {name: value if math.isfinite(value) else None for name, value in scores.items()}
        self._new.append([code.tolist(), named])
        if len(self._new) >= NOTE_SIZE:
            self.write()

    def write(self) -> None:
        """Write the new scores to the record."""
        if self._new:
            self._record.note(f"scores:{self._n_notes}", {"settings": self._settings, "scores": self._new})
            self._new, self._n_notes = [], self._n_notes + 1
