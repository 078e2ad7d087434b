"""Examples as users hand them over: which parts are given, checked, and split into what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.arrays import is_frame
from searchkit.data.class_folders import PARTS
from searchkit.data.datasets import Items, from_dataset, is_dataset
from searchkit.data.example_weights import read_weights
from searchkit.data.frames import Rows, with_target
from searchkit.data.images import Channels, as_images
from searchkit.data.labels import Label
from searchkit.data.masks import IGNORED
from searchkit.data.parting import LISTED, Rare, parts_of, settled_classes
from searchkit.data.pictures import Pictures
from searchkit.data.signals import as_signals
from searchkit.data.splits import Split, split_of
from searchkit.data.tables import as_table
from searchkit.data.targets import Wanted, are_tags, check_sides, read_targets, usual_task
from searchkit.errors import DataError
from searchkit.space.inputs import Kind
from searchkit.types import DENSE, Task

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
            return {"train": _of_pair(*first), "test": _of_pair(*second)}
        if not is_dataset(first) and not is_dataset(second) and not isinstance(first, str):
            return {"train": _of_pair(first, second)}
    if is_frame(data):
        raise DataError("a data frame alone does not say what is y: give (frame, 'price'), the name of its column")
    given = f"{type(data).__name__} of length {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
    raise DataError(f"{_WANTED}; not a {given}")


def has_items(data: object) -> bool:
    """Whether it is a data set of items, or has parts that are."""
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, tuple | list) else [data]
    return any(map(is_dataset, parts))


def split_examples(
    given: Mapping[str, Items],
    kind: Kind,
    task: Task | None,
    channels: Channels | None,
    labels: tuple[Label, ...] | None,
    rare: Rare,
    limit: int | None,
    seed: int,
    ignore: int | None = None,
    weights: object = None,
) -> tuple[list[Split], tuple[Label, ...], Task]:
    """Train, validation and test part of the given examples, the classes and the task; see :func:`load_data`.

    Args:
        kind: of the inputs; tokens have been read, see :func:`searchkit.data.tokens.read_parts`.
        labels: names of the classes, where they are known by the number; None: as the data have them.
    """
    task = _task_of(given["train"].y, task)
    _check_options(task, rare, ignore)
    read = _Reading(kind, task, channels, ignore)
    x, wanted = read.part(given["train"], None, "")
    classes = wanted.classes
    xs, ys = {"train": x}, {"train": wanted.y}
    counting = read_weights(weights, len(x))
    for part in ("val", "test"):
        if part in given:
            pair = _alike_columns(given[part], given["train"].y, _CALLED[part])
            xs[part], of_part = read.part(pair, classes, f"{_CALLED[part]} ")
            ys[part] = of_part.y
            _check_alike(x, xs[part], kind, _CALLED[part])
            _check_targets_alike(wanted.y, of_part.y, _CALLED[part])
    names = given["train"].names
    if names is not None and task == "classification":
        labels = tuple(names[int(label)] for label in classes)
    left: dict[str, npt.NDArray[np.int64]] = {part: np.arange(len(of_part)) for part, of_part in ys.items()}
    if task == "classification":
        left, ys, classes = settled_classes(ys, labels or classes, rare)
    rows = parts_of(ys, classes if task == "classification" else (), limit, np.random.default_rng(seed))
    splits = []
    for source, chosen in rows.values():
        taken = left[source][chosen]
        of_rows = None if counting is None or source != "train" else counting[taken]
        splits.append(split_of(xs[source].numpy()[taken], ys[source][chosen], of_rows))
    _check_counting(splits)
    return splits, classes, task


def _alike_columns(pair: Items, y: object, part: str) -> Items:
    """With the columns of y in the order of those of the training set, where both are data frames."""
    if not is_frame(pair.y) or not is_frame(y):
        return pair
    own, wanted = list(pair.y.columns), list(y.columns)  # type: ignore[attr-defined]
    if sorted(map(str, own)) != sorted(map(str, wanted)):
        raise DataError(f"the {part} targets have the columns {own}, and those of the training set are {wanted}")
    return replace(pair, y=pair.y[wanted])  # type: ignore[index]


def _check_counting(splits: Sequence[Split]) -> None:
    """Refuse parts of which nothing counts: by weights, or since every pixel is left out."""
    for name, split in zip(("train", "validation"), splits, strict=False):
        if split.weight is not None and not bool(split.weight.any()):
            raise DataError(f"all examples of the {name} part have weight 0")
        if split.y.dtype == torch.int16 and not bool((split.y != IGNORED).any()):
            raise DataError(f"all pixels of the masks of the {name} part are left out")


def _task_of(y: object, asked: Task | None) -> Task:
    """The task asked for, or that which y says; quantities of each pixel are maps."""
    if asked not in (None, "regression"):
        return asked
    said = usual_task(y)
    return said if asked is None or said in DENSE else asked


def _check_options(task: Task, rare: Rare, ignore: int | None) -> None:
    """Refuse what has no meaning for the task."""
    if rare != "refuse" and task != "classification":
        raise DataError(f"rare={rare!r} is about examples of one class each, and the task is {task}")
    if ignore is not None and task != "segmentation":
        raise DataError(f"ignore={ignore!r} is a value in masks, and the task is {task}")


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


def _of_pair(x: object, y: object) -> Items:
    """Examples of ``(X, y)``, where X may be a data frame, and y the name of one of its columns."""
    return with_target(x, y) if is_frame(x) and isinstance(y, str) else Items(x, y)


def _is_pair(value: Any) -> bool:
    """Whether a value may be ``(X, y)``, and is not for instance a list of two labels."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    if is_frame(value[0]) and isinstance(value[1], str):
        return True
    try:
        return all(are_tags(part) or np.ndim(part) > 0 for part in value)
    except ValueError:  # its rows have different lengths; reading it as X or y will say so
        return False


_TARGETS = {"classification": "labels", "multilabel": "labels", "regression": "targets", "segmentation": "masks"}


@dataclass(frozen=True)
class _Reading:
    """How the examples of each part are read."""

    kind: Kind
    task: Task
    channels: Channels | None
    ignore: int | None

    def part(self, pair: Items, known: tuple[Label, ...] | None, which: str) -> tuple[torch.Tensor, Wanted]:
        """Inputs, and what is to be predicted.

        Args:
            known: the classes of the training set, where these are examples of another.
            which: "" for the training set, "test " or "validation ", for messages.
        """
        try:
            x = _inputs(pair.x, self.kind, self.channels)
            found = read_targets(pair.y, self.task, known, self.ignore, self.channels, tuple(x.shape[2:]))
        except DataError as error:
            if not which:
                raise
            raise DataError(f"in the {which}set, {error}") from error
        if len(x) != len(found.y):
            what, wanted = _NOUNS.get(self.kind, "rows"), _TARGETS.get(self.task, "maps")
            raise DataError(
                f"there are {len(x):,} {which}{what} X but {len(found.y):,} {which}{wanted} y; give one for each"
            )
        check_sides(tuple(x.shape), found.y.shape, self.task, which)
        return x, found


def _check_targets_alike(y: npt.NDArray[Any], other: npt.NDArray[Any], part: str) -> None:
    if y.shape[1:] != other.shape[1:]:
        raise DataError(f"train targets are {y.shape[1:]} but {part} targets are {other.shape[1:]}; they must be alike")


def _inputs(X: object, kind: Kind, channels: Channels | None) -> torch.Tensor:
    if isinstance(X, Rows):  # encoded when it is known which of them are the train part
        return X.numbered()
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
