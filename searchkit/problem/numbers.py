"""What counts as a number: one that a user's function returns, a whole number, a seed."""

from __future__ import annotations

import reprlib
from numbers import Complex, Real
from typing import Any, TypeGuard

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.types import Floats

LONGEST = 80  # characters of a value in a message
SEEDS = 2**32  # numpy's generators and torch's take seeds below this
_LARGE = 1e100  # whose squares are still numbers


def number_of(value: object) -> float:
    """The value as a float, where it is a real number.

    Real numbers are those of Python (int, float, bool, Fraction, Decimal), of numpy, torch and other libraries that
    convert themselves by ``__float__``, and arrays and tensors of any shape with exactly one real number. Text, complex
    numbers (also with an imaginary part of 0), dates, durations, masked entries and lists are not.

    Raises:
        ValueError: it is no real number, or is beyond the largest float. The message, such as "'0.5', not a number",
            continues a sentence that ends in "is".
    """
    try:
        found = _real(value)
    except OverflowError:
        raise ValueError("a number beyond the largest float, 1.8e308") from None
    except Exception as error:
        raise ValueError(f"{shown(value)}, not a number ({type(error).__name__}: {error})") from error
    if found is None:
        raise ValueError(f"{shown(value)}, not a number")
    return found


def numbers_of(values: object) -> Floats:
    """An array of real numbers as float64, of the same shape.

    Raises:
        ValueError: it holds something else; text and complex numbers would be converted otherwise.
    """
    found = np.asarray(values)
    if found.dtype.kind == "O":
        return np.array([number_of(value) for value in found.ravel()], dtype=np.float64).reshape(found.shape)
    if found.dtype.kind not in "biuf":
        raise ValueError(f"an array of {found.dtype}, not of numbers")
    return found.astype(np.float64)


def shown(value: object) -> str:
    """The value as a message shows it, in at most some 80 characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = LONGEST
    try:
        return " ".join(short.repr(value).split())
    except Exception:
        return f"a {type(value).__name__}"


def _real(value: Any) -> float | None:
    if isinstance(value, np.ndarray | np.generic):
        if value.size != 1 or value.dtype.kind not in "biufO" or np.ma.is_masked(value):
            return None
        inner = value.item()
        return float(value) if isinstance(inner, np.generic) else _real(inner)  # longdouble's item is itself
    if isinstance(value, str | bytes | bytearray) or (isinstance(value, Complex) and not isinstance(value, Real)):
        return None
    if not isinstance(value, Real) and callable(getattr(value, "item", None)):  # tensors and arrays of other libraries
        inner = value.item()
        return None if hasattr(inner, "item") and not isinstance(inner, np.generic) else _real(inner)
    return float(value) if hasattr(value, "__float__") or hasattr(value, "__index__") else None


def is_real(value: object) -> TypeGuard[float]:
    """Whether it is a real number of Python or numpy, infinite ones and NaN too, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer of Python or numpy, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def seed_of(name: str, value: object) -> int:
    """A seed as numpy and torch both take it: a whole number from 0 to 2^32 - 1.

    Args:
        name: of the argument.

    Raises:
        SearchkitError: another value.
    """
    if not is_whole(value) or not 0 <= value < SEEDS:
        raise SearchkitError(f"{name} must be a whole number from 0 to {SEEDS - 1:,}, not {shown(value)}")
    return int(value)


def of_usual_size(values: Floats) -> Floats:
    """The values ``(n,)``; times a power of two where they are so large that their squares would overflow."""
    return values if np.abs(values).max(initial=0.0) < _LARGE else halved(values)


def halved(values: Floats) -> Floats:
    """The values ``(n,)`` times the power of two that brings their largest magnitude to between 1/2 and 1."""
    scaled: Floats = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
    return scaled
