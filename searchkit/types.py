"""Names for the arrays that are passed around, and for the tasks that networks learn."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Task = Literal["classification", "multilabel", "regression", "segmentation", "maps"]
DENSE: tuple[Task, ...] = ("segmentation", "maps")  # tasks with something to predict for each pixel
