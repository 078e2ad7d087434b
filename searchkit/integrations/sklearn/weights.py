"""sample_weight and class_weight of the estimators: checked, and the rows that count for nothing left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.class_weight import compute_class_weight

from searchkit.errors import DataError, ObjectiveError, plural
from searchkit.integrations.sklearn_compat import check_sample_weight
from searchkit.types import Floats


def row_weights(sample_weight: object, x: torch.Tensor) -> Floats | None:
    """``(n,)`` the weight of each row, or None where none is given.

    Raises:
        ValueError: another length than X, more than one axis, negative, NaN or infinite values, or 0 everywhere.
    """
    if sample_weight is None:
        return None
    checked = check_sample_weight(sample_weight, x.numpy(), dtype=np.float64, ensure_non_negative=True)
    return np.array(checked, np.float64)  # of its own: torch warns of arrays that cannot be written to


def class_weights(given: object, classes: npt.NDArray[Any], y: npt.NDArray[Any], rows: Floats | None) -> Floats | None:
    """``(k,)`` the weight of each class in the training loss, or None where classes are not weighted.

    "balanced" counts rows by their weights. A class without rows of a weight above 0 has the weight 1.

    Raises:
        ObjectiveError: it is no mapping, "balanced" or None, or a weight is negative or not finite.
        ValueError: the mapping names classes that y does not have, and lacks some that it has.
    """
    if given is None:
        return None
    if given != "balanced" and not isinstance(given, Mapping):
        raise ObjectiveError(
            f"class_weight is None, 'balanced' or a mapping of classes to their weights, such as {{0: 1.0, 1: 5.0}}, "
            f"not {given!r}; weights of rows go to fit(X, y, sample_weight=...)"
        )
    if isinstance(given, Mapping):
        for label, value in given.items():
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or value < 0:
                raise ObjectiveError(f"class_weight of class {label!r} is a number of at least 0, not {value!r}")
        return np.asarray(compute_class_weight(dict(given), classes=classes, y=y), np.float64)
    counts = np.bincount(np.searchsorted(classes, y), rows, minlength=len(classes))
    there = counts > 0
    weights = np.ones(len(classes))
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights


def counting(
    x: torch.Tensor, y: npt.NDArray[Any], rows: Floats | None, of_classes: Floats | None
) -> tuple[torch.Tensor, npt.NDArray[Any], Floats | None]:
    """The rows that count, and their weights; None for weights that are all alike.

    A row whose weight, or whose class's weight, is 0 is left out of everything: training, scores, normalisation.

    Args:
        y: ``(n,)`` class numbers where there are weights of classes.

    Raises:
        DataError: fewer than two rows are left.
    """
    counts = np.ones(len(y), bool) if rows is None else rows > 0
    if of_classes is not None:
        counts &= of_classes[y] > 0
    if not counts.all():
        if counts.sum() < 2:
            has = f"{'1 has' if counts.any() else 'none has'} a weight above 0"
            raise DataError(f"of {plural(len(y), 'row')} {has}; two or more are needed")
        x, y, rows = x[torch.from_numpy(counts)], y[counts], None if rows is None else rows[counts]
    return x, y, None if rows is None or (rows == rows[0]).all() else rows
