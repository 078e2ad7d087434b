"""Reads data sets of items: of torch, of Hugging Face, or anything that gives an image and a label at a time."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from searchkit.data.arrays import is_frame, plain_array
from searchkit.data.masks import IGNORED
from searchkit.data.pictures import BrokenPictureError, Pictures, Shape, fitted, usual_shape
from searchkit.errors import DataError, first_line_said, plural

log = logging.getLogger("searchkit.data")

IMAGES = ("image", "img", "picture", "pixel_values", "jpg", "jpeg", "png", "webp", "x")  # keys of an item
LABELS = ("label", "labels", "target", "class", "cls", "y", "mask", "masks", "annotation", "segmentation")
LOOKED_AT = 200  # pictures by which size and channels are chosen, where they are not given


@dataclass(frozen=True)
class Items:
    """What a data set holds.

    Attributes:
        x: images, an array of all of them or a list of arrays of one shape.
        y: a label for each.
        names: of the classes, by label, where the data set says them.
    """

    x: object
    y: object
    names: tuple[str, ...] | None = None


def is_dataset(value: object) -> bool:
    """Whether it gives items one after the other, and is no array, list, table or mapping."""
    if isinstance(value, Dataset | DataLoader) or hasattr(value, "column_names"):
        return True
    if isinstance(value, str | bytes | Path | list | tuple | set | frozenset | Mapping) or is_frame(value):
        return False
    arrays = hasattr(value, "__array__") or hasattr(value, "toarray")
    return not arrays and isinstance(value, Iterable)


def from_dataset(dataset: object, pictures: Pictures, limit: int | None = None) -> Items:
    """All items of a data set: pairs of image and label, or dictionaries of them.

    Images are arrays of one shape, which stay as they are; or pictures of Pillow, encoded bytes, paths, or arrays of
    bytes of several shapes, which are brought to one size.

    Args:
        limit: items that are read of a stream, which has no length.

    Raises:
        DataError: there are no items, one is no image with a label, or a stream is too long for the memory allowed.
    """
    if isinstance(dataset, DataLoader):
        dataset = dataset.dataset
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return Items(*dataset.tensors)
    name = type(dataset).__name__
    reader = _Reader(name, pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UserWarning)  # of odd metadata of pictures
        for at, item in enumerate(_items(dataset, name, limit)):
            reader.take(at, item)
    return Items(reader.images(), reader.labels, _names(dataset, reader.labels))


def _items(dataset: Any, name: str, limit: int | None) -> Iterator[Any]:
    try:
        n = len(dataset)
    except TypeError:  # a stream
        n = None
    stream = iter(dataset) if n is None or not hasattr(dataset, "__getitem__") else (dataset[i] for i in range(n))
    at = 0
    try:
        for item in islice(stream, limit if n is None else None):
            yield item
            at += 1
    except DataError:
        raise
    except Exception as error:  # of the user's own code
        raise DataError(
            f"item {at} of the dataset {name} cannot be read: {type(error).__name__}: {first_line_said(error)}"
        ) from error


class _Reader:
    """Takes items one after the other; pictures are brought to one size as soon as that is known."""

    def __init__(self, name: str, pictures: Pictures) -> None:
        self.name, self.pictures = name, pictures
        self.labels: list[Any] = []
        self._waiting: list[Any] = []  # pictures whose size is not chosen yet
        self._made: list[npt.NDArray[Any]] = []
        self._wanted: Shape | None = None
        self._arrays = self.pictures.size is None  # until a picture comes, or an array of another shape
        self._skipped: list[str] = []
        self._held = 0

    def take(self, at: int, item: object) -> None:
        image, label = self._pair(at, item)
        try:
            found = _opened(image, f"image {at} of the dataset {self.name}")
        except BrokenPictureError as error:
            if self.pictures.broken == "refuse":
                raise DataError(f"{error}; broken='skip' leaves such images out") from error
            self._skipped.append(str(error))
            return
        self.labels.append(_label(label))
        self._held += int(np.prod(np.shape(found) if isinstance(found, np.ndarray) else found.size))
        if self._held > self.pictures.memory and self._arrays:
            self._refuse_more()
        if self._arrays:
            if isinstance(found, np.ndarray) and all(one.shape == found.shape for one in self._waiting[:1]):
                self._waiting.append(found)
                return
            self._arrays = False
            self._waiting = [self._picture(i, one) for i, one in enumerate(self._waiting)]
        self._waiting.append(self._picture(at, found))
        if self._wanted is not None or len(self._waiting) >= LOOKED_AT:
            self._fit()

    def images(self) -> npt.NDArray[Any]:
        """``(n, ...)`` all images."""
        if self._skipped:
            n = plural(len(self._skipped), "image")
            log.warning("%s left out, which cannot be read, the first: %s", n, self._skipped[0])
        if not self.labels:
            raise DataError(f"the dataset {self.name} is empty")
        if not self._arrays:
            self._fit()
        return np.stack(self._waiting if self._arrays else self._made)

    def _fit(self) -> None:
        if self._wanted is None:
            looks = [(one.mode, *one.size) for one in self._waiting]
            self._wanted = usual_shape(looks, self.pictures.size, self.pictures.resize)
        for at, one in enumerate(self._waiting, start=len(self._made)):
            if _is_mask(self.labels[at], one.size):
                self.labels[at] = self._wanted.nearest(np.asarray(self.labels[at], dtype=np.int32), IGNORED)
        self._made += [fitted(one, self._wanted) for one in self._waiting]
        self._waiting = []
        if self._made and len(self._made) * self._made[0].nbytes > self.pictures.memory:
            self._refuse_more()

    def _refuse_more(self) -> None:
        raise DataError(
            f"the dataset {self.name} has more than {self.pictures.memory / 2**20:,.0f} MiB of images: give limit= to "
            "read fewer, size= to make them smaller, or memory= for more; or save them into a folder with one folder "
            "for each class, which is read from the disk"
        )

    def _pair(self, at: int, item: object) -> tuple[Any, Any]:
        if isinstance(item, Mapping):
            image = next((key for key in IMAGES if key in item), None)
            label = next((key for key in LABELS if key in item), None)
            if image is None or label is None:
                what = f"no label ({', '.join(LABELS)})" if image is not None else f"no image ({', '.join(IMAGES)})"
                raise DataError(
                    f"item {at} of the dataset {self.name} has {what} among its keys: {', '.join(map(str, item))}"
                )
            return item[image], item[label]
        if not isinstance(item, Sequence) or isinstance(item, str) or len(item) != 2:
            raise DataError(
                f"item {at} of the dataset {self.name} is not a pair (image, label) and not a dictionary of them but "
                f"{type(item).__name__}"
            )
        return item[0], item[1]

    def _picture(self, at: int, found: Any) -> Any:
        """A picture of Pillow; arrays of bytes are made one."""
        if not isinstance(found, np.ndarray):
            return found
        from PIL import Image

        pixels = found
        if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
            pixels = np.moveaxis(pixels, 0, 2)
        whole = pixels.dtype.kind in "iu" and pixels.size and pixels.min() >= 0 and pixels.max() <= 255
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)) or not whole:
            raise DataError(
                f"image {at} of the dataset {self.name} has shape {found.shape} and {found.dtype}; images of several "
                "shapes are resized where they are whole numbers from 0 to 255 with 1, 3 or 4 channels: resize others "
                "to one shape"
            )
        pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        return Image.fromarray(pixels.astype(np.uint8))


def _opened(image: Any, what: str) -> Any:
    """An array, or a picture of Pillow that is loaded."""
    if isinstance(image, Mapping) and "bytes" in image:  # of Hugging Face, not decoded
        image = image["bytes"] if image["bytes"] is not None else image.get("path")
    if isinstance(image, bytes | bytearray | str | Path):
        from PIL import Image

        try:
            picture = Image.open(io.BytesIO(image) if isinstance(image, bytes | bytearray) else image)
            picture.load()
        except Exception as error:
            raise BrokenPictureError(f"{what} cannot be read: {first_line_said(error)}") from error
        return picture
    if hasattr(image, "convert") and hasattr(image, "mode"):
        try:
            image.load()
        except Exception as error:
            raise BrokenPictureError(f"{what} cannot be read: {first_line_said(error)}") from error
        return image.convert("RGBA" if "transparency" in image.info else "RGB") if image.mode == "P" else image
    return plain_array(image, what)


def _is_mask(label: Any, size: tuple[int, int]) -> bool:
    """Whether a label has a whole number for each pixel of a picture of this width and height."""
    return isinstance(label, np.ndarray) and label.dtype.kind in "iub" and label.shape == size[::-1]


def _label(label: Any) -> Any:
    """A label as a number, or as an array where it is several, such as one-hot; a mask of Pillow as an array."""
    if hasattr(label, "convert") and hasattr(label, "mode"):
        return np.asarray(label)
    if isinstance(label, torch.Tensor):
        label = label.detach().cpu().numpy()
    return label.item() if isinstance(label, np.ndarray) and label.size == 1 else label


def _names(dataset: Any, labels: Sequence[Any]) -> tuple[str, ...] | None:
    """Names of the classes that whole-numbered labels count, as data sets of torchvision and Hugging Face have them."""
    features = getattr(dataset, "features", None)
    if isinstance(features, Mapping):
        named = next((features[key] for key in LABELS if key in features), None)
        names = getattr(named, "names", None)
    else:
        names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    whole = all(isinstance(one, int | np.integer) and 0 <= one < len(names) for one in labels)
    return tuple(names) if whole and len(set(names)) == len(names) else None
