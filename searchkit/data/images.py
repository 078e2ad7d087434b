"""Convert a user's arrays to one tensor of images ``(n, c, h, w)`` and one vector of labels, or raise a DataError."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.arrays import as_float32, numbers
from searchkit.errors import DataError, nearest, plural
from searchkit.surroundings import settled

Channels = Literal["first", "last"]

CHANNEL_COUNTS = (1, 3, 4)  # grey, colour, colour with alpha
SMALLEST_FLAT_SIDE = 8  # pixels; shorter rows of numbers are more likely a table than images


def as_images(X: object, *, channels: Channels | None = None) -> torch.Tensor:
    """Convert images in any usual layout to ``(n, c, h, w)``: uint8 for integers from 0 to 255 and bools, else float32.

    Args:
        X: ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)``, or ``(n, side * side)`` with a side of 8 or more.
        channels: position of the channels in 4-D images; needed where the shape leaves it open.

    Raises:
        DataError: X is not images of numbers that fit into float32.
    """
    array = numbers(X, "images X")
    shape = array.shape
    odd = ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if odd.any():
        n_odd, first = int(odd.sum()), int(np.argwhere(odd)[0][0])
        raise DataError(
            f"images X hold {n_odd:,} NaN or infinite pixel{'s' * (n_odd != 1)}; the first is in image {first}. All "
            "must be finite: leave such images out, or fill them (numpy.nan_to_num)"
        )
    array = np.moveaxis(*_channels_first(array, channels))
    if 0 in array.shape:
        raise DataError(f"images X are empty: their shape is {shape}")
    whole = array.dtype == np.bool_ or (array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255)
    return torch.from_numpy(np.array(array, dtype=np.uint8)) if whole else as_float32(array, "images X reach", "them")


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
                f"images are needed: X has shape {shape}, rows of {plural(shape[1], 'feature')} that are no square "
                "image; give (n, h, w), (n, h, w, c) or (n, c, h, w)"
            )
        return array.reshape(shape[0], 1, side, side), 1, 1
    if array.ndim == 3:
        return array[:, None], 1, 1
    if array.ndim != 4:
        hint = "; for a table of one feature give X.reshape(-1, 1)" if array.ndim == 1 else ""
        raise DataError(f"images X have shape (n, h, w), (n, h, w, c) or (n, c, h, w), not {shape}{hint}")
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


def is_npz(data: object) -> TypeGuard[str | Path]:
    """Whether ``data`` is the path of an ``.npz`` file."""
    return isinstance(data, str | Path) and Path(data).suffix.lower() == ".npz"


def read_npz(path: str | Path) -> Any:
    """Read ``(X, y)`` from a file, or ``((X, y), (X_test, y_test))`` if it has a test set.

    Raises:
        DataError: the file cannot be read, or has no X or no y.
    """
    try:
        with settled(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {_why_unread(error)}") from error
    missing = sorted({"X", "y"} - set(arrays))
    tests = [name for name in ("X_test", "y_test") if name in arrays]
    if missing or len(tests) == 1:
        there = f"has arrays {', '.join(arrays)}" if arrays else "has no arrays"
        near = {name: nearest(name, [other for other in arrays if other not in ("X", "y")]) for name in missing}
        hint = "".join(f" Is '{other}' what should be called '{name}'?" for name, other in near.items() if other)
        raise DataError(
            f"{path} {there}; it needs X and y, and both or none of X_test and y_test. "
            f"numpy.savez(path, X=images, y=labels) writes them.{hint}"
        )
    pair = (arrays["X"], arrays["y"])
    return (pair, (arrays["X_test"], arrays["y_test"])) if tests else pair


def _why_unread(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it is empty"
    if isinstance(error, TypeError | AttributeError):
        return "it is a single array; numpy.savez(path, X=images, y=labels) writes both"
    if "allow_pickle" in str(error):
        return "it holds objects or is no .npz file; save numbers, and labels as ints or y.astype(str)"
    return str(error)
