"""Shared by the spaces of image networks: checked options, what was chosen of them, input resizing, and strides."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace
from searchkit.types import Codes

_SHAPING = ("width", "stem", "resolution", "patch")  # choices that all layers of a network depend on
_SMALLEST = 4  # pixels on the shorter side that a stride must leave


def whole(space: str, name: str, value: object, least: int = 1) -> int:
    """An option that must be a whole number of at least ``least``.

    Raises:
        SpaceError: it is something else.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, SupportsIndex):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise SpaceError(f"space '{space}' takes {name} as a whole number of at least {least}; got {value!r}")
    return number


def image_shape(space: str, input_shape: object) -> tuple[int, int, int]:
    """``input_shape`` as ``(channels, height, width)`` of one image.

    Raises:
        SpaceError: not three whole numbers of at least 1.
    """
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise SpaceError(f"space '{space}' takes input_shape as (channels, height, width); got {input_shape!r}")
    channels, height, width = (whole(space, "each part of input_shape", n) for n in input_shape)
    return channels, height, width


def working_size(input_shape: Sequence[int], resolution: int | None) -> tuple[int, int]:
    """Height and width that the stem sees, in pixels: the image's own, or ``resolution`` squared."""
    return (int(input_shape[1]), int(input_shape[2])) if resolution is None else (resolution, resolution)


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after a stride of 2 with "same" padding: rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def stepped(size: tuple[int, int], stride: int) -> tuple[int, tuple[int, int]]:
    """The stride used, and the size after it: a stride of 2 only if it leaves 4 pixels on the shorter side."""
    return (2, halved(size)) if stride == 2 and min(halved(size)) >= _SMALLEST else (1, size)


def chosen(space: NetworkSpace, name: str, codes: Codes) -> Codes:
    """``(n,)`` the option indices of a choice; 0 where it has one value, and is none of the space's."""
    return codes[:, space.names.index(name)] if name in space.names else np.zeros(len(codes), dtype=np.int64)


class StagedSpace(NetworkSpace):
    """A :class:`NetworkSpace` that knows on what the shapes of its networks' maps depend."""

    def shaped_by(self, codes: Codes) -> Codes:
        """``(n, q)`` numbers: networks with equal rows have maps of equal sizes and channels, and one classifier."""
        columns = [self.names.index(name) for name in _SHAPING if name in self.names]
        return codes[:, columns]


def outputs(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each of several modules in a row gives, in depth order."""
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x)
    return found


class Resize(nn.Module):
    """Bilinear resize to ``size`` (height, width), so that an exported network takes the user's own images."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, any, any)`` to ``(batch, channels, height, width)``."""
        return functional.interpolate(x, size=self.size, mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        return f"{self.size[0]}x{self.size[1]}"


def resize_to(input_shape: Sequence[int], resolution: int | None) -> nn.Module:
    """A :class:`Resize` where ``resolution`` differs from the image, else nothing."""
    size = working_size(input_shape, resolution)
    return nn.Identity() if size == (input_shape[1], input_shape[2]) else Resize(size)
