"""Selection of the values that a plot can show: extreme outliers would leave no room for the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from searchkit.types import Floats

LARGEST = 1e150  # beyond it, sums of squares overflow
FAR = 1e6  # interquartile ranges from the median, beyond which a value is left out


def drawable(values: Floats) -> npt.NDArray[np.bool_]:
    """``(n,)`` whether each value is finite and no extreme outlier (see :data:`FAR`)."""
    values = np.asarray(values, dtype=np.float64)
    kept: npt.NDArray[np.bool_] = np.abs(values) <= LARGEST  # False of NaN
    if kept.any():
        low, middle, high = np.quantile(values[kept], [0.25, 0.5, 0.75])
        spread = (high - low) or max(abs(middle), 1.0)
        with np.errstate(over="ignore"):
            kept &= np.abs(values - middle) <= FAR * spread
    return kept
