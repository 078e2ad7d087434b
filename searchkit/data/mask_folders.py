"""Data from a folder of pictures and a folder of their masks, whose files have the same names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.data.class_folders import PARTS, folders_in, pictures_in
from searchkit.data.decoded import decode_all, headers_of, read_all, settle_unread
from searchkit.data.labels import Label
from searchkit.data.masks import IGNORED, as_masks
from searchkit.data.parting import parts_of
from searchkit.data.pictures import BrokenPictureError, Pictures, Shape, mask_of, usual_shape
from searchkit.data.splits import Split
from searchkit.errors import DataError, plural

log = logging.getLogger("searchkit.data")
IMAGES = ("images", "image", "imgs", "img", "pictures", "jpegimages")
MASKS = ("masks", "mask", "labels", "annotations", "segmentation", "segmentations", "segmentationclass")
_ENDS = ("_mask", "-mask", "_masks", "_seg", "_label", "_labels", "_gt")  # of masks' names, beside those of pictures

Pairs = list[tuple[Path, Path]]


def mask_folders(folder: Path) -> dict[str, tuple[Path, Path]] | None:
    """The folders of pictures and of masks by part, where a folder has such; "train" where it has no parts.

    They are ``images`` and ``masks``, or other usual names: in each of train, val and test, or with these in them.
    """
    try:
        found = _two(folder)
        if found is not None:
            inside = [_parts(one) for one in found]
            if all("train" in parts for parts in inside) and inside[0].keys() == inside[1].keys():
                return {part: (inside[0][part], inside[1][part]) for part in inside[0]}
            return {"train": found}
        by_part = {part: two for part, path in _parts(folder).items() if (two := _two(path)) is not None}
    except OSError:
        return None
    return by_part if "train" in by_part else None


def _two(folder: Path) -> tuple[Path, Path] | None:
    inside = {path.name.lower(): path for path in folders_in(folder)}
    found = [[inside[name] for name in names if name in inside] for names in (IMAGES, MASKS)]
    return (found[0][0], found[1][0]) if all(found) else None


def _parts(folder: Path) -> dict[str, Path]:
    inside = {path.name.lower(): path for path in folders_in(folder)}
    return {part: inside[name] for part, names in PARTS.items() for name in names if name in inside}


def load_masks(
    folders: Mapping[str, tuple[Path, Path]],
    pictures: Pictures,
    *,
    seed: int,
    limit: int | None,
    ignore: int | None,
) -> tuple[list[Split], tuple[Label, ...], Shape]:
    """Train, validation and test part, the classes, and how pictures were made alike; see :func:`searchkit.load_data`.

    Raises:
        DataError: a picture has no mask, one cannot be read, or they are no pictures and masks.
    """
    pairs = {part: _matched(*two) for part, two in folders.items()}
    sizes = headers_of([path for of_part in pairs.values() for path, _ in of_part], pictures.broken)
    pairs = {part: [pair for pair in of_part if pair[0] in sizes] for part, of_part in pairs.items()}
    wanted = usual_shape(list(sizes.values()), pictures.size, pictures.resize)
    read = {part: _read(of_part, sizes, wanted, pictures) for part, of_part in pairs.items()}
    pairs = {part: of_part for part, (of_part, _) in read.items()}
    y, classes = _classes({part: masks for part, (_, masks) in read.items()}, ignore)
    rows = parts_of(y, (), limit, np.random.default_rng(seed))
    files = {part: [pairs[source][i][0] for i in chosen] for part, (source, chosen) in rows.items()}
    masks = [y[rows[part][0]][rows[part][1]] for part in PARTS]
    kept = decode_all([path for part in PARTS for path in files[part]], wanted, pictures.broken)
    splits = kept.parts(masks, wanted, pictures.memory)
    log.info("%s with masks of %s, as %s", plural(sum(map(len, splits)), "picture"),
             plural(len(classes), "class", "classes"), "x".join(map(str, wanted.shape)))  # fmt: skip
    return splits, classes, wanted


def _matched(images: Path, masks: Path) -> Pairs:
    """Every picture with its mask, by the path without what comes after the name."""
    known: dict[str, Path] = {}
    for path in pictures_in(masks):
        name = str(path.relative_to(masks).with_suffix(""))
        known.setdefault(next((name.removesuffix(end) for end in _ENDS if name.endswith(end)), name), path)
        known[name] = path
    found: Pairs = []
    for path in pictures_in(images):
        mask = known.get(str(path.relative_to(images).with_suffix("")))
        if mask is None:
            raise DataError(f"picture {path} has no mask of its name in '{masks}'")
        found.append((path, mask))
    if not found:
        raise DataError(f"folder '{images}' has no pictures")
    taken: dict[Path, Path] = {}
    for path, mask in found:
        if mask in taken:
            raise DataError(f"pictures {taken[mask]} and {path} have one name, and so one mask: keep one of them")
        taken[mask] = path
    left = len(set(known.values())) - len({mask for _, mask in found})
    if left:
        log.warning("%s in '%s' left out, of no picture", plural(left, "mask"), masks)
    return found


def _read(
    pairs: Pairs, sizes: Mapping[Path, tuple[str, int, int]], wanted: Shape, pictures: Pictures
) -> tuple[Pairs, npt.NDArray[np.int32]]:
    """The pairs whose masks can be read, and these masks ``(n, h, w)``; ``IGNORED`` beside padded ones."""
    of_mask = {mask: image for image, mask in pairs}

    def one(path: Path) -> npt.NDArray[np.int32]:
        values = mask_of(path)
        _, width, height = sizes[of_mask[path]]
        if values.shape != (height, width):
            raise DataError(
                f"mask {path} has {values.shape[1]} x {values.shape[0]} pixels, and its picture {of_mask[path]} "
                f"{width} x {height}; they must be alike"
            )
        return wanted.nearest(values, IGNORED)

    read = list(read_all([mask for _, mask in pairs], one))
    settle_unread([str(error) for error in read if isinstance(error, BrokenPictureError)], pictures.broken)
    there = [(pair, mask) for pair, mask in zip(pairs, read, strict=True) if not isinstance(mask, BrokenPictureError)]
    if not there:
        raise DataError("no mask can be read")
    return [pair for pair, _ in there], np.stack([mask for _, mask in there])


def _classes(
    masks: Mapping[str, npt.NDArray[np.int32]], ignore: int | None
) -> tuple[dict[str, npt.NDArray[Any]], tuple[Label, ...]]:
    """Numbers of classes for all masks; what is padded has none."""
    classes: tuple[Label, ...] | None = None
    found: dict[str, npt.NDArray[Any]] = {}
    for part, values in masks.items():
        found[part], classes = as_masks(values, classes, ignore, told=False)
    assert classes is not None
    return found, classes
