"""Masks and maps: a class, or numbers, for each pixel of a picture."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from searchkit.data.arrays import numbers
from searchkit.data.images import Channels
from searchkit.data.labels import Label, plain_label
from searchkit.errors import DataError

log = logging.getLogger("searchkit.data")
IGNORED = -1  # the class of pixels that are left out
CHANNELS = 16  # of a map at most, where its layout has to be told from its shape
MOST_CLASSES = 2**15  # of masks, which are kept in two bytes a pixel


def as_masks(
    y: object, known: tuple[Label, ...] | None, ignore: int | None, told: bool = True
) -> tuple[npt.NDArray[np.int16], tuple[Label, ...]]:
    """Masks ``(n, h, w)`` of class numbers, where ``IGNORED`` is left out, and the classes as the user has them.

    Args:
        known: the classes of the train part, where these are of another part.
        ignore: the value of pixels that are left out, beside -1.
        told: whether a line of the log says that pixels of -1 are left out.

    Raises:
        DataError: y is no such thing.
    """
    array = numbers(one_array(y), "masks y")
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.ndim != 3:
        colours = "; colours become class numbers first" if array.ndim == 4 else ""
        raise DataError(f"masks y have a whole number for each pixel, (n, h, w), not shape {array.shape}{colours}")
    if 0 in array.shape:
        raise DataError(f"masks y are empty: their shape is {array.shape}")
    if array.dtype.kind == "f":
        odd = ~np.isfinite(array) | (array != np.floor(array))
        if odd.any():
            raise DataError(
                f"masks y are whole numbers, but mask {np.argwhere(odd)[0][0]} has {array[odd][0]}; for quantities of "
                "each pixel give task='maps'"
            )
        array = array.astype(np.int64)
    values = [plain_label(value) for value in np.unique(array)]
    if array.dtype != np.bool_:
        if told and known is None and IGNORED in values and ignore != IGNORED:
            share = 100 * float((array == IGNORED).mean())
            log.warning("%.3g %% of the pixels of the masks are -1, which counts as no class", share)
        if known is None and ignore is not None and ignore not in values:
            log.warning("no pixel of the masks has the value %d, which is to be ignored", ignore)
        values = [value for value in values if value not in (ignore, IGNORED)]
    classes = known or tuple(values)
    if known is None and len(classes) < 2:
        there = f"are {classes[0]!r}" if classes else "are left out"
        raise DataError(f"all pixels of the masks y {there}; two classes are needed")
    if len(classes) >= MOST_CLASSES:
        raise DataError(f"masks y have {len(classes):,} different values; for quantities give task='maps'")
    if known is not None:
        new = [value for value in values if value not in known]
        if new:
            hint = "" if ignore is not None else "; pixels of no class have a value that load_data(..., ignore=) names"
            raise DataError(f"the masks hold class {new[0]!r}, which the training masks do not have{hint}")
    found = np.searchsorted(np.asarray(classes), array).clip(0, len(classes) - 1).astype(np.int16)
    if array.dtype != np.bool_:
        found[(array == ignore) | (array == IGNORED)] = IGNORED
    return found, classes


def as_maps(y: object, channels: Channels | None, sides: tuple[int, ...] | None = None) -> npt.NDArray[np.float32]:
    """Maps ``(n, c, h, w)``; NaN where there is no value.

    Args:
        channels: which axis they are; None: by the sides of the pictures, else by their number.
        sides: height and width of the pictures.

    Raises:
        DataError: y is no such thing, or infinite somewhere.
    """
    array = numbers(one_array(y), "maps y")
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"maps y have shape (n, h, w), (n, c, h, w) or (n, h, w, c), not {array.shape}")
    last = channels == "last" or (channels is None and _channels_last(array.shape, sides))
    with np.errstate(over="ignore"):
        made = np.array(np.moveaxis(array, 3, 1) if last else array, dtype=np.float32)
    odd = np.isinf(made)
    if odd.any():
        raise DataError(
            f"maps y are finite numbers, or NaN where there is none, but map {np.argwhere(odd)[0][0]} is inf"
        )
    if np.isnan(made).all():
        raise DataError("maps y are NaN everywhere")
    return made


def _channels_last(shape: tuple[int, ...], sides: tuple[int, ...] | None) -> bool:
    if shape[1] == 1 or sides is None:
        return False
    first, last = shape[2:] == sides, shape[1:3] == sides
    if first and last:
        raise DataError(f"maps y have shape {shape}, of which either side may be the channels: give channels=")
    return last or (not first and shape[3] <= CHANNELS < min(shape[1:3]))


def one_array(y: object) -> object:
    """A list of pictures, of Pillow or of arrays, as one array; other y as they are."""
    if isinstance(y, list | tuple) and y and any(hasattr(one, "convert") and hasattr(one, "mode") for one in y):
        made = [np.asarray(one) for one in y]
        if len({one.shape for one in made}) > 1:
            at = next(i for i, one in enumerate(made) if one.shape != made[0].shape)
            raise DataError(f"target {at} has shape {made[at].shape}, and target 0 has {made[0].shape}")
        return np.stack(made)
    return y
