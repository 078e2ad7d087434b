"""Convert a user's labels to one vector of ints, bools or strings, or raise a DataError that says what to do."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.arrays import is_missing, plain_array
from searchkit.errors import DataError

Label = str | int | bool

_LARGEST = 2**63  # integer labels are smaller than this, so that they fit into int64


def as_labels(y: object) -> npt.NDArray[Any]:
    """Convert labels to a vector ``(n,)`` of ints, bools or strings; other numbers are accepted if they are whole.

    Raises:
        DataError: y is not one label per example, or one is missing.
    """
    labels = _array(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"labels y are a vector with one label per example, not {_several(labels)}")
    if labels.dtype.kind in "OT":
        labels = _of_objects(labels)
    if labels.dtype.kind == "f":
        odd = ~np.isfinite(labels) | (labels != np.floor(labels)) | (np.abs(labels) >= _LARGEST)
        if odd.any():
            at = int(np.argmax(odd))
            raise DataError(_no_class(at, labels[at]))
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        how = {"S": "; bytes become text by y.astype(str)", "M": "; dates become text by y.astype(str)"}
        raise DataError(f"labels y are ints, strings or bools, not {labels.dtype}{how.get(labels.dtype.kind, '')}")
    return labels


def plain_label(label: Label | np.generic) -> Label:
    """A label as a Python value instead of a numpy scalar."""
    value = label.item() if isinstance(label, np.generic) else label
    return value if isinstance(value, str | bool) else int(value)


def _array(y: Any) -> npt.NDArray[Any]:
    """Labels as an array; refuses examples with several labels each, if their numbers of labels differ."""
    if isinstance(y, list | tuple) or (str(getattr(y, "dtype", "")) == "object" and np.ndim(y) == 1):
        rows = list(y)
        several = [i for i, one in enumerate(rows) if isinstance(one, list | tuple | set | frozenset)]
        lengths = {len(rows[i]) for i in several}
        if several and (len(lengths) > 1 or isinstance(rows[several[0]], set | frozenset)):
            at = next((i for i in several if len(rows[i]) != 1), several[0])
            raise DataError(
                f"labels y are a vector with one label per example, and example {at} has {len(rows[at])}. {_MULTI}"
            )
        y = [one.item() if isinstance(one, torch.Tensor | np.ndarray) and one.ndim == 0 else one for one in rows]
        mixed = len({str if isinstance(one, str) else isinstance(one, bool | np.bool_) for one in y}) > 1
        if not several and (mixed or any(map(is_missing, y))):  # numpy would make "1" of 1, and 1 of True
            made = np.empty(len(y), dtype=object)
            made[:] = y
            return made
    return plain_array(y, "labels y")


_MULTI = (
    "For several labels at once load them with load_data(..., task='multilabel') and search for 'f1_macro'; or "
    "search for one label at a time (y[:, 0] as 0 and 1)"
)


def _several(labels: npt.NDArray[Any]) -> str:
    """What an array with more than one value per example seems to be, and what to give instead."""
    said = f"an array of shape {labels.shape}"
    if labels.ndim > 2:
        return f"{said}; masks are task='segmentation', scored by 'miou', and maps task='maps', by 'rmse' and 'ssim'"
    if labels.ndim != 2 or labels.dtype.kind not in "fiub" or not labels.size:
        return f"{said}. {_MULTI}" if labels.ndim == 2 else said
    rows = labels.astype(np.float64)
    sums = rows.sum(axis=1)
    if np.isin(rows, (0, 1)).all():
        odd = np.flatnonzero(sums != 1)
        if not len(odd):
            return f"{said}; for one-hot labels give y.argmax(axis=1)"
        return f"{said}, of which example {odd[0]} has {sums[odd[0]]:.0f} labels. {_MULTI}"
    if (rows >= 0).all() and np.allclose(sums, 1, atol=1e-3):
        return f"{said} of probabilities; y.argmax(axis=1) gives the most probable classes"
    return f"{said}; several quantities are a regression: objectives=('r2', 'params'), or task='regression'"


def _of_objects(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An object array of labels as an array of strings, of bools or of ints."""
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise DataError(
            f"{_no_class(missing[0], labels[missing[0]], missing=True)}; {len(missing):,} of {len(labels):,} are "
            "missing: leave these examples out, in X too (keep = pandas.notna(y); X[keep], y[keep]), or give them a "
            "class of their own"
        )
    if all(isinstance(label, str) for label in labels):
        return np.array([str(label) for label in labels])
    if all(isinstance(label, bool | np.bool_) for label in labels):
        return labels.astype(bool)
    if not all(_is_number(label) for label in labels):
        kinds = sorted({type(label).__name__ for label in labels})
        raise DataError(
            f"labels y are all ints, all strings or all bools, not {' and '.join(kinds)}; "
            "[str(label) for label in y] makes all of them strings"
        )
    for at, label in enumerate(labels):
        if not _is_whole(label):
            raise DataError(_no_class(at, label))
    return np.array([int(label) for label in labels], dtype=np.int64)


def _is_number(label: Any) -> bool:
    kinds = (numbers.Real, Decimal, np.integer, np.floating)
    return isinstance(label, kinds) and not isinstance(label, bool | np.bool_)


def _is_whole(label: Any) -> bool:
    try:
        return bool(label == int(label)) and abs(label) < _LARGEST
    except (ValueError, OverflowError):
        return False


def _no_class(at: int, label: Any, missing: bool = False) -> str:
    if missing:
        return f"labels y name classes, but label {at} is missing ({label})"
    if label != label:
        return f"{_no_class(at, label, missing=True)}; leave examples without a label out, in X too"
    if abs(label) >= _LARGEST:
        return f"labels y name classes, but label {at} is {label}, beyond 64 bits; give such labels as strings"
    return (
        f"labels y name classes, but label {at} is {label}; give ints, strings or bools, or say that they "
        "are quantities: objectives=('r2', 'params'), or load_data(..., task='regression')"
    )
