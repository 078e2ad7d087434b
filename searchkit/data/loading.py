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
from searchkit.data.decoded import Broken
from searchkit.data.folders import MEMORY, Pictures, load_folder
from searchkit.data.images import Channels, as_images, from_dataset, is_npz, read_npz
from searchkit.data.labels import Label, as_labels, plain_label
from searchkit.data.parting import parts_of
from searchkit.data.pictures import Resize, check_resize, read_size
from searchkit.data.splits import Split, split_of
from searchkit.data.tables import as_table, as_target, is_table
from searchkit.errors import DataError
from searchkit.problem.numbers import is_real
from searchkit.surroundings import settled


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
) -> Data:
    """Load examples with labels and split them; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; a folder of pictures, with one
            folder for each class; an ``.npz`` file with arrays X and y (and optionally X_test and y_test); a pair
            ``(X, y)`` of arrays, tensors or lists; a torch Dataset of ``(image, label)``; a pair ``(train, test)`` of
            two such pairs or two Datasets; or a Data, which is returned unchanged. X is images, or a table of numbers
            ``(n, features)`` such as a data frame. Without a test set, the examples are split 60/20/20 into train,
            validation and test part; with one, 80/20 into train and validation part. A folder may have folders train,
            val and test, each with class folders; a part that it does not have is taken from its train part. Its
            pictures (JPEG, PNG, WebP and others) may have any sizes; decoded once, they are kept in
            ``$SEARCHKIT_CACHE``, or in ``~/.cache/searchkit``.
        seed: of the split.
        limit: use a stratified subset of about that many examples; a given test set is used whole.
        augment: see :class:`Data`. None: that of the named data set, else "crop-flip" or "shift", by whether mirrored
            images are still like those of their class (:mod:`searchkit.data.symmetry`).
        channels: "first" or "last"; needed where the shape of 4-D images leaves it open.
        name: name of the data in records. None: that of the data set or file, else "custom".
        kind: "images" or "table". None: decided by :func:`searchkit.data.tables.is_table`.
        task: "classification", or "regression" if y is a quantity. None: classification.
        size: pixels that pictures of a folder are brought to: a side, or (height, width). None: the median of their
            shorter sides, 64 at most.
        resize: "crop" keeps their proportions and cuts off what is too long, "pad" puts black beside what is too
            short, "stretch" distorts them.
        broken: "skip" leaves out pictures that cannot be read, and says so; "refuse" raises.
        memory: bytes up to which decoded pictures are held in memory; more are read from their file as they are used.

    Returns:
        images uint8 or float32 ``(n, c, h, w)``, or tables float32 ``(n, features)``, in three disjoint parts.

    Raises:
        DataError: the data cannot be used; the message says what is wrong.
    """
    _check_choices(augment, kind, task)
    pictures = _pictures(size, resize, broken, memory)
    if pictures != Pictures() and not (isinstance(data, str | Path) and is_folder(data)):
        raise DataError("size, resize, broken and memory are for folders of pictures; other data are taken as they are")
    if isinstance(data, Data):
        return _as_wanted(data, kind, task)
    if isinstance(data, str | Path) and is_folder(data):
        if kind == "table" or task == "regression":
            raise DataError(f"folder '{data}' has pictures and their classes, and {kind or task} is asked for")
        return load_folder(settled(data), pictures, seed=seed, limit=limit, augment=augment, name=name)
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
    splits = _splits(x, y, classes, given, limit, np.random.default_rng(seed))
    named_classes = () if regression else labels or classes
    return assemble(splits, named_classes, name=name or "custom", augment=augment)


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


def _splits(
    x: torch.Tensor,
    y: npt.NDArray[Any],
    classes: tuple[Label, ...],
    test: Split | None,
    limit: int | None,
    rng: np.random.Generator,
) -> list[Split]:
    """Train, validation and test part; the last is taken from the examples where no test set is given."""
    given = {"train": y} | ({} if test is None else {"test": test.y.numpy()})
    rows = parts_of(given, classes, limit, rng)
    own = [split_of(x.numpy()[chosen], y[chosen]) for source, chosen in rows.values() if source == "train"]
    return own if test is None else [*own, test]


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
