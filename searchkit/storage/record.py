"""The record to which a search writes its trials: the protocol, and a record in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from searchkit.problem.trial import Trial


class Record(Protocol):
    """The trials of a search, and notes about it.

    Attributes:
        trials: in the order in which they were asked.
    """

    trials: list[Trial]

    def ask(self, trials: Sequence[Trial]) -> None:
        """Record new trials before they are evaluated."""
        ...

    def reach(self, trial: Trial, rung: int, score: float) -> None:
        """Record the score of a trial at a rung of the fidelity ladder."""
        ...

    def finish(self, trial: Trial) -> None:
        """Record the outcome of a trial."""
        ...

    def note(self, key: str, value: object) -> None:
        """Record a JSON value under a key of the study."""
        ...

    def notes(self, key: str) -> Any:
        """The value recorded under a key, or None."""
        ...

    def noted(self, prefix: str) -> list[Any]:
        """The values of all keys that begin with a prefix."""
        ...

    def close(self) -> None:
        """Release the study, so that another search may write it."""
        ...


class Memory:
    """A record in memory, which is lost when the process ends."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._notes: dict[str, Any] = {}

    def ask(self, trials: Sequence[Trial]) -> None:
        """Record new trials."""
        self.trials.extend(trials)

    def reach(self, trial: Trial, rung: int, score: float) -> None:
        """Nothing to do: the trial is the record."""

    def finish(self, trial: Trial) -> None:
        """Nothing to do: the trial is the record."""

    def note(self, key: str, value: object) -> None:
        """Record a value."""
        self._notes[key] = value

    def notes(self, key: str) -> Any:
        """The value recorded under a key, or None."""
        return self._notes.get(key)

    def noted(self, prefix: str) -> list[Any]:
        """The values of all keys that begin with a prefix."""
        return [value for key, value in self._notes.items() if key.startswith(prefix)]

    def close(self) -> None:
        """Nothing to release."""
