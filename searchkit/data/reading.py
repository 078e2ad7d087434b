"""Reads what users have as data: folders, files, named data sets, arrays and data sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from searchkit.data.assembling import assemble
from searchkit.data.augmenting import Transform
from searchkit.data.bundled import NAMES, named
from searchkit.data.csv_files import is_csv, read_csv, stem_of
from searchkit.data.data import Augment, Data
from searchkit.data.datasets import Items
from searchkit.data.example_weights import read_class_weights
from searchkit.data.examples import given_parts, split_examples
from searchkit.data.folders import load_folder
from searchkit.data.frames import Rows, encoded, with_rows
from searchkit.data.images import Channels, is_npz, read_npz
from searchkit.data.labels import Label
from searchkit.data.mask_folders import load_masks, mask_folders
from searchkit.data.parting import Rare
from searchkit.data.pictures import Pictures
from searchkit.data.tables import is_table
from searchkit.data.tokens import is_text, is_tokens, read_parts
from searchkit.data.tokens import settled as settled_tokens
from searchkit.errors import DataError
from searchkit.space.inputs import Kind
from searchkit.surroundings import settled
from searchkit.types import Task

Asked = Literal["images", "table", "tokens", "signals", "sequences"]  # "sequences": tokens or signals


@dataclass(frozen=True)
class How:
    """How data are read: the arguments of :func:`searchkit.load_data`, checked."""

    pictures: Pictures
    seed: int
    limit: int | None
    augment: Augment | None
    channels: Channels | None
    name: str | None
    kind: Asked | None
    task: Task | None
    rare: Rare
    normalise: bool
    ignore: int | None
    class_weights: str | Mapping[Label, float] | None
    weights: object
    transform: Transform | None
    vocabulary: int | None
    length: int | None
    target: str | None = None


def read_data(data: object, how: How) -> Data:
    """The data, split; see :func:`searchkit.load_data`.

    Raises:
        DataError: they cannot be used.
    """
    if isinstance(data, str | Path) and is_folder(data):
        folder = settled(data)
        two = mask_folders(folder) if how.task in (None, "segmentation") else None
        return _of_classes(folder, how) if two is None else _of_masks(folder, two, how)
    name, augment, channels, labels = how.name, how.augment, how.channels, None
    if is_npz(data):
        name, data = name or re.sub(r"[^\w.+-]", "-", Path(data).stem), read_npz(data)
    if is_csv(data) and isinstance(data, str | Path) and Path(data).exists():
        name, data = name or re.sub(r"[^\w.+-]", "-", stem_of(data)), read_csv(data, how.target)
    refuse_unread(data)
    if data is None or isinstance(data, str):
        known = named("digits" if data is None else data)
        given, labels = {"train": Items(*known.train)}, known.classes
        given |= {} if known.test is None else {"test": Items(*known.test)}
        name, augment, channels = name or known.name, augment or known.augment, "first"  # type: ignore[assignment]
    else:
        given = given_parts(data, how.pictures, how.limit)
    given = with_rows(given) if how.kind in (None, "table") else given
    kind = _kind_of(given["train"].x, how.kind)
    _check_augment(augment, kind)
    given, words = read_parts(given, how.vocabulary, how.length) if kind == "tokens" else (given, ())
    splits, classes, task = split_examples(
        given, kind, how.task, channels, labels, how.rare, how.limit, how.seed, how.ignore, how.weights
    )
    n, tokenizer, encoder = 0, None, None
    if isinstance(given["train"].x, Rows):
        splits, encoder = encoded(splits, given)
    if kind == "tokens":
        splits, n, tokenizer = settled_tokens(splits, words, how.vocabulary)
    return assemble(
        splits,
        classes,
        name=name or "custom",
        augment=augment,
        normalise=how.normalise,
        class_weights=read_class_weights(how.class_weights, splits[0].y.numpy(), classes, task),
        task=task,
        transform=how.transform,
        vocabulary=n,
        tokenizer=tokenizer,
        encoder=encoder,
    )


def _of_masks(folder: Path, two: Mapping[str, tuple[Path, Path]], how: How) -> Data:
    """Of a folder of pictures beside one of masks."""
    _refuse(folder, how, "masks", ignore=True)
    splits, classes, wanted = load_masks(two, how.pictures, seed=how.seed, limit=how.limit, ignore=how.ignore)
    return assemble(
        splits,
        classes,
        name=how.name or folder.name,
        augment=how.augment,
        normalise=how.normalise,
        class_weights=read_class_weights(how.class_weights, splits[0].y.numpy(), classes, "segmentation"),
        task="segmentation",
        transform=how.transform,
        prepared_as=wanted,
    )


def _of_classes(folder: Path, how: How) -> Data:
    """Of a folder of class folders."""
    _refuse(folder, how, "classes", ignore=False)
    return load_folder(
        folder,
        how.pictures,
        seed=how.seed,
        limit=how.limit,
        augment=how.augment,
        name=how.name,
        rare=how.rare,
        normalise=how.normalise,
        class_weights=how.class_weights,
        transform=how.transform,
    )


def _refuse(folder: Path, how: How, what: str, *, ignore: bool) -> None:
    """Refuse options that mean nothing for a folder of pictures."""
    task = "segmentation" if ignore else "classification"
    meant = {
        f"kind='{how.kind}'": how.kind not in (None, "images"),
        f"task='{how.task}'": how.task not in (None, task),
        f"channels={how.channels!r}": how.channels is not None,
        "weights=": how.weights is not None,
        "ignore=": how.ignore is not None and not ignore,
        f"rare={how.rare!r}": how.rare != "refuse" and ignore,
    }
    asked_for = next((said for said, there in meant.items() if there), "")
    if asked_for:
        raise DataError(f"folder '{folder}' has pictures and their {what}, for which {asked_for} means nothing")


def refuse_unread(data: object) -> None:
    """Refuse a path that is no folder and no file that is read.

    Raises:
        DataError: it is one; the message says what may be given.
    """
    if not isinstance(data, str | Path) or is_folder(data) or is_npz(data) or (is_csv(data) and Path(data).exists()):
        return
    if isinstance(data, Path) or re.search(r"[/\\]|\.\w+$", data):
        what = "no .npz file" if Path(data).exists() else "neither a folder nor a file"
        raise DataError(
            f"data '{data}' is {what}: give a folder with one folder of pictures for each class, or read it first and "
            "give (X, y), or write numpy.savez('data.npz', X=..., y=...)"
        )


def is_found(data: str | Path) -> bool:
    """Whether it is the name of a data set, a file that is read, or a folder that is there."""
    return str(data).endswith(".npz") or str(data) in NAMES or is_folder(data)


def is_folder(data: str | Path) -> bool:
    """Whether data are read from a folder: it is one here, and no name of ours."""
    return str(data) not in NAMES and not is_npz(data) and Path(data).is_dir()


def _kind_of(X: object, kind: Asked | None) -> Kind:
    """The kind as which X is read."""
    if kind == "sequences":
        return "tokens" if is_tokens(X) else "signals"
    if kind is None and is_text(X):
        raise DataError("X is text: load_data(..., kind='tokens') makes tokens of its words")
    return kind or ("table" if isinstance(X, Rows) or is_table(X) else "images")


def _check_augment(augment: object, kind: Kind) -> None:
    if kind == "signals" and augment not in (None, "shift", "none"):
        raise DataError(f"augment of signals is 'shift' (in time) or 'none', not {augment!r}")
