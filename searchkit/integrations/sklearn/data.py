"""Train, validation and test parts from rows that scikit-learn has validated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.splits import Split, joined
from searchkit.errors import DataError
from searchkit.types import Codes, Floats

FEWEST = 10  # rows from which on some are held out; with fewer, networks are evaluated on their training rows


def parts(
    x: torch.Tensor,
    y: npt.NDArray[Any],
    classes: tuple[Any, ...],
    *,
    validation: float,
    test: float,
    seed: int,
    class_weights: tuple[float, ...] | None = None,
    weight: Floats | None = None,
) -> Data:
    """Rows in random order, stratified by class, as train, validation and test part.

    A class with a single row is in the train part alone, where :func:`searchkit.load_data` would refuse it.

    Args:
        x: ``(n, features)`` or ``(n, c, h, w)``.
        y: ``(n,)`` int64 class numbers, or float64 targets where there are no classes.
        validation, test: shares of all rows; no test part where it is 0.
        seed: of the split.
        weight: ``(n,)`` of each row, above 0; None: all alike.

    Raises:
        DataError: a share that leaves a part without rows.
    """
    for name, share, least in (("validation_fraction", validation, "above 0"), ("test_fraction", test, "0 or more")):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
            raise DataError(f"{name} is a share, {least} and below 1, not {share!r}")
    if not validation or validation + test >= 1:
        raise DataError(
            f"validation_fraction={validation!r} and test_fraction={test!r} leave a part without rows; the first is "
            "above 0, and both together below 1"
        )
    rng = np.random.default_rng(seed)
    kept, held = np.arange(len(y)), np.arange(0)
    if test:
        kept, held = _held_out(y, kept, test, rng)
    train, val = _held_out(y, kept, validation / (1 - test), rng) if len(kept) >= FEWEST else (kept, kept)
    rows = Split(x, torch.from_numpy(np.array(y)), None if weight is None else torch.from_numpy(weight))
    splits = [rows.rows(torch.from_numpy(part)) for part in (train, val if len(val) else train, held)]
    return assemble(splits, tuple(_json_label(one) for one in classes), class_weights=class_weights)


def whole(data: Data) -> Data:
    """The same data with the validation part's rows in the train part as well."""
    if data.train.x.shape == data.val.x.shape and torch.equal(data.train.x, data.val.x):
        return data
    train = joined(data.train, data.val)
    return assemble([train, data.val, data.test], data.classes, class_weights=data.class_weights, augment=data.augment)


def _held_out(y: npt.NDArray[Any], rows: Codes, share: float, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Rows to keep and rows to hold out; of every class with two or more rows, at least one of each."""
    labels = np.zeros(len(rows), np.int64) if y.dtype.kind == "f" else y[rows]
    held = []
    for label in np.unique(labels):
        own = rng.permutation(rows[labels == label])
        held.append(own[: min(max(1, round(share * len(own))), len(own) - 1)])
    out = np.sort(np.concatenate([rows[:0], *held]))
    return np.setdiff1d(rows, out), out


def _json_label(label: Any) -> str | int | bool:
    """A class label as a JSON value; whole floats become ints."""
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | bool) else str(value)
