"""The ends and steps of ranges as users give them, checked."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Protocol

import numpy as np

from searchkit.errors import SpaceError
from searchkit.space.labels import shown

SMALLEST, LARGEST = 1e-250, 1e250  # of the ends of a range of floats
LARGEST_INT = 2**53  # of the ends of a range of integers: a float can hold all up to it


class Range(Protocol):
    """A number of a range."""

    name: str
    low: int | float
    high: int | float
    log: bool


def real(name: str, side: str, value: object) -> float:
    if isinstance(value, np.generic):
        value = value.item()
    big = isinstance(value, int) and abs(value) > LARGEST
    if isinstance(value, bool) or not isinstance(value, int | float) or (not big and not math.isfinite(value)):
        raise SpaceError(f"{side} of Float '{name}' is a finite number, not {shown(value)}")
    if value and not SMALLEST <= abs(value) <= LARGEST:
        raise SpaceError(
            f"{side} of Float '{name}' is {shown(value)}: numbers between {SMALLEST} and {LARGEST} can be taken"
        )
    return float(value)


def whole(name: str, side: str, value: object) -> int:
    if isinstance(value, np.generic):
        value = value.item()
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole:
        raise SpaceError(f"{side} of Int '{name}' is a whole number, not {shown(value)}")
    if abs(value) > LARGEST_INT:
        raise SpaceError(f"{side} of Int '{name}' is {shown(value)}: numbers up to 2^53 can be taken; give a Float")
    return int(value)


def check_range(number: Range, kind: str) -> None:
    name, low, high = number.name, number.low, number.high
    if low > high:
        raise SpaceError(f"{kind} '{name}' has low={low} above high={high}: give low={high}, high={low}")
    if number.log and low <= 0:
        raise SpaceError(
            f"{kind} '{name}' has log=True and begins at {low}: a logarithmic scale needs a low above 0"
            + (f", such as {1 if kind == 'Int' else high / 1e4:g}" if high > 0 else "")
        )


def n_steps(number: Range, step: int | float) -> int:
    kind, name, low, high = type(number).__name__, number.name, number.low, number.high
    if step <= 0:
        raise SpaceError(f"step of {kind} '{name}' is above 0, not {step}")
    if number.log and step != 1:
        raise SpaceError(
            f"{kind} '{name}' has log=True and step={step}: a logarithmic scale has no steps; leave one out"
        )
    span, each = Decimal(repr(high)) - Decimal(repr(low)), Decimal(repr(step))
    if span / each > LARGEST_INT:
        raise SpaceError(f"{kind} '{name}' has more than 2^53 steps of {step}: leave step out")
    n, rest = divmod(span, each)
    if rest:
        ends = [Decimal(repr(low)) + k * each for k in (n, n + 1)]
        near = f"high={ends[0]} or {ends[1]}" if n else f"high={ends[1]}"
        raise SpaceError(f"{kind} '{name}' from {low} to {high} cannot be cut into steps of {step}: give {near}")
    return int(n) + 1
