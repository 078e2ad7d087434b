"""Examples as users hand them over: which parts are given, checked, and split into what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.class_folders import PARTS
from searchkit.data.datasets import Items, from_dataset, is_dataset
from searchkit.data.images import Channels, as_images
from searchkit.data.labels import Label, as_labels, plain_label
from searchkit.data.parting import LISTED, Rare, parts_of, settled_classes
from searchkit.data.pictures import Pictures
from searchkit.data.signals import as_signals
from searchkit.data.splits import Split, split_of
from searchkit.data.tables import as_table, as_target
from searchkit.errors import DataError
from searchkit.space.inputs import Kind

_NOUNS = {"images": "images", "tokens": "token sequences", "signals": "signals"}
_CALLED = {"val": "validation", "test": "test"}
_WANTED = (
    "data is a name, a folder, a pair (X, y), a data set of (image, label) items such as one of torch or Hugging Face, "
    "a pair (train, test) or a dictionary of either, or a Data"
)


def given_parts(data: object, pictures: Pictures, limit: int | None) -> dict[str, Items]:
    """The examples of "train", and of "test" and "val" where they are given."""
    if isinstance(data, Mapping):
        return _named_parts(data, pictures, limit)
    if is_dataset(data):
        return {"train": from_dataset(data, pictures, limit)}
    if isinstance(data, tuple | list) and len(data) == 2:
        first, second = data
        if is_dataset(first) and is_dataset(second):
            return {"train": from_dataset(first, pictures, limit), "test": from_dataset(second, pictures)}
        if _is_pair(first) and _is_pair(second):
            return {"train": Items(*first), "test": Items(*second)}
        if not is_dataset(first) and not is_dataset(second) and not isinstance(first, str):
            return {"train": Items(first, second)}
    given = f"{type(data).__name__} of length {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
    raise DataError(f"{_WANTED}; not a {given}")


def has_items(data: object) -> bool:
    """Whether it is a data set of items, or has parts that are."""
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, tuple | list) else [data]
    return any(map(is_dataset, parts))


def split_examples(
    given: Mapping[str, Items],
    kind: Kind,
    regression: bool,
    channels: Channels | None,
    labels: tuple[Label, ...] | None,
    rare: Rare,
    limit: int | None,
    seed: int,
) -> tuple[list[Split], tuple[Label, ...]]:
    """Train, validation and test part of the given examples, and the classes; see :func:`searchkit.load_data`.

    Args:
        kind: of the inputs; tokens have been read, see :func:`searchkit.data.tokens.read_parts`.
        labels: names of the classes, where they are known by the number; None: as the data have them.
    """
    x, y, classes = _examples(given["train"], kind, regression, channels, None, "")
    xs, ys = {"train": x}, {"train": y}
    for part in ("val", "test"):
        if part in given:
            xs[part], ys[part], _ = _examples(given[part], kind, regression, channels, classes, f"{_CALLED[part]} ")
            _check_alike(x, xs[part], kind, _CALLED[part])
    names = given["train"].names
    if names is not None and not regression:
        labels = tuple(names[int(label)] for label in classes)
    left: dict[str, npt.NDArray[np.int64]] = {part: np.arange(len(of_part)) for part, of_part in ys.items()}
    if not regression:
        left, ys, classes = settled_classes(ys, labels or classes, rare)
    rows = parts_of(ys, classes, limit, np.random.default_rng(seed))
    splits = [
        split_of(xs[source].numpy()[left[source][chosen]], ys[source][chosen]) for source, chosen in rows.values()
    ]
    return splits, classes


def _named_parts(data: Mapping[Any, Any], pictures: Pictures, limit: int | None) -> dict[str, Items]:
    """Parts by their names, such as a dictionary of data sets of Hugging Face."""
    parts: dict[str, Items] = {}
    for part, names in PARTS.items():
        for key in data:
            if str(key).lower() in names:
                if part in parts:
                    raise DataError(f"data has two parts called {part}: {', '.join(map(str, data))}")
                whole = given_parts(data[key], pictures, limit if part == "train" else None)
                if len(whole) > 1:
                    raise DataError(f"the {key} part of data is itself in parts: {', '.join(whole)}")
                parts[part] = whole["train"]
    if "train" not in parts:
        has = f"has {', '.join(map(repr, list(data)[:LISTED]))}" if data else "is empty"
        raise DataError(
            f"data is a dictionary and {has}; it needs 'train', and may have 'val' and 'test'. Else {_WANTED}"
        )
    return parts


def _is_pair(value: Any) -> bool:
    """Whether a value may be ``(X, y)``, and is not for instance a list of two labels."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    try:
        return all(np.ndim(part) > 0 for part in value)
    except ValueError:  # its rows have different lengths; reading it as X or y will say so
        return False


def _examples(
    pair: Items,
    kind: Kind,
    regression: bool,
    channels: Channels | None,
    known: tuple[Label, ...] | None,
    which: str,
) -> tuple[torch.Tensor, npt.NDArray[Any], tuple[Label, ...]]:
    """Inputs, labels from 0 to k - 1, and the classes; in regression, inputs, targets and an empty tuple.

    Args:
        known: the classes of the training set, where these are examples of the test set.
        which: "" for the training set, "test " or "validation ", for messages.
    """
    try:
        x = _inputs(pair.x, kind, channels)
        labels = as_target(pair.y) if regression else as_labels(pair.y)
    except DataError as error:
        if not which:
            raise
        raise DataError(f"in the {which}set, {error}") from error
    if len(x) != len(labels):
        what, wanted = _NOUNS.get(kind, "rows"), "targets" if regression else "labels"
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
        raise DataError(f"the {which}labels hold class {new[0]!r}, which the training labels do not have")
    return x, np.array([known.index(label) for label in classes], dtype=np.int64)[y], known


def _inputs(X: object, kind: Kind, channels: Channels | None) -> torch.Tensor:
    if kind == "tokens":  # read before, all parts together
        assert isinstance(X, torch.Tensor)
        return X
    if kind == "signals":
        return as_signals(X, channels=channels)
    return as_table(X) if kind == "table" else as_images(X, channels=channels)


def _check_alike(x: torch.Tensor, other: torch.Tensor, kind: Kind, part: str) -> None:
    if other.shape[1:] != x.shape[1:] or other.dtype != x.dtype:
        what = _NOUNS.get(kind, "rows")
        raise DataError(
            f"train {what} are {tuple(x.shape[1:])} {x.dtype} but {part} {what} are "
            f"{tuple(other.shape[1:])} {other.dtype}; they must be alike"
        )
