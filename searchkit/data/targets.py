"""What is to be predicted: the tasks, and a user's y read for each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from searchkit.data.arrays import is_frame, numbers, plain_array
from searchkit.data.images import Channels
from searchkit.data.labels import Label, as_labels, plain_label
from searchkit.data.masks import as_maps, as_masks, one_array
from searchkit.errors import DataError
from searchkit.types import DENSE, Task

FEWEST = 10  # examples of a group that is spread over parts


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each quantity, or of each channel of maps, in the train part."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Wanted:
    """What is to be predicted, read.

    Attributes:
        y: classes ``(n,)`` int64 from 0 to k - 1; labels ``(n, k)`` int64 of 0 and 1; quantities ``(n,)`` or ``(n, k)``
            float64; masks ``(n, h, w)`` int16, where ``IGNORED`` is left out; or maps ``(n, c, h, w)`` float32, where
            NaN is left out.
        classes: the user's labels, in order; empty for quantities and maps.
    """

    y: npt.NDArray[Any]
    classes: tuple[Label, ...] = ()


def usual_task(y: object) -> Task:
    """The task that y says by its shape, where nobody says it.

    One value for each example is a class; rows of 0 and 1 that are not all one-hot, or several names each, are several
    labels at once; whole numbers for each pixel are masks; other numbers for each pixel are maps.
    """
    if are_tags(y):
        return "multilabel"
    array = plain_array(one_array(y), "labels y")
    if array.ndim == 2 and array.shape[1] > 1 and array.size and array.dtype.kind in "fiub":
        return "multilabel" if np.isin(array, (0, 1)).all() and (array.sum(axis=1) != 1).any() else "classification"
    if array.ndim < 3:
        return "classification"
    one_each = array.ndim == 3 or (array.ndim == 4 and 1 in (array.shape[1], array.shape[3]))
    return "segmentation" if one_each and array.dtype.kind in "iub" else "maps"


def read_targets(
    y: object,
    task: Task,
    known: tuple[Label, ...] | None,
    ignore: int | None,
    channels: Channels | None,
    sides: tuple[int, ...] | None = None,
) -> Wanted:
    """A user's y as the task takes it.

    Args:
        known: the classes of the train part, where these are of another part.
        ignore: of masks, the value of pixels that are left out.
        channels: of maps, see :func:`searchkit.load_data`.
        sides: height and width of the pictures that have maps.

    Raises:
        DataError: y is no such thing; the message says what it is.
    """
    if task == "regression":
        return Wanted(as_quantities(y))
    if task == "multilabel":
        return _several_labels(y, known)
    if task == "segmentation":
        return Wanted(*as_masks(y, known, ignore))
    if task == "maps":
        return Wanted(as_maps(y, channels, sides))
    values, found = np.unique(as_labels(y), return_inverse=True)
    classes = tuple(plain_label(value) for value in values)
    if known is None:
        if len(classes) < 2:
            raise DataError(f"all {len(found):,} labels y are {classes[0]!r}; two or more classes are needed")
        return Wanted(found.astype(np.int64), classes)
    return Wanted(_numbered(classes, known, "labels")[found], known)


def _numbered(classes: Iterable[Label], known: tuple[Label, ...], what: str) -> npt.NDArray[np.int64]:
    """The number of each class among those of the train part."""
    numbers_of = {label: i for i, label in enumerate(known)}
    new = [label for label in classes if label not in numbers_of]
    if new:
        raise DataError(f"the {what} hold class {new[0]!r}, which the training {what} do not have")
    return np.array([numbers_of[label] for label in classes], dtype=np.int64)


def as_quantities(y: object) -> npt.NDArray[np.float64]:
    """``(n,)`` float64, one quantity of each example, or ``(n, k)`` several.

    Raises:
        DataError: y is no such thing, or not finite.
    """
    values = _squeezed(y)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise DataError(
            f"targets y are one number for each example, or a row of several, not an array of shape {values.shape}"
        )
    return _finite(values)


def as_target(y: object) -> npt.NDArray[np.float64]:
    """``(n,)`` float64, one quantity of each example.

    Raises:
        DataError: y is not one finite number per example.
    """
    values = _squeezed(y)
    if values.ndim != 1:
        hint = "; search for one quantity at a time: y[:, 0]" if values.ndim == 2 else ""
        raise DataError(
            f"targets y are a vector with one number per example, not an array of shape {values.shape}{hint}"
        )
    return _finite(values)


def _squeezed(y: object) -> npt.NDArray[np.float64]:
    """Numbers of examples; a single column is a vector."""
    values = numbers(y, "targets y").astype(np.float64)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    odd = ~np.isfinite(values)
    if odd.any():
        at = tuple(int(i) for i in np.argwhere(odd)[0])
        where = str(at[0]) if len(at) == 1 else f"{at[0]}, column {at[1]},"
        rows = "numpy.isfinite(y)" + (".all(axis=1)" if values.ndim == 2 else "")
        raise DataError(
            f"targets y are finite numbers, but target {where} is {values[at]}; leave such examples out, in X too "
            f"(keep = {rows}; X[keep], y[keep])"
        )
    return values


def are_tags(y: object) -> bool:
    """Whether each example has a list or a set of names, such as ``[["cat", "dog"], [], ["dog"]]``."""
    if isinstance(y, str) or not (isinstance(y, list | tuple) or str(getattr(y, "dtype", "")) == "object"):
        return False
    rows = list(cast(Iterable[Any], y))
    if not rows or not all(isinstance(row, list | tuple | set | frozenset) for row in rows):
        return False
    if any(isinstance(row, set | frozenset) for row in rows):
        return True
    names = any(isinstance(one, str) for row in rows for one in row)
    return (names or len({len(row) for row in rows}) > 1) and any(len(row) != 1 for row in rows) and _flat(rows)


def _flat(rows: Iterable[Iterable[object]]) -> bool:
    return all(isinstance(one, str | bool | int | np.generic) for row in rows for one in row)


def _several_labels(y: Any, known: tuple[Label, ...] | None) -> Wanted:
    if are_tags(y):
        rows = [sorted({plain_label(one) for one in row}, key=str) for row in y]
        named = {one for row in rows for one in row}
        if len({isinstance(one, str) for one in named}) > 1:
            raise DataError("labels y are all text or all numbers, not both")
        classes = known or tuple(sorted(named))
        _numbered(sorted(named, key=str), classes, "labels")
        made = np.zeros((len(rows), len(classes)), dtype=np.int64)
        for i, row in enumerate(rows):
            made[i, _numbered(row, classes, "labels")] = 1
    else:
        array = numbers(y, "labels y")
        if array.ndim != 2 or array.shape[1] < 2:
            raise DataError(
                "several labels at once are rows of 0 and 1, one column for each label, or a list of names for each "
                f"example; y has shape {array.shape}"
            )
        odd = ~np.isin(array, (0, 1))
        if odd.any():
            row, column = np.argwhere(odd)[0]
            raise DataError(
                f"several labels at once are 0 or 1 each, but row {row}, column {column} is {array[odd][0]}"
            )
        made = array.astype(np.int64)
        columns = [str(name) for name in y.columns] if is_frame(y) else range(array.shape[1])
        classes = known or tuple(columns)
        if len(classes) != array.shape[1]:
            raise DataError(f"y has {array.shape[1]} columns, and the training labels {len(classes)}")
    if len(classes) < 2:
        raise (
            DataError(f"there is one label, {classes}: give y.ravel(), of two classes")
            if classes
            else DataError("no example has a label")
        )
    if known is None and (made == made[0]).all():
        raise DataError(f"all {len(made):,} examples have the same labels; there is nothing to learn")
    return Wanted(made, classes)


def check_sides(x_shape: tuple[int, ...], y_shape: tuple[int, ...], task: Task, which: str = "") -> None:
    """Refuse masks of another size than their pictures, and maps of examples that are no pictures.

    Args:
        x_shape, y_shape: of all inputs and of all targets.
        which: "" for the train part, "test " or "validation ".
    """
    if task not in DENSE:
        return
    if len(x_shape) != 4:
        raise DataError(f"{task} has a value for each pixel of pictures (n, c, h, w), and X has shape {x_shape}")
    if task == "segmentation" and tuple(x_shape[2:]) != tuple(y_shape[1:]):
        sides = " x ".join(map(str, x_shape[2:])), " x ".join(map(str, y_shape[1:]))
        raise DataError(f"the {which}pictures have {sides[0]} pixels and their masks {sides[1]}; they must be alike")


def rarest(y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """``(n,)`` groups by which examples are spread over parts: classes; of several labels, the rarest that it has.

    Quantities, masks and maps are one group. Groups of few examples are one, so that none is without a training
    example.
    """
    if y.dtype.kind == "f" or y.ndim > 2:
        return np.zeros(len(y), dtype=np.int64)
    if y.ndim == 1:
        return y.astype(np.int64)
    order = np.argsort(y.sum(axis=0), kind="stable")
    groups = np.where(y.any(axis=1), order[(y[:, order] > 0).argmax(axis=1)], y.shape[1])
    few: npt.NDArray[np.bool_] = np.isin(
        groups, [group for group in np.unique(groups) if (groups == group).sum() < FEWEST]
    )
    found: npt.NDArray[np.int64] = np.where(few, y.shape[1] + 1, groups).astype(np.int64)
    return found
