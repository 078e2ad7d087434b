"""The progress of a search: a bar in a terminal, and a line for each candidate elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.storage.measured_notes import PREDICTED

log = logging.getLogger("searchkit.progress")

LINES = 1.0  # seconds between two lines
LONGEST = 120  # characters of a reason in a line
INTERVAL = 0.2  # seconds between two computations of the front, which takes longer than a fast evaluation
CLOSED = (OSError, ValueError)  # raised by closed streams, and by those whose terminal or pipe is closed
BOUNDED = "{l_bar}{bar}| {n_fmt}/{total_fmt} evaluated [{elapsed}<{remaining}{postfix}]"


class Progress:
    """A context manager, whose ``update`` is a callback of the search.

    The bar has the size of the front, the best value of the first objective, and the time left. If the terminal is
    closed during the search, the bar ends, and the search goes on. Where there is no bar, each candidate is a line of
    the logger "searchkit.progress", level INFO, at most one in :data:`LINES` seconds.

    Args:
        shown: whether to show the bar; None: in a terminal only. False: no lines either.
        budget: of the search, with the time until which candidates are begun.
    """

    def __init__(self, shown: bool | None, goals: Goals, budget: Budget, trials: Sequence[Trial]) -> None:
        self._goals, self._budget = goals, budget
        self._bar: Any = None
        self._trials = trials
        self._last, self._said = 0.0, -LINES
        self._lines = shown is not False
        if sys.stderr is None or not (_is_terminal() if shown is None else shown):  # None: a program without a console
            return
        from tqdm import tqdm

        n_done = sum(trial.finished for trial in trials)
        known = budget.evaluations is not None
        with suppress(*CLOSED):
            self._bar = tqdm(
                total=budget.evaluations,
                initial=n_done,
                dynamic_ncols=True,
                bar_format=BOUNDED if known else "{n_fmt} evaluated [{elapsed}{postfix}]",
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar is not None:
            with suppress(*CLOSED):
                if self._trials:  # what stays on the screen includes the last candidate
                    self._bar.set_postfix_str(self._text(self._trials), refresh=False)
                self._bar.close()

    def update(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Count one candidate, and compute the front a few times a second."""
        if self._bar is None:
            self._say(trial, trials)
            return
        self._trials = trials
        try:
            self._bar.update()
            if time.monotonic() - self._last >= INTERVAL:
                self._last = time.monotonic()
                self._bar.set_postfix_str(self._text(trials))
        except CLOSED:
            self._bar.disable = True  # or it would write once more when it is deleted
            self._bar = None

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

    def _text(self, trials: Sequence[Trial]) -> str:
        winners = pareto_front(trials, self._goals)
        parts = [f"front {len(winners)}"]
        if winners:
            first = self._goals.objectives[0].name
            parts.append(f"best {first} {winners[0].values[first]:.4g}")
        n_failed = sum(trial.state is State.FAILED for trial in trials)
        parts += [f"{n_failed} failed"] if n_failed else []
        if self._budget.seconds is not None:
            elapsed = max((trial.elapsed for trial in trials), default=0.0)  # the last trials may have no outcome yet
            parts.append(f"{max(0.0, self._budget.seconds - elapsed):.0f} s left")
        return ", ".join(parts)


def _how(trial: Trial, name: str) -> str:
    """What is said behind the value of a cost that is not measured yet."""
    return " (predicted)" if name + PREDICTED in trial.values else ""


def _is_terminal() -> bool:
    """Whether standard error is a terminal."""
    try:
        return sys.stderr.isatty()
    except CLOSED:
        return False
