"""Convert a user's 1-D signals to ``(n, channels, length)`` float32, or raise a DataError."""

from __future__ import annotations

import numpy as np
import torch

from searchkit.data.arrays import as_float32, numbers
from searchkit.data.images import Channels
from searchkit.errors import DataError


def as_signals(X: object, *, channels: Channels | None = None) -> torch.Tensor:
    """Convert signals to ``(n, channels, length)`` float32.

    Args:
        X: ``(n, length)`` of one channel, ``(n, channels, length)``, or ``(n, length, channels)``.
        channels: "last" where the last axis is the channels.

    Raises:
        DataError: X is not signals of finite numbers that fit into float32.
    """
    array = numbers(X, "signals X")
    if channels not in (None, "first", "last"):
        raise DataError(f"channels is 'first', 'last' or None, not {channels!r}")
    if array.ndim not in (2, 3):
        raise DataError(f"signals X have shape (n, length) or (n, channels, length), not {array.shape}")
    if 0 in array.shape:
        raise DataError(f"signals X are empty: their shape is {array.shape}")
    array = array[:, None] if array.ndim == 2 else np.moveaxis(array, 2, 1) if channels == "last" else array
    odd = ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if odd.any():
        signal, channel, place = np.argwhere(odd)[0].tolist()
        n_odd = int(odd.sum())
        raise DataError(
            f"signals X hold {n_odd:,} NaN or infinite value{'s' * (n_odd != 1)}; the first is in signal {signal}, "
            f"channel {channel}, at {place}. All must be finite: fill them, or leave such signals out"
        )
    return as_float32(array, "signals X reach", "them")
