"""Numbers of a range as an ordered, finite set: decimals of 14 or 15 digits, each with a whole number as its code.

So a number is a column of the integer matrix of candidates like any other choice: equal numbers are equal codes, a
record holds what was evaluated to the last digit, and a value that somebody gives, such as 0.01, is met exactly. The
digits that are left out are a hundredth of a millionth of what any measurement could tell apart.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

import numpy as np

from searchkit.types import Codes, Floats

FIXED = 15  # digits of the largest number of a linear range
SIGNIFICANT = 14  # digits of each number of a logarithmic range
_DECADE = 9 * 10 ** (SIGNIFICANT - 1)  # numbers of so many digits from 1 to 10


class Grid(Protocol):
    """Ascending numbers, numbered from 0.

    Attributes:
        size: how many there are.
    """

    size: int

    def value(self, code: int) -> float:
        """The number of a code, correctly rounded."""
        ...

    def values(self, codes: Codes) -> Floats:
        """``(n,)`` numbers of codes ``(n,)``, to the last digit or two."""
        ...

    def codes(self, values: Floats) -> Codes:
        """``(n,)`` codes of the nearest numbers."""
        ...


class Steps:
    """``low``, ``low + step``, ... : ``size`` numbers."""

    def __init__(self, low: float, step: float, size: int) -> None:
        self.size = size
        self._low, self._step = low, step

    def value(self, code: int) -> float:
        return float(Decimal(repr(self._low)) + code * Decimal(repr(self._step)))

    def values(self, codes: Codes) -> Floats:
        return np.asarray(self._low + codes * self._step, dtype=np.float64)

    def codes(self, values: Floats) -> Codes:
        return _rounded((values - self._low) / self._step, self.size)


class Decimals:
    """Numbers of a linear range: multiples of a power of ten, and the two ends where they are none.

    Args:
        low, high: the ends, the first below the second.
    """

    def __init__(self, low: float, high: float) -> None:
        self._exponent = math.floor(math.log10(max(abs(low), abs(high)))) - FIXED + 1
        unit = Decimal(1).scaleb(self._exponent)
        ends = Decimal(repr(low)) / unit, Decimal(repr(high)) / unit
        self._first = int(ends[0].to_integral_value(ROUND_CEILING))
        last = int(ends[1].to_integral_value(ROUND_FLOOR))
        self._before = int(self._first != ends[0])  # 1 where the lower end is a number of its own
        self.size = last - self._first + 1 + self._before + int(last != ends[1])
        self._low, self._high = low, high

    def value(self, code: int) -> float:
        if code == 0 or code == self.size - 1:
            return self._low if code == 0 else self._high
        return float(f"{self._first + code - self._before}e{self._exponent}")

    def values(self, codes: Codes) -> Floats:
        inside = (self._first + codes - self._before) * 10.0**self._exponent
        return np.asarray(np.clip(inside, self._low, self._high), dtype=np.float64)

    def codes(self, values: Floats) -> Codes:
        return _rounded(values / 10.0**self._exponent - self._first + self._before, self.size)


class SignificantDecimals:
    """Numbers of a logarithmic range: all of so many significant digits, and the two ends where they have more.

    Args:
        low, high: the ends, above 0, the first below the second.
    """

    def __init__(self, low: float, high: float) -> None:
        first, last = _rank(low, ROUND_CEILING), _rank(high, ROUND_FLOOR)
        self._low, self._high = low, high
        self._before = int(_number(first) != low)
        self._first = first
        self.size = last - first + 1 + self._before + int(_number(last) != high)

    def value(self, code: int) -> float:
        if code == 0 or code == self.size - 1:
            return self._low if code == 0 else self._high
        return _number(self._first + code - self._before)

    def values(self, codes: Codes) -> Floats:
        exponents, digits = np.divmod(codes + (self._first - self._before), _DECADE)
        inside = (digits + 10 ** (SIGNIFICANT - 1)) * np.power(10.0, exponents - (SIGNIFICANT - 1))
        return np.asarray(np.clip(inside, self._low, self._high), dtype=np.float64)

    def codes(self, values: Floats) -> Codes:
        values = np.clip(values, self._low, self._high)
        exponents = np.floor(np.log10(values)).astype(np.int64)
        digits = np.rint(values / np.power(10.0, exponents - (SIGNIFICANT - 1))).astype(np.int64)
        ranks = exponents * _DECADE + digits - 10 ** (SIGNIFICANT - 1)
        return np.asarray(np.clip(ranks - (self._first - self._before), 0, self.size - 1), dtype=np.int64)


def _rank(value: float, rounding: str) -> int:
    """The place of a positive number among all numbers of so many significant digits; that of 1 is 0."""
    given = Decimal(repr(value))
    exponent = given.adjusted()
    digits = int(given.scaleb(SIGNIFICANT - 1 - exponent).to_integral_value(rounding))
    return int(exponent * _DECADE + digits - 10 ** (SIGNIFICANT - 1))


def _number(rank: int) -> float:
    exponent, digits = divmod(rank, _DECADE)
    return float(f"{digits + 10 ** (SIGNIFICANT - 1)}e{exponent - (SIGNIFICANT - 1)}")


def _rounded(places: Floats, size: int) -> Codes:
    codes: Codes = np.clip(np.rint(places), 0, size - 1).astype(np.int64)
    return codes
