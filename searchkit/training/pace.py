"""The time of one training: a limit that ends it, and a time within which its schedule is fitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from searchkit.errors import CandidateError, TimeLimitError

SLOW = 2  # first steps, which initialise libraries and are not counted in the time of a step
FIRST = 3  # further steps after which the time of a step is known well enough to plan by it
OFTEN = 0.02  # share of the time, after which the rest of the schedule is compared with the rest of the time again
TOLERATED = 0.03  # share of the rest of the time by which it may be expected to be missed
MEMORY = 0.5  # weight of what was measured last in the time of a step


class Schedule(Protocol):
    """A training as the clock sees it."""

    taken: int
    left: int
    planned: int

    @property
    def epoch(self) -> int:
        """The epoch of the last step, from 1."""
        ...

    @property
    def epochs(self) -> int:
        """The number of epochs in all."""
        ...

    @property
    def wanted(self) -> int:
        """Steps that are left of the schedule at its own pace."""
        ...

    def rest_in(self, left: int) -> None:
        """Go through the rest of the schedule in ``left`` more steps."""
        ...


class Clock:
    """Watches the time of a training, in seconds of a clock that nobody can set.

    Args:
        started: ``time.perf_counter()`` at the start.
        limit: seconds after which the training has failed, or None.
        within: seconds that training and scoring should take from the first step on, or None. Where the rest of the
            schedule is expected to take longer than the rest of this time, it is gone through in fewer steps; and in
            more again, up to those of the recipe, where the steps turn out to be quicker.
        least: steps that a training within a time should make; if its beginning tells that it cannot, it has failed.
        now: the clock.
    """

    def __init__(
        self,
        started: float,
        limit: float | None = None,
        within: float | None = None,
        least: int = 0,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._started, self._limit, self._within, self._least, self._now = started, limit, within, least, now
        self._schedule: Schedule | None = None
        self._step: float | None = None
        self._usual = 0.0
        self._trusted, self._doubted = False, False

    @property
    def timed(self) -> bool:
        """Whether there is a time within which the schedule is fitted."""
        return self._within is not None

    def begin(self, schedule: Schedule, scoring: float = 0.0) -> None:
        """Watch a training that makes its first step now.

        Args:
            scoring: seconds that its scores take after it, which are kept for them.
        """
        self._schedule, self._scoring = schedule, scoring
        self._first = self._then = self._now()
        self._last = schedule.taken

    def end(self) -> None:
        """Watch it no longer."""
        self._schedule = None

    def check(self) -> None:
        """Called after each step.

        Raises:
            TimeLimitError: the time is over the limit.
            CandidateError: a step takes so long that too few can be made.
        """
        assert self._schedule is not None
        now = self._now()
        if self._limit is not None and now - self._started > self._limit:
            raise TimeLimitError(
                f"over its limit of {self._limit:g} s at epoch {self._schedule.epoch} of {self._schedule.epochs}"
            )
        if self._within is not None and self._schedule.left:
            self._fit(self._schedule, now, self._within)

    def _fit(self, schedule: Schedule, now: float, within: float) -> None:
        """Compare the rest of the schedule with the rest of the time."""
        rest = self._first + within - now
        if schedule.taken == SLOW:
            self._last, self._then = SLOW, now
        if rest <= 0:
            schedule.rest_in(0)
            return
        n = schedule.taken - self._last
        soon = now - self._then < OFTEN * within and rest > OFTEN * within
        if n < FIRST or (self._trusted and soon):
            return
        self._learn((now - self._then) / n)
        self._last, self._then = schedule.taken, now
        assert self._step is not None
        slower = max(1.0, self._step / self._usual)  # than when the time of scores was measured
        left = min(schedule.wanted, max(0, int((rest - self._scoring * slower) / self._step)))
        if not self._trusted and schedule.taken + left < min(self._least, schedule.planned):
            if not self._doubted:
                self._doubted = True  # something else may have had the processor in so few steps: look once more
                return
            raise CandidateError(
                f"too slow for the time of this search: a training step takes {self._step:.2g} s and the score "
                f"{self._scoring:.2g} s, so that {self._least} steps take more than the {within:.2g} s that it may take"
            )
        self._trusted = True
        if abs(left - schedule.left) * self._step > TOLERATED * rest:
            schedule.rest_in(left)

    def _learn(self, lately: float) -> None:
        """Take in the seconds of a step among the last steps."""
        if self._trusted and self._step is not None:
            self._step = MEMORY * lately + (1 - MEMORY) * self._step
        else:
            self._step = self._usual = lately if self._step is None else min(self._step, lately)
