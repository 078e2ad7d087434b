"""Random changes of training images beyond shifts and flips: the strong ones of "randaugment", and the user's own.

"randaugment" turns, shears, scales and moves every image, changes its brightness and contrast, and fills a square of
every other one with black; each by a random strength (in the manner of Cubuk et al., RandAugment, 2020, arXiv
1909.13719, with all changes at once in place of two drawn from a list, so that a batch is changed in one go).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from searchkit.data.masks import IGNORED
from searchkit.errors import DataError, first_line_said
from searchkit.problem.calls import n_needed

DRAWN = 10  # random numbers that an image takes
ANGLE, SHEAR, SCALE, MOVE = math.radians(15), 0.15, 0.15, 0.125  # at most, each way; of the side where it is a length
LIGHT = 0.4  # change of brightness and of contrast at most, as a share
SQUARE = 0.25  # of the shorter side: that of a square without anything in it

Transform = Callable[..., object]


def draw(n: int, generator: torch.Generator) -> torch.Tensor:
    """``(n, DRAWN)`` numbers from -1 to 1, for :func:`changed`."""
    return 2 * torch.rand(n, DRAWN, generator=generator) - 1


def changed(
    x: torch.Tensor, drawn: torch.Tensor, y: torch.Tensor | None, low: float, high: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Images ``(b, c, h, w)`` float32 of values from ``low`` to ``high``, and their masks or maps, changed alike.

    Args:
        drawn: see :func:`draw`; zeros change nothing.
        y: masks ``(b, h, w)`` or maps ``(b, c, h, w)``; pixels that come in are left out. None: there are none.
    """
    grid = _grid(x, drawn)
    x = functional.grid_sample(x - low, grid, padding_mode="zeros", align_corners=False) + low
    if y is not None:
        y = _moved(y, grid)
    light, contrast, top, left, cut = (drawn[:, i].view(-1, 1, 1, 1) for i in range(5, DRAWN))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = ((x - mean) * (1 + LIGHT * contrast) + (mean - low) * (1 + LIGHT * light) + low).clamp(low, high)
    height, width = x.shape[2:]
    half = SQUARE * min(height, width) / 2
    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    inside = ((rows + 0.5 - height * (top + 1) / 2).abs() < half) & (
        (columns + 0.5 - width * (left + 1) / 2).abs() < half
    )
    return torch.where(inside & (cut > 0), low, x), y


def _grid(x: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """``(b, h, w, 2)`` where each pixel comes from."""
    angle, shear, scale, across, down = drawn[:, :5].unbind(1)
    turn = ANGLE * angle
    size = 1 + SCALE * scale
    aspect = x.shape[3] / x.shape[2]
    rows = torch.stack([turn.cos(), shear * SHEAR - turn.sin() / aspect, across * 2 * MOVE], dim=1)
    columns = torch.stack([turn.sin() * aspect, turn.cos(), down * 2 * MOVE], dim=1)
    places = torch.stack([rows, columns], dim=1)
    places = torch.cat([places[:, :, :2] * size.view(-1, 1, 1), places[:, :, 2:]], dim=2)
    return functional.affine_grid(places.to(x.dtype), [len(x), 1, *x.shape[2:]], align_corners=False)


def _moved(y: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """The nearest pixels of masks or maps; what comes from outside is left out."""
    maps = y.unsqueeze(1) if y.ndim == 3 else y
    there = maps.to(grid.dtype) - IGNORED if y.ndim == 3 else maps
    found = functional.grid_sample(there, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    if y.ndim == 3:
        return (found.round() + IGNORED).to(y.dtype).squeeze(1)
    inside = (grid.abs() <= 1).all(-1).unsqueeze(1)
    return torch.where(inside, found, torch.nan)


def n_taken(transform: Transform) -> int:
    """How many arguments a transform takes: 1, the image, or 2, the image and its mask or map.

    Raises:
        DataError: it is no function of one or two arguments.
    """
    if not callable(transform):
        raise DataError(f"transform is a function of a training image (c, h, w), not {transform!r:.80}")
    needed = n_needed(transform)
    if needed > 2:
        raise DataError(f"transform takes a training image, or an image and its mask or map, not {needed} arguments")
    return max(1, needed)


def transformed(
    transform: Transform, x: torch.Tensor, y: torch.Tensor, pairs: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every image ``(c, h, w)`` of a batch by the user's own function, float32; and y, where it takes ``pairs``.

    Raises:
        DataError: the function raises, or returns something of another shape.
    """
    images, targets = [], []
    for image, target in zip(x, y, strict=True):
        try:
            made = transform(image, target) if pairs else (transform(image), target)
        except Exception as error:
            raise DataError(f"transform raised {type(error).__name__}: {first_line_said(error)}") from error
        if not isinstance(made, tuple) or len(made) != 2:
            raise DataError(f"transform takes an image and its target, and returned a {type(made).__name__}, not both")
        images.append(_alike(made[0], image, "image").float())
        targets.append(_alike(made[1], target, "target"))
    return torch.stack(images), torch.stack(targets)


def check_scale(transform: Transform, images: torch.Tensor, targets: torch.Tensor, pairs: bool) -> None:
    """Refuse a function that brings images to another scale, in which those of the other parts are not.

    Raises:
        DataError: as :func:`transformed`, or where bytes become shares of 1.
    """
    x, _ = transformed(transform, images, targets, pairs)
    before, after = float(images.max()), float(x.max())
    if images.dtype == torch.uint8 and before > 10 and 0 < after <= 1.01 and bool((x != x.round()).any()):
        raise DataError(
            f"transform brings images from 0 to {before:.0f} to values up to {after:.2g}: it has to keep their scale, "
            "in which validation and test images are"
        )


def _alike(made: object, given: torch.Tensor, what: str) -> torch.Tensor:
    if not isinstance(made, torch.Tensor) or made.shape != given.shape:
        said = f"shape {tuple(made.shape)}" if isinstance(made, torch.Tensor) else f"a {type(made).__name__}"
        raise DataError(f"transform returned {said} for an {what} of shape {tuple(given.shape)}, which has to stay")
    return made
