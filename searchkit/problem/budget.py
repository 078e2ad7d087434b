"""The budget of a search: evaluations, seconds, or both; it stops at the first that is spent.

It is counted over the whole study, or, where it says "more", from what the study has spent before.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchkit.errors import BudgetError, UnknownNameError
from searchkit.problem.numbers import shown


@dataclass(frozen=True)
class Budget:
    """Counted over the whole study, including what a search that is continued has already spent.

    Attributes:
        evaluations: candidates in all, or None.
        seconds: wall-clock seconds in all, or None.
        more_evaluations, more_seconds: the same from now on, for a study that is continued.
    """

    evaluations: int | None = None
    seconds: float | None = None
    more_evaluations: int | None = None
    more_seconds: float | None = None

    def from_here(self, n_done: int, elapsed: float) -> Budget:
        """The budget of a study that has spent so much, without "more"."""
        evaluations, seconds = self.evaluations, self.seconds
        if self.more_evaluations is not None:
            evaluations = n_done + self.more_evaluations
        if self.more_seconds is not None:
            seconds = elapsed + self.more_seconds
        return Budget(evaluations, seconds)

    @property
    def timed(self) -> bool:
        """Whether it is a number of seconds, among others."""
        return self.seconds is not None or self.more_seconds is not None

    def limit(self, scored: bool) -> float | None:
        """Seconds in all until which candidates begin.

        Args:
            scored: whether one has been scored.
        """
        return self.seconds


@dataclass(frozen=True)
class PlannedBudget(Budget):
    """The budget of the candidates of a search whose time is planned.

    Attributes:
        hopeful: seconds in all until which candidates begin while none has been scored.
    """

    hopeful: float = 0.0

    def limit(self, scored: bool) -> float | None:
        """See :class:`Budget`."""
        return self.seconds if scored or self.seconds is None else max(self.seconds, self.hopeful)


MOST = 1e9  # evaluations, or seconds: thirty years
PARTS = ("evaluations", "seconds", "more_evaluations", "more_seconds")


def read_budget(given: object) -> Budget:
    """A budget as users give it: 100, "+60", ``{"evaluations": 100, "seconds": 600}``, or a timedelta.

    "+60" is ``{"more_evaluations": 60}``: so many more than the study has. "more_seconds" is the same for time.

    Raises:
        BudgetError: empty, not positive, or not a number.
    """
    if isinstance(given, Budget):
        given = {name: getattr(given, name) for name in PARTS}
    if isinstance(given, datetime.timedelta):
        given = {"seconds": given.total_seconds()}
    if isinstance(given, str) and re.fullmatch(r"\+\d+", given):
        given = {"more_evaluations": int(given)}
    if isinstance(given, str):
        raise BudgetError(
            "budget is a number such as 60, '+60' (60 more evaluations), or a time such as {'seconds': 600}, not the "
            f"text {shown(given)}{_meant(given)}"
        )
    parts: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {"evaluations": given}
    for name in parts:
        if name not in PARTS:
            raise UnknownNameError.of("budget", name, PARTS)
    parts = {name: value for name, value in parts.items() if value is not None}
    if not parts:
        raise BudgetError("the budget is empty: give a number of evaluations, or {'evaluations': n, 'seconds': s}")
    for name, value in parts.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not _is_finite(value) or value <= 0:
            raise BudgetError(f"the budget's {name} must be a positive number, not {shown(value)}")
        if value > MOST:
            raise BudgetError(f"the budget's {name} is at most {MOST:g}, not {shown(value)}")
        if name.endswith("evaluations") and value != int(value):
            raise BudgetError(f"the budget's {name} must be a whole number, not {value!r}")
    for name in ("evaluations", "seconds"):
        if {name, f"more_{name}"} <= parts.keys():
            raise BudgetError(f"the budget has {name} in all and more_{name} from now on: leave one of them out")
    whole = {name: int(value) for name, value in parts.items() if name.endswith("evaluations")}
    times = {name: float(value) for name, value in parts.items() if name.endswith("seconds")}
    return Budget(
        whole.get("evaluations"), times.get("seconds"), whole.get("more_evaluations"), times.get("more_seconds")
    )


def _meant(text: str) -> str:
    """What a text was meant to be, where that is likely: a number in quotes, or a time."""
    found = re.fullmatch(r"\s*(\+?)\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None:
        return ""
    more, number, unit = found[1] and "more_", float(found[2]), found[3]
    if not unit and number == int(number):
        return f". Did you mean {int(number)}, without quotes?"
    for units, seconds in (("s|secs?|seconds?", 1), ("m|mins?|minutes?", 60), ("h|hours?", 3600)):
        if re.fullmatch(units, unit):
            return f". Did you mean {{'{more}seconds': {number * seconds:g}}}?"
    return ""


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False
