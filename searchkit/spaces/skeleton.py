"""Shared by the spaces of networks: checked options, what was chosen of them, input resizing, and strides."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import SupportsIndex, TypeVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace, Node
from searchkit.types import Codes

Option = TypeVar("Option", int, float, str, int | float, int | float | str)
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


def above_zero(space: str, name: str, value: object) -> int | float:
    """An option that must be a finite number above 0, one of several; whole numbers as ints.

    Raises:
        SpaceError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
        raise SpaceError(f"space '{space}' takes {name} as a number above 0, or several; got {value!r}")
    return int(value) if float(value).is_integer() else float(value)


def one_or_several(
    space: str,
    name: str,
    given: object,
    value: Callable[[str, object], Option],
    order: Callable[[Option], int | float] | None = None,
) -> Option | list[Option]:
    """An option as it is recorded: a list in ascending order where there are several values.

    Args:
        value: ``(name, one of them)`` as it is recorded; raises SpaceError where it is none.
        order: the key by which several are sorted; None: their own order.

    Raises:
        SpaceError: there is no value, or one twice.
    """
    if not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, str):
        return value(name, given)
    values = sorted((value(name, one) for one in given), key=order)
    if not values or len(set(values)) < len(values):
        raise SpaceError(f"space '{space}' takes {name} as a value, or as several that differ; got {given!r}")
    return values if len(values) > 1 else values[0]


def layer_nodes(
    space: NetworkSpace,
    depths: Sequence[int],
    shape: tuple[int, ...],
    names: Callable[[int], Sequence[str]],
    *,
    named: bool = False,
) -> tuple[Node, ...]:
    """One node for each layer of networks whose layers are alike in shape, ``layers.0`` and so on.

    Layers that are in all networks are blocks of their own; the others are one block, to which the depth belongs.

    Args:
        depths: that networks may have, in ascending order.
        shape: of what each layer takes and gives.
        names: of the choices of a layer, by its number; those that are none of the space's are left out.
        named: whether layers that are in all networks name their block, within which the space's canonical form
            changes choices.
    """
    least, most = depths[0], depths[-1]
    later = f"layers_{least + 1}_to_{most}" if most > least + 1 else f"layer_{most}"
    nodes = []
    for layer in range(most):
        name, optional = f"layer_{layer + 1}", layer >= least
        nodes.append(
            Node(
                name,
                tuple(choice for choice in names(layer) if choice in space.names),
                shape,
                shape,
                block=later if optional else name if named else "",
                module=f"layers.{layer}",
                optional=("depth", layer + 1) if optional else None,
            )
        )
    return tuple(nodes)


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
