"""Reads picture files and brings them to one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from searchkit.errors import DataError, first_line_said

if TYPE_CHECKING:
    from PIL import Image

Resize = Literal["crop", "stretch", "pad"]
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
LARGEST = 64  # pixels of a side, where no size is given: networks of larger pictures take long to train without a card
MEMORY = 2**30  # bytes of decoded pictures that are held in memory; more are read from their file as they are used
Broken = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Pictures:
    """How pictures are read; see :func:`searchkit.load_data`."""

    size: tuple[int, int] | None = None
    resize: Resize = "crop"
    broken: Broken = "refuse"
    memory: float = MEMORY


class BrokenPictureError(DataError):
    """A file that cannot be read as a picture."""


@dataclass(frozen=True)
class Shape:
    """What pictures are made into.

    Attributes:
        channels: 1 (grey) or 3.
        height, width: in pixels.
        resize: "crop" keeps the proportions and cuts off what is too long, from the middle; "pad" keeps the whole
            picture, with black beside it; "stretch" keeps neither.
    """

    channels: int
    height: int
    width: int
    resize: Resize = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)``."""
        return self.channels, self.height, self.width

    def nearest(self, values: npt.NDArray[np.int32], beside: int) -> npt.NDArray[np.int32]:
        """A mask ``(h, w)`` of any size as its picture is made: nearest values, and ``beside`` where it is padded."""
        from PIL import Image

        box, inner = _boxes((values.shape[1], values.shape[0]), self)
        made = Image.fromarray(values).resize(inner, Image.Resampling.NEAREST, box=box)
        found = np.full((self.height, self.width), beside, dtype=np.int32)
        top, left = round((self.height - inner[1]) / 2), round((self.width - inner[0]) / 2)
        found[top : top + inner[1], left : left + inner[0]] = np.asarray(made)
        return found


def read_size(size: object) -> tuple[int, int] | None:
    """Height and width from what a user gives: a side, a pair, or None.

    Raises:
        DataError: something else.
    """
    if size is None:
        return None
    sides = (size, size) if not isinstance(size, tuple | list) else tuple(size)
    if len(sides) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sides):
        raise DataError(f"size is a side in pixels or a pair (height, width), not {size!r}")
    return sides


def check_resize(resize: object) -> None:
    """Raises DataError unless it is one of the ways that there are."""
    if resize not in get_args(Resize):
        raise DataError(f"resize is one of {', '.join(get_args(Resize))}, not {resize!r}")


def header(path: Path) -> tuple[str, int, int]:
    """Mode, width and height of a picture, as its file says, without decoding it.

    Raises:
        BrokenPictureError: it is no picture.
    """
    with _opened(path) as picture:
        turned = picture.getexif().get(0x0112) in (5, 6, 7, 8)  # on its side
        width, height = picture.size[::-1] if turned else picture.size
        mode = "RGB" if picture.mode == "P" else picture.mode
        return mode, width, height


def decoded(path: Path, wanted: Shape) -> npt.NDArray[np.uint8]:
    """``(channels, height, width)`` uint8 of the first frame of a picture, upright.

    Raises:
        BrokenPictureError: it cannot be decoded.
    """
    with _opened(path) as picture:
        picture.draft(None, (2 * wanted.width, 2 * wanted.height))  # a JPEG is decoded at about the size needed
        return fitted(picture, wanted)


def mask_of(path: Path) -> npt.NDArray[np.int32]:
    """``(height, width)`` whole numbers of a mask, which are places in its palette where it has one.

    Raises:
        BrokenPictureError: it cannot be decoded.
        DataError: it is in colour, or in a format that changes values.
    """
    from PIL import ImageOps

    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise DataError(f"mask {path} is a JPEG, which changes values: save masks as PNG, from what they were made of")
    with _opened(path) as picture:
        picture.load()
        mode, values = picture.mode, np.asarray(ImageOps.exif_transpose(picture))
    if values.ndim != 2:
        raise DataError(
            f"mask {path} is in colour ({mode}); masks have a whole number for each pixel, as grey values or places in "
            "a palette"
        )
    return values.astype(np.int32)


def fitted(picture: Image.Image, wanted: Shape) -> npt.NDArray[np.uint8]:
    """``(channels, height, width)`` uint8 of a picture, upright."""
    from PIL import Image, ImageOps

    plain = _plain(ImageOps.exif_transpose(picture), wanted.channels)
    box, inner = _boxes(plain.size, wanted)
    made = plain.resize(inner, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    if inner != (wanted.width, wanted.height):
        made = ImageOps.pad(made, (wanted.width, wanted.height))
    pixels = np.asarray(made, dtype=np.uint8)
    return pixels[None] if wanted.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def usual_shape(looks: Sequence[tuple[str, int, int]], size: tuple[int, int] | None, resize: Resize) -> Shape:
    """What pictures are made into where not all of it is said: grey where all are, and no larger than they usually are.

    Args:
        looks: mode, width and height of each, as :func:`header` says them.
        size: height and width, where they are given.
    """
    channels = 1 if looks and all(mode in GREY for mode, _, _ in looks) else 3
    if size is not None:
        return Shape(channels, *size, resize)
    side = min(LARGEST, int(np.median([min(width, height) for _, width, height in looks]))) if looks else 1
    return Shape(channels, side, side, resize)


class _opened:  # noqa: N801 - a context manager that is used as a function
    """An opened picture; whatever its library raises, also while it is used, is a BrokenPictureError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        from PIL import Image

        try:
            self._picture = Image.open(self.path)
        except Exception as error:
            raise self._broken(error) from error
        return self._picture

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._picture.close()
        if isinstance(error, Exception):
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> BrokenPictureError:
        said = getattr(error, "strerror", None) or first_line_said(error).replace(repr(str(self.path)), "it")
        return BrokenPictureError(f"picture {self.path} cannot be read: {said}")


def _plain(picture: Any, channels: int) -> Any:
    """Grey or colour of 8 bits; what is transparent is white."""
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        from PIL import Image

        values = np.asarray(picture, dtype=np.float64)
        if picture.mode == "F" and not (values.min() >= 0 and values.max() > 2):
            raise ValueError(
                f"its values are from {values.min():.3g} to {values.max():.3g}, and not from 0 to 255: give (X, y)"
            )
        largest = 65535.0 if values.max(initial=0) > 255 else 255.0
        picture = Image.fromarray((values.clip(0, largest) * (255.0 / largest)).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        from PIL import Image

        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return picture.convert("L" if channels == 1 else "RGB")


def _boxes(size: tuple[int, int], wanted: Shape) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """The part of a picture that is kept, and the width and height that it gets."""
    width, height = size
    if wanted.resize == "stretch":
        return (0, 0, width, height), (wanted.width, wanted.height)
    across, down = wanted.width / width, wanted.height / height
    if wanted.resize == "pad":
        scale = min(across, down)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        return (0, 0, width, height), (min(inner[0], wanted.width), min(inner[1], wanted.height))
    scale = max(across, down)
    kept_width, kept_height = min(width, wanted.width / scale), min(height, wanted.height / scale)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return (left, top, left + kept_width, top + kept_height), (wanted.width, wanted.height)
