"""The columns of a data frame, of pandas or a library like it: what kind each is, and its values as plain arrays."""

from __future__ import annotations

import datetime
import numbers as abstract
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from searchkit.errors import DataError, nearest

Column = Literal["numbers", "text", "dates", "durations"]

NAMED = 5  # columns that a message names at most
_BY_CODE = {"b": "numbers", "i": "numbers", "u": "numbers", "f": "numbers", "M": "dates", "m": "durations"}
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "numbers": (abstract.Real, np.number, np.bool_, Decimal),
    "dates": (datetime.date, np.datetime64),
    "durations": (datetime.timedelta, np.timedelta64),
}
_ADVICE = (
    "columns of a data frame hold numbers, booleans, text, categories, dates or durations: leave these out, or turn "
    "them into such columns"
)


def names_of(frame: object) -> dict[str, object]:
    """The names of a frame's columns as text -> as the frame has them.

    Raises:
        DataError: two columns have the same name.
    """
    given = list(cast(Any, frame).columns)
    found = {str(name): name for name in given}
    if len(found) < len(given):
        texts = [str(name) for name in given]
        twice = list(dict.fromkeys(name for name in texts if texts.count(name) > 1))
        raise DataError(f"the data frame has several columns named {listed(twice)}; columns need names of their own")
    return found


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first few of them."""
    names = list(names)
    return ", ".join(repr(name) for name in names[:NAMED]) + ", ..." * (len(names) > NAMED)


def check_there(wanted: Iterable[str], there: Iterable[str], whose: str = "the data frame") -> None:
    """Refuse a frame that lacks columns.

    Raises:
        DataError: some are missing; the message names them and, of the first, the nearest that is there.
    """
    wanted, there = list(wanted), list(there)
    missing = [name for name in wanted if name not in there]
    if missing:
        others = {name.lower(): name for name in there if name not in wanted}
        near = others.get(nearest(missing[0], others) or "")
        hint = "" if near is None else f"; did you mean {near!r}?"
        s = "s" * (len(missing) > 1)
        raise DataError(f"{whose} lacks column{s} {listed(missing)}; it has {listed(there) or 'none'}{hint}")


def read_columns(
    frame: object, names: Mapping[str, object], text: Iterable[str] = ()
) -> dict[str, tuple[Column, npt.NDArray[Any]]]:
    """The kind and the values ``(n,)`` of each column, by its name.

    Numbers and booleans are float64 with NaN where one is missing, durations as well, in days; text and categories are
    objects, str or None; dates are datetime64[s], of the clock of their time zone, or NaT.

    Args:
        names: as text -> as the frame has them.
        text: names of columns of which numbers and booleans are read as text, too.

    Raises:
        DataError: columns hold something else; the message names them.
    """
    found: dict[str, tuple[Column, npt.NDArray[Any]]] = {}
    odd, named = dict[str, str](), set(text)
    for name, own in names.items():
        read = _read(cast(Any, frame)[own], name in named)
        if isinstance(read, str):
            odd[name] = read
        else:
            found[name] = read
    if odd:
        verb = "hold" if len(odd) > 1 else "holds"
        what = " and ".join(dict.fromkeys(odd.values()))
        raise DataError(f"in table X, column{'s' * (len(odd) > 1)} {listed(odd)} {verb} {what}; {_ADVICE}")
    return found


def is_plain(frame: object) -> bool:
    """Whether all columns of a frame are numbers or booleans, also as categories or objects, and none is missing.

    Columns that cannot be read are no reason to say no: who takes the frame as an array says what is wrong.
    """
    for name in cast(Any, frame).columns:
        array = np.asarray(cast(Any, frame)[name])
        if array.dtype.kind in "biu":
            continue
        if array.dtype.kind == "f":
            if np.isnan(array).any():
                return False
            continue
        if array.dtype.kind != "O" or array.ndim != 1 or _gaps(array).any():
            return False
        if not all(_kind_of(one) == "numbers" for one in set(map(type, array))):
            return False
    return True


def _read(series: Any, text: bool) -> tuple[Column, npt.NDArray[Any]] | str:
    """The kind and the values of a column, or what it holds that cannot be read."""
    if str(getattr(series, "dtype", "")) == "category":
        array = np.asarray(series.astype(object), dtype=object)
        return "text", _as_text(array, _gaps(array))
    array = np.asarray(series)
    if array.ndim != 1:
        return "arrays"
    code = array.dtype.kind
    if code in "biuf" and text:
        array, code = array.astype(object), "O"
    if code in _BY_CODE:
        return _plain(cast(Column, _BY_CODE[code]), array)
    if code == "c":
        return "complex numbers"
    if code not in "OUST":
        return f"values of type {array.dtype}"
    array = array.astype(object)
    gaps = _gaps(array)
    kinds = {_kind_of(one) for one in set(map(type, array[~gaps]))}
    odd = sorted(kinds - set(_TYPES))
    if odd:
        return odd[0]
    if not kinds:
        return "numbers", np.full(len(array), np.nan)
    if kinds <= {"text", "numbers"}:
        return ("text", _as_text(array, gaps)) if text or "text" in kinds else ("numbers", _as_numbers(array, gaps))
    return _of_times(array, gaps, kinds)


def _kind_of(one: type) -> str:
    """A key of ``_TYPES``, or what is said of values of another type."""
    found = next((kind for kind, types in _TYPES.items() if issubclass(one, types)), None)
    if found is not None and not issubclass(one, complex | np.complexfloating):
        return found
    if issubclass(one, complex | np.complexfloating):
        return "complex numbers"
    if hasattr(one, "__float__") and not hasattr(one, "__len__"):
        return "numbers"
    known = {list: "lists", tuple: "tuples", dict: "dictionaries", set: "sets", np.ndarray: "arrays"}
    return known.get(one, f"objects of type {one.__name__}")


def _gaps(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where values are missing."""
    import pandas as pd

    return np.asarray(pd.isna(array), dtype=bool)


