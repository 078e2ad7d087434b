"""Where a search writes what it does: the protocol, and a record that ends with the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from searchkit.problem.trial import Trial


class Record(Protocol):
    """Where a search writes what it does."""

    trials: list[Trial]  # in the order of asking

    def ask(self, trials: Sequence[Trial]) -> None:
        """Make new trials durable, before they are evaluated."""
        ...

    def reach(self, trial: Trial, rung: int, score: float) -> None:
        """Make durable what a rung of the ladder brought."""
        ...

    def finish(self, trial: Trial) -> None:
        """Make an outcome durable."""
        ...

    def note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the study."""
        ...

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        ...

    def noted(self, prefix: str) -> list[Any]:
        """Every value kept under a key that begins so."""
        ...

    def close(self) -> None:
        """Let another search open the study."""
        ...


class Memory:
    """A record that ends with the process."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._notes: dict[str, Any] = {}

    def ask(self, trials: Sequence[Trial]) -> None:
        """Keep new trials."""
        self.trials.extend(trials)

    def reach(self, trial: Trial, rung: int, score: float) -> None:
        """Nothing to do: the trial is the record."""

    def finish(self, trial: Trial) -> None:
        """Nothing to do: the trial is the record."""

    def note(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._notes[key] = value

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        return self._notes.get(key)

    def noted(self, prefix: str) -> list[Any]:
        """Every value kept under a key that begins so."""
        return [value for key, value in self._notes.items() if key.startswith(prefix)]

    def close(self) -> None:
        """Nothing to release."""
