"""Numbers of a range as an ordered, finite set, each with a whole number as its code.

So a number is a column of the integer matrix of candidates like any other choice: equal numbers are equal codes, and a
record holds what was evaluated to the last digit. The code of a float is its rank among all floats of the range
(IEEE 754: the bits of positive floats, read as integers, ascend with them).
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Protocol

import numpy as np

from searchkit.types import Codes, Floats

TINY = 1e-100  # share of the largest number of a linear range under which a number counts as 0
DIGITS = 12  # of a range, to which numbers are rounded that nobody has written


class Grid(Protocol):
    """Ascending numbers, numbered from 0.

    Attributes:
        size: how many there are.
    """

    size: int

    def value(self, code: int) -> float:
        """The number of a code."""
        ...

    def values(self, codes: Codes) -> Floats:
        """``(n,)`` numbers of codes ``(n,)``."""
        ...

    def codes(self, values: Floats) -> Codes:
        """``(n,)`` codes of the nearest numbers."""
        ...

    def short(self, values: Floats) -> Floats:
        """``(n,)`` numbers of few digits near others."""
        ...


class Steps:
    """``low``, ``low + step``, ... : ``size`` numbers; both as decimals, so that three steps of 0.1 are 0.3."""

    def __init__(self, low: float, step: float, size: int) -> None:
        self.size = size
        ends = Decimal(repr(low)), Decimal(repr(step))
        digits = max(0, *(-int(one.as_tuple().exponent) for one in ends))
        self._tens = 10**digits
        self._low, self._step = (int(one * self._tens) for one in ends)

    def value(self, code: int) -> float:
        return float((self._low + code * self._step) / self._tens)

    def values(self, codes: Codes) -> Floats:
        return np.asarray((float(self._low) + codes * float(self._step)) / float(self._tens), dtype=np.float64)

    def codes(self, values: Floats) -> Codes:
        places = (values * float(self._tens) - float(self._low)) / float(self._step)
        return np.asarray(np.clip(np.rint(places), 0, self.size - 1).astype(np.int64))

    def short(self, values: Floats) -> Floats:
        return values


class Reals:
    """All floats of a range.

    Args:
        low, high: the ends, the first below the second.
        log: the scale is logarithmic; low is above 0.
    """

    def __init__(self, low: float, high: float, log: bool) -> None:
        self._low, self._high, self._log = low, high, log
        # on a linear scale, more than half of all floats would be next to 0
        self._tiny = 0 if log else int(_ranks(np.array([TINY * max(abs(low), abs(high))]))[0])
        self._first = int(self._places(np.array([low]))[0])
        self.size = int(self._places(np.array([high]))[0]) - self._first + 1
        span = min(1.0, math.log10(high) - math.log10(low)) if log else high - low
        self._decimals = DIGITS - math.ceil(math.log10(max(span, 1e-250)))

    def value(self, code: int) -> float:
        """As :meth:`values`, without an array, which would take twenty times as long."""
        place = int(code) + self._first
        bits = abs(place) + self._tiny if place else 0
        (magnitude,) = struct.unpack("=d", struct.pack("=q", bits))
        return float(min(max(math.copysign(magnitude, place), self._low), self._high))

    def values(self, codes: Codes) -> Floats:
        places = codes + self._first
        bits = np.where(places == 0, 0, np.abs(places) + self._tiny)
        return np.asarray(np.clip(np.copysign(bits.view(np.float64), places), self._low, self._high))

    def codes(self, values: Floats) -> Codes:
        return self._places(np.clip(values, self._low, self._high)) - self._first

    def short(self, values: Floats) -> Floats:
        decimals = self._decimals
        if self._log:
            powers = decimals - np.floor(np.log10(values))
            tens = 10.0 ** np.clip(powers, -300, 300)  # divided by, so that decimals are short
            return np.asarray(np.where(np.abs(powers) < 300, np.rint(values * tens) / tens, values))
        return np.asarray(np.round(values, decimals))

    def _places(self, values: Floats) -> Codes:
        """Ranks among the floats, 0 for 0 and what is next to it; negative of negative ones."""
        ranks = np.maximum(_ranks(np.abs(values)) - self._tiny, 0)
        return np.asarray(np.where(values < 0, -ranks, ranks), dtype=np.int64)


def _ranks(values: Floats) -> Codes:
    """``(n,)`` ranks of numbers of 0 and more among all floats."""
    return np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
