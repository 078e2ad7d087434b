"""Convert what a user gives as X or y to plain arrays, or raise a DataError that says what was given and what to do."""

from __future__ import annotations

import datetime
import numbers as abstract
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.errors import DataError

_MISSING = ("NAType", "NaTType", "MaskedConstant")  # of pandas and numpy, which need not be imported here
_MEND = {
    "text": "turn names and categories into numbers first (sklearn.preprocessing.OneHotEncoder or OrdinalEncoder, or "
    "pandas.get_dummies)",
    "dates": "turn dates into numbers first, such as days since the first: (t - t.min()) / numpy.timedelta64(1, 'D')",
    "complex numbers": "give their real and imaginary parts as features of their own, or their absolute values",
    "other objects": "give an array of numbers",
}
_COLUMNS = 5  # columns that an error names at most


def plain_array(values: object, what: str) -> npt.NDArray[Any]:
    """Convert a tensor on any device, a list or any other array-like to a numpy array; ``what`` names it in errors.

    Raises:
        DataError: it is sparse, masked, ragged, or no array at all.
    """
    if isinstance(values, torch.Tensor):
        if values.layout != torch.strided:
            raise DataError(f"{what} are a sparse tensor; networks take dense ones: give X.to_dense()")
        values = values.detach().cpu()
        return np.asarray(values.float() if values.dtype in (torch.bfloat16, torch.float16) else values)
    if callable(getattr(values, "toarray", None)) and callable(getattr(values, "tocsr", None)):
        raise DataError(
            f"{what} are a sparse {type(values).__name__} of shape {getattr(values, 'shape', None)}; networks take "
            "dense arrays: give .toarray()"
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        n = int(np.ma.getmaskarray(values).sum())
        raise DataError(f"{what} have {n:,} masked value{'s' * (n != 1)}; fill them (.filled(...)) or leave them out")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise DataError(f"{what} have no common shape; every element must have the same one") from None
    if array.ndim == 0:
        raise DataError(f"{what} are an array, a tensor or a list, not a {type(values).__name__}")
    if array.dtype == object and array.ndim == 1 and len(array) and all(isinstance(one, np.ndarray) for one in array):
        if len({one.shape for one in array}) > 1:
            raise DataError(f"{what} have no common shape; every element must have the same one")
        return np.stack(list(array))  # such as a column of pictures
    return array


def numbers(values: object, what: str) -> npt.NDArray[Any]:
    """Convert values to an array of floats, ints or bools; objects that are numbers become float64, missing ones NaN.

    Raises:
        DataError: they are something else; the message has ``what``, the columns of a data frame, and what to do.
    """
    array = plain_array(values, what)
    if array.dtype.kind in "fiub":
        return array
    columns = _columns(values)
    odd = {name: kind for name, column in columns.items() if (kind := _kind(column))}
    kind = next(iter(odd.values()), "") if columns else _kind(array)
    if not kind:
        try:
            return np.array([_number(one) for one in array.ravel()], dtype=np.float64).reshape(array.shape)
        except (TypeError, ValueError, OverflowError):
            kind = "other objects"
    said, dtype = f" ({kind})", array.dtype
    if odd:
        named = ", ".join(repr(name) for name in list(odd)[:_COLUMNS]) + ", ..." * (len(odd) > _COLUMNS)
        kinds = " and ".join(dict.fromkeys(odd.values()))
        dtype = getattr(values[next(iter(odd))], "dtype", dtype)  # type: ignore[index]  # a frame's
        said = f": column{'s' * (len(odd) != 1)} {named} hold{'s' * (len(odd) == 1)} {kinds}"
    verb = "is" if what.startswith("table") else "are"
    raise DataError(f"{what} {verb} numbers, not {dtype}{said}; {_MEND[kind]}")


def as_float32(values: npt.NDArray[Any], said: str, them: str) -> torch.Tensor:
    """Finite numbers as float32.

    Args:
        said: what they are and that they reach, for the message: "table X reaches".
        them: "it" or "them".

    Raises:
        DataError: they are too large for that.
    """
    with np.errstate(over="ignore"):
        found = torch.from_numpy(np.array(values, dtype=np.float32))
    if not bool(torch.isfinite(found).all()):
        raise DataError(f"{said} {np.abs(values).max():.3g}, which is too large for float32; rescale {them}")
    return found


def is_frame(values: object) -> bool:
    """Whether it is a data frame, of pandas or a library like it."""
    return hasattr(values, "columns") and hasattr(values, "dtypes") and hasattr(values, "shape")


def is_missing(value: object) -> bool:
    """Whether a value means "missing": None, NaN, NA and NaT of pandas, or a masked entry of numpy."""
    if value is None or type(value).__name__ in _MISSING:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _columns(values: Any) -> dict[Any, npt.NDArray[Any]]:
    """The columns of a data frame by their names; empty for anything else."""
    return {name: np.asarray(values[name]) for name in values.columns} if is_frame(values) else {}


def _kind(array: npt.NDArray[Any]) -> str:
    """The kind of values that are not numbers, a key of ``_MEND``; empty if all are numbers or missing."""
    by_type = {"U": "text", "S": "text", "T": "text", "M": "dates", "m": "dates", "c": "complex numbers"}
    if array.dtype.kind != "O":
        return "" if array.dtype.kind in "fiub" else by_type.get(array.dtype.kind, "other objects")
    for one in array.ravel():
        if is_missing(one):
            continue
        if isinstance(one, str | bytes):
            return "text"
        if isinstance(one, datetime.date | datetime.timedelta | np.datetime64 | np.timedelta64):
            return "dates"
        if isinstance(one, complex | np.complexfloating):
            return "complex numbers"
        if not isinstance(one, abstract.Real | np.generic) and not hasattr(one, "__float__"):
            return "other objects"
    return ""


def _number(one: Any) -> float:
    return np.nan if is_missing(one) else float(one)
