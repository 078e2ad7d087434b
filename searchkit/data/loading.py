"""Load, check and split a user's examples into :class:`Data`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.assembling import assemble
from searchkit.data.bundled import NAMES, named
from searchkit.data.class_folders import PARTS
from searchkit.data.data import Augment, Data, Kind, Task
from searchkit.data.datasets import Items, from_dataset, is_dataset
from searchkit.data.folders import load_folder
from searchkit.data.images import Channels, as_images, is_npz, read_npz
from searchkit.data.labels import Label, as_labels, plain_label
from searchkit.data.parting import LISTED, Rare, parts_of, settled_classes
from searchkit.data.pictures import MEMORY, Broken, Pictures, Resize, check_resize, read_size
from searchkit.data.splits import split_of
from searchkit.data.tables import as_table, as_target, is_table
from searchkit.errors import DataError
from searchkit.problem.numbers import is_real
from searchkit.surroundings import settled

_CALLED = {"val": "validation", "test": "test"}
_WANTED = (
    "data is a name, a folder, a pair (X, y), a data set of (image, label) items such as one of torch or Hugging Face, "
    "a pair (train, test) or a dictionary of either, or a Data"
)


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
    size: int | tuple[int, int] | None = None,
    resize: Resize = "crop",
    broken: Broken = "refuse",
    memory: float = MEMORY,
    rare: Rare = "refuse",
    normalise: bool = True,
) -> Data:
    """Load examples with labels and split them; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; a folder of pictures, with one
            folder for each class; an ``.npz`` file with arrays X and y (and optionally X_test and y_test); a pair
            ``(X, y)`` of arrays, tensors or lists; a torch Dataset, a data set of Hugging Face, or anything that gives
            pairs ``(image, label)`` or dictionaries of them, one after the other; a pair ``(train, test)``, or a
            dictionary with "train", and "val" and "test" where they are given, of two such pairs or data sets; or a
            Data, which is returned unchanged. X is images, or a table of numbers ``(n, features)`` such as a data
            frame. Items may be pictures of any sizes. Without a test set, the examples are split 60/20/20 into train,
            validation and test part; with one, 80/20 into train and validation part. A folder may have folders train,
            val and test, each with class folders; a part that it does not have is taken from its train part. Its
            pictures (JPEG, PNG, WebP and others) may have any sizes; decoded once, they are kept in
            ``$SEARCHKIT_CACHE``, or in ``~/.cache/searchkit``.
        seed: of the split.
        limit: use a stratified subset of about that many examples; a given test set is used whole. Of a stream, which
            has no length, so many items are read.
        augment: see :class:`Data`. None: that of the named data set, else "crop-flip" or "shift", by whether mirrored
            images are still like those of their class (:mod:`searchkit.data.symmetry`).
        channels: "first" or "last"; needed where the shape of 4-D images leaves it open.
        name: name of the data in records. None: that of the data set or file, else "custom".
        kind: "images" or "table". None: decided by :func:`searchkit.data.tables.is_table`.
        task: "classification", or "regression" if y is a quantity. None: classification.
        size: pixels that pictures, of a folder or a data set, are brought to: a side, or (height, width). None: the
            median of their shorter sides, 64 at most.
        resize: "crop" keeps their proportions and cuts off what is too long, "pad" puts black beside what is too
            short, "stretch" distorts them.
        broken: "skip" leaves out pictures that cannot be read, and says so; "refuse" raises.
        rare: what becomes of classes with too few examples to be in each part: "refuse" raises, "drop" leaves them out,
            "merge" makes them one class. A warning names them.
        normalise: whether networks get values that are standardised by mean and deviation of the train part, as part of
            the network that is delivered; False: the values as they are, for networks that expect these.
        memory: bytes up to which decoded pictures are held in memory; more are read from their file as they are used.

    Returns:
        images uint8 or float32 ``(n, c, h, w)``, or tables float32 ``(n, features)``, in three disjoint parts.

    Raises:
        DataError: the data cannot be used; the message says what is wrong.
    """
    _check_choices(augment, kind, task, rare)
    pictures = _pictures(size, resize, broken, memory)
    read = is_folder(data) if isinstance(data, str | Path) else _has_items(data)
    if pictures != Pictures() and not read:
        raise DataError(
            "size, resize, broken and memory are for folders of pictures and for data sets that give one item after "
            "the other; other data are taken as they are"
        )
    if rare != "refuse" and (task == "regression" or isinstance(data, Data)):
        of = "a regression has no classes" if task == "regression" else f"data '{data.name}' are split already"  # type: ignore[attr-defined]
        raise DataError(f"rare={rare!r} is about classes of examples that are split, and {of}")
    if not isinstance(normalise, bool | np.bool_):
        raise DataError(f"normalise is True or False, not {normalise!r}")
    if isinstance(data, Data):
        return _as_wanted(data if normalise else data.as_given(), kind, task)
    if isinstance(data, str | Path) and is_folder(data):
        if kind == "table" or task == "regression":
            raise DataError(f"folder '{data}' has pictures and their classes, and {kind or task} is asked for")
        return load_folder(
            settled(data),
            replace(pictures, rare=rare, normalise=normalise),
            seed=seed,
            limit=limit,
            augment=augment,
            name=name,
        )
    labels: tuple[Label, ...] | None = None
    if is_npz(data):
        name, data = name or re.sub(r"[^\w.+-]", "-", Path(data).stem), read_npz(data)
    if isinstance(data, Path) or (isinstance(data, str) and re.search(r"[/\\]|\.\w+$", data)):
        what = "no .npz file" if Path(data).exists() else "neither a folder nor a file"
        raise DataError(
            f"data '{data}' is {what}: give a folder with one folder of pictures for each class, or read it first and "
            "give (X, y), or write numpy.savez('data.npz', X=..., y=...)"
        )
    if data is None or isinstance(data, str):
        known = named("digits" if data is None else data)
        given, labels = {"train": Items(*known.train)}, known.classes
        given |= {} if known.test is None else {"test": Items(*known.test)}
        name, augment, channels = name or known.name, augment or known.augment, "first"  # type: ignore[assignment]
    else:
        given = _given_parts(data, pictures, limit)
    kind = kind or ("table" if is_table(given["train"].x) else "images")
    regression = task == "regression"
    x, y, classes = _examples(given["train"], kind, regression, channels, None, "")
    own = {"train": (x, y)}
    for part in ("val", "test"):
        if part in given:
            of_part = _examples(given[part], kind, regression, channels, classes, f"{_CALLED[part]} ")
            _check_alike(x, of_part[0], kind, _CALLED[part])
            own[part] = of_part[:2]
    if given["train"].names is not None and not regression:
        labels = tuple(given["train"].names[int(label)] for label in classes)
    y_of, left = {part: of_part[1] for part, of_part in own.items()}, None
    classes = () if regression else labels or classes
    if not regression:
        left, y_of, classes = settled_classes(y_of, classes, rare)
    rows = parts_of(y_of, classes, limit, np.random.default_rng(seed))
    splits = [
        split_of(own[source][0].numpy()[chosen if left is None else left[source][chosen]], y_of[source][chosen])
        for source, chosen in rows.values()
    ]
    return assemble(splits, classes, name=name or "custom", augment=augment, normalise=normalise)


def _has_items(data: Any) -> bool:
    """Whether it is a data set of items, or has parts that are."""
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, tuple | list) else [data]
    return any(map(is_dataset, parts))


def is_folder(data: str | Path) -> bool:
    """Whether data are read from a folder: it is one here, and no name of ours."""
    return str(data) not in NAMES and not is_npz(data) and Path(data).is_dir()


def _pictures(size: object, resize: object, broken: object, memory: object) -> Pictures:
    check_resize(resize)
    if broken not in get_args(Broken):
        raise DataError(f"broken is one of {', '.join(get_args(Broken))}, not {broken!r}")
    if not is_real(memory) or not memory >= 0:
        raise DataError(f"memory is a number of bytes, 0 or more, not {memory!r}")
    return Pictures(read_size(size), resize, broken, float(memory))  # type: ignore[arg-type]


def _check_choices(augment: object, kind: object, task: object, rare: object) -> None:
    given = (("augment", augment, Augment), ("kind", kind, Kind), ("task", task, Task), ("rare", rare, Rare))
    for what, value, allowed in given:
        if value is not None and value not in get_args(allowed):
            raise DataError(f"{what} is one of {', '.join(get_args(allowed))}, not {value!r}")


def _check_alike(x: torch.Tensor, other: torch.Tensor, kind: Kind, part: str) -> None:
    if other.shape[1:] != x.shape[1:] or other.dtype != x.dtype:
        what = "images" if kind == "images" else "rows"
        raise DataError(
            f"train {what} are {tuple(x.shape[1:])} {x.dtype} but {part} {what} are "
            f"{tuple(other.shape[1:])} {other.dtype}; they must be alike"
        )


def _as_wanted(data: Data, kind: Kind | None, task: Task | None) -> Data:
    """The Data, unchanged; raises DataError if it has another kind or task than asked for."""
    for what, asked, has in (("kind", kind, data.kind), ("task", task, data.task)):
        if asked is not None and asked != has:
            raise DataError(
                f"data '{data.name}' have the {what} '{has}', and '{asked}' is asked for: load them with "
                f"load_data(..., {what}='{asked}')"
            )
    return data


def _given_parts(data: Any, pictures: Pictures, limit: int | None) -> dict[str, Items]:
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


def _named_parts(data: Mapping[Any, Any], pictures: Pictures, limit: int | None) -> dict[str, Items]:
    """Parts by their names, such as a dictionary of data sets of Hugging Face."""
    parts: dict[str, Items] = {}
    for part, names in PARTS.items():
        for key in data:
            if str(key).lower() in names:
                if part in parts:
                    raise DataError(f"data has two parts called {part}: {', '.join(map(str, data))}")
                whole = _given_parts(data[key], pictures, limit if part == "train" else None)
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
        x = as_table(pair.x) if kind == "table" else as_images(pair.x, channels=channels)
        labels = as_target(pair.y) if regression else as_labels(pair.y)
    except DataError as error:
        if not which:
            raise
        raise DataError(f"in the {which}set, {error}") from error
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
        raise DataError(f"the {which}labels hold class {new[0]!r}, which the training labels do not have")
    return x, np.array([known.index(label) for label in classes], dtype=np.int64)[y], known
