"""The progress of a search: shown where somebody looks, and a line for each candidate elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.progress_views import CLOSED, chosen_view
from searchkit.storage.measured_notes import PREDICTED

log = logging.getLogger("searchkit.progress")

LINES = 1.0  # seconds between two lines
LONGEST = 120  # characters of a reason in a line
INTERVAL = 0.2  # seconds between two computations of the front, which takes longer than a fast evaluation


class Progress:
    """A context manager, whose ``update`` is a callback of the search.

    What is shown has the size of the front, the best value of the first objective, and the time left. If the terminal
    is closed during the search, it ends, and the search goes on. Where nothing is shown, each candidate is a line of
    the logger "searchkit.progress", level INFO, at most one in :data:`LINES` seconds.

    Args:
        shown: see :func:`searchkit.search.progress_views.chosen_view`. False: no lines either.
        budget: of the search, with the time until which candidates are begun.
    """

    def __init__(self, shown: bool | str | None, goals: Goals, budget: Budget, trials: Sequence[Trial]) -> None:
        self._goals, self._budget, self._trials = goals, budget, trials
        self._last, self._said = 0.0, -LINES
        self._lines = shown is not False
        self._view = chosen_view(shown, goals, budget, trials)

    def __enter__(self) -> Progress:
        if self._view is not None:  # the first candidate may take minutes
            try:
                self._view.draw(self._text(self._trials), self._trials)
            except CLOSED:
                self._view = None
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Show the state after the last candidate, which stays; what follows, such as final trainings, is logged."""
        if self._view is not None:
            with suppress(*CLOSED):
                self._view.close(self._text(self._trials, ended=True), self._trials)
            self._view = None
        self._lines = False

    def update(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Count one candidate, and compute the front a few times a second."""
        if self._view is None:
            self._say(trial, trials)
            return
        self._trials = trials
        try:
            self._view.count()
            if time.monotonic() - self._last >= INTERVAL:
                self._last = time.monotonic()
                self._view.draw(self._text(trials), trials)
        except CLOSED:
            self._view = None

    def _say(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Log a line about a candidate."""
        if not self._lines or not log.isEnabledFor(logging.INFO) or time.monotonic() - self._said < LINES:
            return
        self._said = time.monotonic()
        names = [name for name in self._goals.metrics if name in trial.values]
        values = ", ".join(f"{name} {trial.values[name]:.4g}{_how(trial, name)}" for name in names)
        told = values if trial.state is State.SCORED else f"{trial.state}: {(trial.reason or '')[:LONGEST]}"
        n_done, most = sum(one.finished for one in trials), self._budget.evaluations
        of = f" of {most}" if most is not None else ""
        log.info("candidate %d (%d%s done): %s [%s]", trial.number, n_done, of, told, self._text(trials))

    def _text(self, trials: Sequence[Trial], ended: bool = False) -> str:
        winners = pareto_front(trials, self._goals)
        parts = [f"front {len(winners)}"]
        if winners:
            first = self._goals.objectives[0].name
            parts.append(f"best {first} {winners[0].values[first]:.4g}")
        n_failed = sum(trial.state is State.FAILED for trial in trials)
        parts += [f"{n_failed} failed"] if n_failed else []
        elapsed = max((trial.elapsed for trial in trials), default=0.0)  # the last trials may have no outcome yet
        if self._budget.seconds is not None and elapsed and not ended:
            parts.append(f"{max(0.0, self._budget.seconds - elapsed):.0f} s left")
        return ", ".join(parts)


def _how(trial: Trial, name: str) -> str:
    """What is said behind the value of a cost that is not measured yet."""
    return " (predicted)" if name + PREDICTED in trial.values else ""