def _plain(kind: Column, array: npt.NDArray[Any]) -> tuple[Column, npt.NDArray[Any]]:
    if kind == "dates":
        return kind, array.astype("datetime64[s]")
    if kind == "durations":
        days = array.astype("timedelta64[ms]") / np.timedelta64(1, "D")
        return kind, np.where(np.isnat(array), np.nan, days)
    return kind, array.astype(np.float64)


def _of_times(array: npt.NDArray[Any], gaps: npt.NDArray[np.bool_], kinds: set[str]) -> tuple[Column, Any] | str:
    """Dates or durations that are objects; dates of a time zone lose it, and keep their clock."""
    if len(kinds) > 1:
        return f"{' and '.join(sorted(kinds))} in one column"
    kind = cast(Column, next(iter(kinds)))
    unit = "datetime64[s]" if kind == "dates" else "timedelta64[ms]"
    made = np.full(len(array), np.array("NaT", dtype=unit))
    for i in np.flatnonzero(~gaps):
        value = array[i]
        made[i] = value.replace(tzinfo=None) if getattr(value, "tzinfo", None) is not None else value
    return _plain(kind, made)


def _as_numbers(array: npt.NDArray[Any], gaps: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    made = np.full(len(array), np.nan)
    made[~gaps] = [float(one) for one in array[~gaps]]
    return made


def _as_text(array: npt.NDArray[Any], gaps: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Names of values; the same number has the same name, whatever its type: columns without gaps have other types."""
    made = np.full(len(array), None, dtype=object)
    made[~gaps] = [_text(one) for one in array[~gaps]]
    return made


def _text(one: object) -> str:
    if isinstance(one, float | np.floating) and float(one).is_integer():
        return str(int(one))
    return one.decode(errors="replace") if isinstance(one, bytes) else str(one)
