"""Convert a user's table to rows of float32 features and its targets to one vector, or raise a DataError."""

from __future__ import annotations

import numpy as np
import torch

from searchkit.data.arrays import as_float32, numbers, plain_array
from searchkit.data.images import is_flat_image
from searchkit.errors import DataError


def is_table(X: object) -> bool:
    """Whether X is taken for rows of features and not for images: it has two axes, and its rows are no square images.

    Rows of 64, 81, 100, ... values are taken for images of 8 x 8, 9 x 9, 10 x 10, ... pixels. ``kind="table"`` or a
    space for tables overrides this.
    """
    shape = plain_array(X, "inputs X").shape
    if len(shape) == 1 and hasattr(X, "to_frame"):  # a Series, of which as_table says what to give instead
        return True
    return len(shape) == 2 and not is_flat_image(shape)


def as_table(X: object) -> torch.Tensor:
    """Convert rows of numbers, or images, which are flattened, to ``(n, features)`` float32.

    Raises:
        DataError: X is not a table of finite numbers that fit into float32.
    """
    array = numbers(X, "table X").astype(np.float64)
    if array.ndim < 2 and hasattr(X, "to_frame"):
        raise DataError("a table X has shape (n, features), and a Series is one feature: give X.to_frame()")
    if array.ndim < 2:
        raise DataError(f"a table X has shape (n, features), not {array.shape}; a single feature is X.reshape(-1, 1)")
    if 0 in array.shape:
        raise DataError(f"table X is empty: its shape is {array.shape}")
    array = array.reshape(len(array), -1)
    odd = ~np.isfinite(array)
    if odd.any():
        row, column = np.argwhere(odd)[0]
        n_odd = int(odd.sum())
        raise DataError(
            f"table X holds {n_odd:,} NaN or infinite value{'s' * (n_odd != 1)}, the first in row {row}, column "
            f"{column}; fill them (sklearn.impute) or drop the rows"
        )
    return as_float32(array, "table X reaches", "it")
