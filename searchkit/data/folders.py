"""Data from a folder of pictures with one folder for each class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from searchkit.data.assembling import assemble
from searchkit.data.augmenting import Transform
from searchkit.data.class_folders import PARTS, Listing, list_folder
from searchkit.data.data import Augment, Data
from searchkit.data.decoded import decode_all, headers_of
from searchkit.data.example_weights import read_class_weights
from searchkit.data.labels import Label
from searchkit.data.parting import Rare, parts_of, settled_classes
from searchkit.data.pictures import Pictures, Shape, usual_shape
from searchkit.data.splits import Split
from searchkit.errors import DataError, plural

log = logging.getLogger("searchkit.data")


@dataclass(frozen=True)
class _Given:
    """The pictures of one part of the listing that have a readable header: files, and classes ``(n,)`` of them."""

    files: list[Path]
    labels: npt.NDArray[np.str_]


def load_folder(
    folder: Path,
    pictures: Pictures,
    *,
    seed: int,
    limit: int | None,
    augment: Augment | None,
    name: str | None,
    rare: Rare,
    normalise: bool,
    class_weights: object,
    transform: Transform | None,
) -> Data:
    """The data of a folder, split as :func:`searchkit.load_data` says.

    Raises:
        DataError: the folder or a picture in it cannot be used.
    """
    listing = list_folder(folder)
    headers = headers_of([path for part in listing.parts.values() for path, _ in part], pictures.broken)
    given = {part: _readable(found, headers) for part, found in listing.parts.items()}
    looks = [headers[path] for part in given.values() for path in part.files]
    wanted = usual_shape(looks, pictures.size, pictures.resize)
    classes, y = _classes(folder, given)
    left, y, classes = settled_classes(y, classes, rare)
    rows = parts_of(y, classes, limit, np.random.default_rng(seed))
    files = {part: [given[source].files[left[source][i]] for i in chosen] for part, (source, chosen) in rows.items()}
    labels = {part: y[source][chosen] for part, (source, chosen) in rows.items()}
    kept = decode_all([path for part in PARTS for path in files[part]], wanted, pictures.broken)
    splits = kept.parts([labels[part] for part in PARTS], wanted, pictures.memory)
    _check_left(splits, classes)
    _tell(listing, splits, classes, wanted, pictures.memory)
    weights = read_class_weights(class_weights, splits[0].y.numpy(), classes, "classification")
    return assemble(
        splits,
        classes,
        name=name or folder.name,
        augment=augment,
        normalise=normalise,
        class_weights=weights,
        transform=transform,
        prepared_as=wanted,
    )


def _readable(part: Sequence[tuple[Path, str]], headers: dict[Path, tuple[str, int, int]]) -> _Given:
    there = [(path, label) for path, label in part if path in headers]
    return _Given([path for path, _ in there], np.array([label for _, label in there], dtype=np.str_))


def _classes(folder: Path, given: dict[str, _Given]) -> tuple[tuple[Label, ...], dict[str, npt.NDArray[np.int64]]]:
    """The classes of the training pictures, and the numbers of all pictures' classes by part."""
    classes: tuple[Label, ...] = tuple(str(one) for one in np.unique(given["train"].labels))
    if len(classes) < 2:
        there = f"one class folder with pictures, '{classes[0]}'" if classes else "no class folder with pictures"
        raise DataError(f"folder '{folder}' has {there}; two or more classes are needed")
    for part, found in given.items():
        new = sorted(set(found.labels.tolist()) - set(map(str, classes)))
        if new:
            raise DataError(
                f"the {part} folder of '{folder}' has class '{new[0]}', which the train folder does not have"
            )
        if not len(found.labels):
            raise DataError(f"the {part} folder of '{folder}' has no pictures in class folders")
    number = {label: i for i, label in enumerate(classes)}
    return classes, {
        part: np.array([number[label] for label in found.labels.tolist()], dtype=np.int64)
        for part, found in given.items()
    }


def _check_left(splits: Sequence[Split], classes: tuple[Label, ...]) -> None:
    """Pictures that could not be decoded are missing by now."""
    missing = sorted(set(range(len(classes))) - set(splits[0].y.tolist()))
    if missing:
        raise DataError(f"class '{classes[missing[0]]}' has no picture in the train part that can be read")
    for part, split in zip(PARTS, splits, strict=True):
        if not len(split):
            raise DataError(f"the {part} part has no picture that can be read")


def _tell(listing: Listing, splits: Sequence[Split], classes: tuple[Label, ...], wanted: Shape, memory: float) -> None:
    n, size = sum(map(len, splits)), sum(split.x.numel() for split in splits)
    where = "in memory" if size <= memory else "read from the disk as they are used"
    log.info(
        "folder '%s': %s in %s, as %s (%s MB, %s)", listing.folder.name, plural(n, "picture"),
        plural(len(classes), "class", "classes"), "x".join(map(str, wanted.shape)), f"{size / 1e6:,.0f}", where,
    )  # fmt: skip
    if listing.left_out:
        log.warning("of folder '%s', %s left out", listing.folder.name, listing.left_out)
