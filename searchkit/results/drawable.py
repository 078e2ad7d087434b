"""Which values a picture can show: one that is out of all proportion would leave no room for the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from searchkit.types import Floats

LARGEST = 1e150  # beyond it, sums of squares overflow
FAR = 1e6  # times the spread of the middle half


def drawable(values: Floats) -> npt.NDArray[np.bool_]:
    """``(n,)`` whether each value is finite, and not out of all proportion to the others."""
    values = np.asarray(values, dtype=np.float64)
    kept: npt.NDArray[np.bool_] = np.abs(values) <= LARGEST  # False of NaN
    if kept.any():
        low, middle, high = np.quantile(values[kept], [0.25, 0.5, 0.75])
        spread = (high - low) or max(abs(middle), 1.0)
        with np.errstate(over="ignore"):
            kept &= np.abs(values - middle) <= FAR * spread
    return kept
