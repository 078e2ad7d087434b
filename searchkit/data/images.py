"""Convert a user's arrays to one tensor of images ``(n, c, h, w)`` and one vector of labels, or raise a DataError."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, TensorDataset

from searchkit.errors import DataError

Channels = Literal["first", "last"]
Label = str | int | bool

CHANNEL_COUNTS = (1, 3, 4)  # grey, colour, colour with alpha
SMALLEST_FLAT_SIDE = 8  # pixels; shorter rows of numbers are more likely a table than images


def as_images(X: Any, *, channels: Channels | None = None) -> torch.Tensor:
    """Convert images in any usual layout to ``(n, c, h, w)``: uint8 for integers from 0 to 255 and bools, else float32.

    Args:
        X: ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)``, or ``(n, side * side)`` with a side of 8 or more.
        channels: position of the channels in 4-D images; needed where the shape leaves it open.

    Raises:
        DataError: X is not images of numbers that fit into float32.
    """
    array = numbers(X, "images X")
    n_odd = int(array.size - np.isfinite(array).sum()) if array.dtype.kind == "f" else 0
    if n_odd:
        raise DataError(f"images X hold {n_odd:,} NaN or infinite pixel{'s' * (n_odd != 1)}; all must be finite")
    array = np.moveaxis(*_channels_first(array, channels))
    if 0 in array.shape:
        raise DataError(f"images X are empty: their shape is {np.shape(X)}")
    whole = array.dtype == np.bool_ or (array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255)
    with np.errstate(over="ignore"):
        pixels = torch.from_numpy(np.array(array, dtype=np.uint8 if whole else np.float32))
    if not whole and not bool(torch.isfinite(pixels).all()):
        raise DataError(f"images X reach {np.abs(array).max():.3g}, which is too large for float32; rescale them")
    return pixels


def as_labels(y: object) -> npt.NDArray[Any]:
    """Convert labels to a vector ``(n,)`` of ints, bools or strings; floats are accepted if they are whole numbers.

    Raises:
        DataError: y is not one label per example.
    """
    labels = plain_array(y, "labels y")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        hint = "; for one-hot labels give y.argmax(axis=1)" if labels.ndim == 2 else ""
        raise DataError(f"labels y are a vector with one label per image, not an array of shape {labels.shape}{hint}")
    if labels.dtype.kind == "O":
        kinds = sorted({type(label).__name__ for label in labels})
        if kinds != ["str"]:
            raise DataError(f"labels y are all ints, all strings or all bools, not {' and '.join(kinds)}")
        labels = labels.astype(str)
    if labels.dtype.kind == "f":
        odd = ~np.isfinite(labels) | (labels != np.floor(labels))
        if odd.any():
            at = int(np.argmax(odd))
            raise DataError(
                f"labels y name classes, but label {at} is {labels[at]}; give ints, strings or bools, or say that they "
                "are quantities: objectives=('r2', 'params'), or load_data(..., task='regression')"
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        raise DataError(f"labels y are ints, strings or bools, not {labels.dtype}")
    return labels


def from_dataset(dataset: Dataset[Any]) -> tuple[Any, Any]:
    """All ``(image, label)`` items of a torch Dataset as ``(X, y)``.

    Raises:
        DataError: the dataset has no length or no items, or an item is not a pair or has an image of another shape.
    """
    name = type(dataset).__name__
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return dataset.tensors
    try:
        n = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(f"the dataset {name} has no length; give one with len() and [index]") from None
    images: list[npt.NDArray[Any]] = []
    labels: list[Any] = []
    for i in range(n):
        item = dataset[i]
        if not isinstance(item, Sequence) or len(item) != 2:
            raise DataError(f"item {i} of the dataset {name} is not a pair (image, label) but {type(item).__name__}")
        image, label = plain_array(item[0], f"image {i}"), item[1]
        if images and image.shape != images[0].shape:
            raise DataError(
                f"image {i} of the dataset {name} has shape {image.shape}, image 0 has {images[0].shape}; "
                "resize all images to one shape"
            )
        images.append(image)
        labels.append(label.item() if isinstance(label, torch.Tensor | np.ndarray) and label.size else label)
    if not images:
        raise DataError(f"the dataset {name} is empty")
    return np.stack(images), labels


def plain_label(label: Any) -> Label:
    """A label as a Python value instead of a numpy scalar."""
    value = label.item() if isinstance(label, np.generic) else label
    return value if isinstance(value, str | bool) else int(value)


def is_flat_image(shape: Sequence[int]) -> bool:
    """Whether an array of this shape may hold flattened square grey images of 8 x 8 pixels or more, one per row."""
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    return side >= SMALLEST_FLAT_SIDE and side * side == shape[1]


def _channels_first(array: npt.NDArray[Any], channels: Channels | None) -> tuple[npt.NDArray[Any], int, int]:
    """Arguments of ``numpy.moveaxis``, ``(4-D array, from, to)``, that bring the channels to axis 1."""
    shape = array.shape
    if channels not in (None, "first", "last"):
        raise DataError(f"channels is 'first', 'last' or None, not {channels!r}")
    if array.ndim == 2:
        side = math.isqrt(shape[1])
        if not is_flat_image(shape):
            raise DataError(
                f"images are needed: X has shape {shape}, rows of {shape[1]} features that are no square image; "
                "give (n, h, w), (n, h, w, c) or (n, c, h, w)"
            )
        return array.reshape(shape[0], 1, side, side), 1, 1
    if array.ndim == 3:
        return array[:, None], 1, 1
    if array.ndim != 4:
        raise DataError(f"images X have shape (n, h, w), (n, h, w, c) or (n, c, h, w), not {shape}")
    if channels is not None:
        return array, (1 if channels == "first" else 3), 1
    axes = [axis for axis in (1, 3) if shape[axis] in CHANNEL_COUNTS]
    if len(axes) != 1:
        which = "both axis 1 and axis 3 could be" if axes else "neither axis 1 nor axis 3 has the 1, 3 or 4 of"
        raise DataError(
            f"images X have shape {shape}, where {which} the channels; "
            "say which with load_data(..., channels='first') or 'last'"
        )
    return array, axes[0], 1


def numbers(values: object, what: str) -> npt.NDArray[Any]:
    """Convert values to an array of floats, ints or bools; anything else raises a DataError that names ``what``."""
    array = plain_array(values, what)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what} are numbers, not {array.dtype}")
    return array


def plain_array(values: object, what: str) -> npt.NDArray[Any]:
    """Convert a tensor on any device, a list or any other array-like to a numpy array; ``what`` names it in errors."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return np.asarray(values.float() if values.dtype in (torch.bfloat16, torch.float16) else values)
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{what} have no common shape; every element must have the same one") from None


def is_npz(data: object) -> bool:
    """Whether ``data`` is the path of an ``.npz`` file."""
    return isinstance(data, str | Path) and Path(data).suffix == ".npz"


def read_npz(path: str | Path) -> Any:
    """Read ``(X, y)`` from a file, or ``((X, y), (X_test, y_test))`` if it has a test set.

    Raises:
        DataError: the file cannot be read, or has no X or no y.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    missing = {"X", "y"} - set(arrays)
    if missing:
        raise DataError(f"{path} has arrays {', '.join(arrays)}; it needs X and y")
    pair = (arrays["X"], arrays["y"])
    return (pair, (arrays["X_test"], arrays["y_test"])) if {"X_test", "y_test"} <= set(arrays) else pair
