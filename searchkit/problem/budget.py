"""The budget of a search: evaluations, seconds, or both; it stops at the first that is spent."""

from __future__ import annotations

import datetime
import math
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
        seconds: wall-clock seconds in all, or None; evaluations that have started are finished.
    """

    evaluations: int | None = None
    seconds: float | None = None


def read_budget(given: object) -> Budget:
    """A budget as users give it: 100, ``{"evaluations": 100, "seconds": 600}``, or a timedelta.

    Raises:
        BudgetError: empty, not positive, or not a number.
    """
    if isinstance(given, Budget):
        given = {"evaluations": given.evaluations, "seconds": given.seconds}
    if isinstance(given, datetime.timedelta):
        given = {"seconds": given.total_seconds()}
    parts: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {"evaluations": given}
    for name in parts:
        if name not in ("evaluations", "seconds"):
            raise UnknownNameError.of("budget", name, ("evaluations", "seconds"))
    parts = {name: value for name, value in parts.items() if value is not None}
    if not parts:
        raise BudgetError("the budget is empty: give a number of evaluations, or {'evaluations': n, 'seconds': s}")
    for name, value in parts.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not _is_finite(value) or value <= 0:
            raise BudgetError(f"the budget's {name} must be a positive number, not {shown(value)}")
        if name == "evaluations" and value != int(value):
            raise BudgetError(f"the budget's evaluations must be a whole number, not {value!r}")
    evaluations, seconds = parts.get("evaluations"), parts.get("seconds")
    return Budget(None if evaluations is None else int(evaluations), None if seconds is None else float(seconds))


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False
