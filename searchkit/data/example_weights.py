"""How much classes and examples count in a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.data.arrays import numbers
from searchkit.data.labels import Label
from searchkit.data.masks import IGNORED
from searchkit.errors import DataError, plural
from searchkit.problem.numbers import is_real
from searchkit.types import Task


def balanced(y: npt.NDArray[Any], classes: tuple[Label, ...], task: Task) -> tuple[float, ...]:
    """Weights with which every class counts as much as another.

    They are ``n / (k * count)`` of k classes, as scikit-learn's "balanced". Of several labels at once they are what an
    example with the label counts, as often as it is without: ``(n - count) / count``.
    """
    if task == "multilabel":
        counts = y.sum(axis=0)
        return tuple(float((len(y) - n) / n) if 0 < n < len(y) else 1.0 for n in counts.tolist())
    counts = np.bincount(y[y != IGNORED].ravel(), minlength=len(classes))
    return tuple(float(counts.sum() / (len(classes) * n)) if n else 1.0 for n in counts.tolist())


def read_class_weights(
    given: object, y: npt.NDArray[Any], classes: tuple[Label, ...], task: Task
) -> tuple[float, ...] | None:
    """What ``class_weights=`` means: None, "balanced", or a mapping from every class to a number above 0."""
    if given is None:
        return None
    if not classes:
        raise DataError(f"class_weights are of classes, and the task is {task}: weights= are of examples")
    if isinstance(given, str):
        if given != "balanced":
            raise DataError(f"class_weights is 'balanced' or a dictionary {{class: weight}}, not {given!r}")
        return balanced(y, classes, task)
    if not isinstance(given, dict):
        raise DataError(f"class_weights is 'balanced' or a dictionary {{class: weight}}, not {given!r:.80}")
    unknown, absent = [one for one in given if one not in classes], [one for one in classes if one not in given]
    if unknown or absent:
        what = f"has {unknown[0]!r}, which is no class" if unknown else f"lacks class {absent[0]!r}"
        raise DataError(f"class_weights {what}; the {plural(len(classes), 'class', 'classes')}: {classes!r:.200}")
    weights = tuple(float(given[one]) if is_real(given[one]) else float("nan") for one in classes)
    if not all(np.isfinite(weights)) or min(weights) < 0 or max(weights) == 0:
        raise DataError(f"class_weights are finite numbers, 0 or more and not all 0: {given!r:.200}")
    return weights


def read_weights(given: object, n: int) -> npt.NDArray[np.float64] | None:
    """What ``weights=`` means: None, or ``(n,)`` how much each of the n training examples counts."""
    if given is None:
        return None
    weights = numbers(given, "weights").astype(np.float64)
    if weights.shape != (n,):
        raise DataError(f"weights are one number for each of the {n:,} examples, not of shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError("weights are finite numbers, 0 or more, and not all 0")
    return weights
