"""Load, check and split a user's examples into :class:`Data`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from searchkit.data.assembling import assemble
from searchkit.data.bundled import NAMES, named
from searchkit.data.data import Augment, Data, Kind, Task
from searchkit.data.images import Channels, as_images, from_dataset, is_npz, read_npz
from searchkit.data.labels import Label, as_labels, plain_label
from searchkit.data.splits import Split, split_of, split_rows
from searchkit.data.tables import as_table, as_target, is_table
from searchkit.errors import DataError, plural

VAL_FRACTION = 0.2  # of all examples, or of the training examples where a test set is given
TEST_FRACTION = 0.2  # of all examples, where no test set is given
LISTED = 5  # classes named in an error
MANY = 30  # distinct numeric labels above which an error asks whether y is a quantity


def load_data(
    data: object = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    augment: Augment | None = None,
    channels: Channels | None = None,
    name: str | None = None,
    kind: Kind | None = None,
    task: Task | None = None,
) -> Data:
    """Load examples with labels and split them; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; an ``.npz`` file with arrays X
            and y (and optionally X_test and y_test); a pair ``(X, y)`` of arrays, tensors or lists; a torch Dataset of
            ``(image, label)``; a pair ``(train, test)`` of two such pairs or two Datasets; or a Data, which is returned
            unchanged. X is images, or a table of numbers ``(n, features)`` such as a data frame. Without a test set,
            the examples are split 60/20/20 into train, validation and test part; with one, 80/20 into train and
            validation part.
        seed: of the split.
        limit: use a stratified subset of about that many examples; a given test set is used whole.
        augment: see :class:`Data`. None: that of the named data set, else "crop-flip" or "shift", by whether mirrored
            images are still like those of their class (:mod:`searchkit.data.symmetry`).
        channels: "first" or "last"; needed where the shape of 4-D images leaves it open.
        name: name of the data in records. None: that of the data set or file, else "custom".
        kind: "images" or "table". None: decided by :func:`searchkit.data.tables.is_table`.
        task: "classification", or "regression" if y is a quantity. None: classification.

    Returns:
        images uint8 or float32 ``(n, c, h, w)``, or tables float32 ``(n, features)``, in three disjoint parts.

    Raises:
        DataError: the data cannot be used; the message says what is wrong.
    """
    _check_choices(augment, kind, task)
    if isinstance(data, Data):
        return _as_wanted(data, kind, task)
    labels: tuple[Label, ...] | None = None
    if is_npz(data):
        name, data = name or re.sub(r"[^\w.+-]", "-", Path(data).stem), read_npz(data)
    if isinstance(data, Path) or (isinstance(data, str) and (re.search(r"[/\\]|\.\w+$", data) or _is_folder(data))):
        what = "a folder" if _is_folder(data) else "no .npz file"
        raise DataError(
            f"data '{data}' is {what}: read it first and give (X, y), or write numpy.savez('data.npz', X=..., y=...)"
        )
    if data is None or isinstance(data, str):
        known = named("digits" if data is None else data)
        train, test, labels = known.train, known.test, known.classes
        name, augment, channels = name or known.name, augment or known.augment, "first"  # type: ignore[assignment]
    else:
        train, test = _train_and_test(data)
    kind = kind or ("table" if is_table(train[0]) else "images")
    regression = task == "regression"
    x, y, classes = _examples(train, kind, regression, channels, None, "")
    given = None
    if test is not None:
        x_test, y_test, _ = _examples(test, kind, regression, channels, classes, "test ")
        _check_alike(x, x_test, kind)
        given = split_of(x_test.numpy(), y_test)
    splits = _split(x, y, classes, given, limit, np.random.default_rng(seed))
    named_classes = () if regression else labels or classes
    return assemble(splits, named_classes, name=name or "custom", augment=augment)


def _is_folder(data: str | Path) -> bool:
    """Whether it is one here, and no name of ours."""
    return str(data) not in NAMES and Path(data).is_dir()


def _check_choices(augment: str | None, kind: str | None, task: str | None) -> None:
    for what, value, allowed in (("augment", augment, Augment), ("kind", kind, Kind), ("task", task, Task)):
        if value is not None and value not in get_args(allowed):
            raise DataError(f"{what} is one of {', '.join(get_args(allowed))}, not {value!r}")


def _check_alike(x: torch.Tensor, x_test: torch.Tensor, kind: Kind) -> None:
    if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
        what = "images" if kind == "images" else "rows"
        raise DataError(
            f"train {what} are {tuple(x.shape[1:])} {x.dtype} but test {what} are "
            f"{tuple(x_test.shape[1:])} {x_test.dtype}; they must be alike"
        )


def _split(
    x: torch.Tensor,
    y: npt.NDArray[Any],
    classes: tuple[Label, ...],
    test: Split | None,
    limit: int | None,
    rng: np.random.Generator,
) -> list[Split]:
    """Train, validation and test part; the last is taken from the examples where no test set is given."""
    fractions = (VAL_FRACTION,) if test is not None else (VAL_FRACTION, TEST_FRACTION)
    _check_counts(y, classes, len(fractions) + 1)
    rows = np.arange(len(y))
    if limit is not None:
        rows = _limited(y, limit, len(fractions) + 1, rng)
    parts = [rows[part] for part in split_rows(y[rows], fractions, rng)]
    splits = [split_of(x.numpy()[part], y[part]) for part in parts]
    return splits if test is None else [*splits, test]


def _as_wanted(data: Data, kind: Kind | None, task: Task | None) -> Data:
    """The Data, unchanged; raises DataError if it has another kind or task than asked for."""
    for what, asked, has in (("kind", kind, data.kind), ("task", task, data.task)):
        if asked is not None and asked != has:
            raise DataError(
                f"data '{data.name}' have the {what} '{has}', and '{asked}' is asked for: load them with "
                f"load_data(..., {what}='{asked}')"
            )
    return data


def _train_and_test(data: Any) -> tuple[Any, Any | None]:
    """``(X, y)`` of the training examples, and of the test set or None."""
    if isinstance(data, Dataset):
        return from_dataset(data), None
    if isinstance(data, tuple | list) and len(data) == 2:
        first, second = data
        if isinstance(first, Dataset) and isinstance(second, Dataset):
            return from_dataset(first), from_dataset(second)
        if _is_pair(first) and _is_pair(second):
            return first, second
        if not isinstance(first, Dataset | str) and not isinstance(second, Dataset | str):
            return data, None
    given = f"{type(data).__name__} of length {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
    raise DataError(
        "data is a name, a pair (X, y), a torch Dataset of (image, label), a pair (train, test) of either, "
        f"or a Data; not a {given}"
    )


def _is_pair(value: Any) -> bool:
    """Whether a value may be ``(X, y)``, and is not for instance a list of two labels."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    try:
        return all(np.ndim(part) > 0 for part in value)
    except ValueError:  # its rows have different lengths; reading it as X or y will say so
        return False


def _examples(
    pair: Any,
    kind: Kind,
    regression: bool,
    channels: Channels | None,
    known: tuple[Label, ...] | None,
    which: str,
) -> tuple[torch.Tensor, npt.NDArray[Any], tuple[Label, ...]]:
    """Inputs, labels from 0 to k - 1, and the classes; in regression, inputs, targets and an empty tuple.

    Args:
        known: the classes of the training set, where these are examples of the test set.
        which: "" for the training set or "test ", for messages.
    """
    try:
        x = as_table(pair[0]) if kind == "table" else as_images(pair[0], channels=channels)
        labels = as_target(pair[1]) if regression else as_labels(pair[1])
    except DataError as error:
        if not which:
            raise
        raise DataError(f"in the test set, {error}") from error
    if len(x) != len(labels):
        what, wanted = "images" if kind == "images" else "rows", "targets" if regression else "labels"
        raise DataError(
            f"there are {len(x):,} {which}{what} X but {len(labels):,} {which}{wanted} y; give one for each"
        )
    if regression:
        return x, labels, ()
    values, y = np.unique(labels, return_inverse=True)
    classes = tuple(plain_label(value) for value in values)
    if known is None:
        if len(classes) < 2:
            raise DataError(f"all {len(labels):,} labels y are {classes[0]!r}; two or more classes are needed")
        return x, y.astype(np.int64), classes
    new = [label for label in classes if label not in known]
    if new:
        raise DataError(f"the test labels hold class {new[0]!r}, which the training labels do not have")
    return x, np.array([known.index(label) for label in classes], dtype=np.int64)[y], known


def _check_counts(y: npt.NDArray[Any], classes: tuple[Label, ...], needed: int) -> None:
    if not classes:
        if len(y) < 2 * needed:  # a score needs two examples at least
            there = f"there {'is' if len(y) == 1 else 'are'} {plural(len(y), 'example')}"
            raise DataError(f"{there}; {2 * needed} are needed, two for each part of the split")
        return
    counts = np.bincount(y).tolist()
    scarce = [(classes[i], n) for i, n in enumerate(counts) if n < needed]
    if not scarce:
        return
    (label, n_least), named = scarce[0], [label for label, _ in scarce[:LISTED]]
    more = f" ({len(scarce):,} classes have fewer)" if len(scarce) > 1 else ""
    hint = (
        f". Leave rare classes out (keep = ~numpy.isin(y, {named}); X[keep], y[keep]), or merge them with another "
        "class (y = numpy.where(keep, y, other))"
    )
    if len(counts) > MANY and not isinstance(classes[0], str | bool):
        hint = f". Are the {len(counts):,} different y a quantity? Then search for objectives=('r2', 'params')"
    raise DataError(
        f"class {label!r} has {n_least} example{'s' * (n_least != 1)}; {needed} are needed, one for each part of the "
        f"split{more}{hint}"
    )


def _limited(y: npt.NDArray[Any], limit: int, per_class: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of a stratified subset of about ``limit`` examples; each class is rounded to whole examples."""
    if y.dtype.kind == "f":
        y, per_class = np.zeros(len(y), np.int64), 2 * per_class
    counts = np.bincount(y)
    if not isinstance(limit, int) or limit < per_class * len(counts):
        raise DataError(f"limit is {limit!r}; {len(counts)} classes need at least {per_class * len(counts)} examples")
    if limit >= len(y):
        return np.arange(len(y))
    chosen = []
    for label, count in enumerate(counts):
        share = max(per_class, round(limit * count / len(y)))
        chosen.append(rng.permutation(np.flatnonzero(y == label))[:share])
    return np.sort(np.concatenate(chosen))
