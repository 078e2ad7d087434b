"""The choices of the space vit, the shapes of its networks, their exact costs, and designs to begin with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.skeleton import above_zero, chosen, one_or_several, whole
from searchkit.types import Codes, Floats

NAME = "vit"
STEMS = ("convolution", "none")
OF_ALL = ("patch", "width", "depth")  # choices of the whole network
OF_LAYERS = ("heads", "ratio")  # choices of every layer
_LARGE = 64  # pixels on the shorter side from which there are patches enough for 16 in a row
_FEW, _MANY = 8, 16  # patches in a row of small and of large images
_UNEVEN = 2  # patches in a row that a size may miss what is wanted by, rather than not divide the image
# Depth, heads and ratio of the reference designs, the most useful first.
_DESIGNS = ((4, 3, 2), (6, 3, 2), (4, 4, 4), (2, 3, 2), (6, 4, 4), (3, 2, 3))


@dataclass(frozen=True)
class Options:
    """The values of each option, in ascending order; :func:`searchkit.spaces.vit.vit` says what they are."""

    patch: tuple[int, ...]
    width: tuple[int, ...]
    depth: tuple[int, ...]
    heads: tuple[int, ...]
    ratio: tuple[float, ...]
    head: int

    def values(self, name: str) -> tuple[float, ...]:
        """Of an option that may have several."""
        values: tuple[float, ...] = getattr(self, name)
        return values


def recorded(name: str, given: object) -> int | float | list[int | float]:
    """An option as it is recorded; see :func:`searchkit.spaces.skeleton.one_or_several`."""
    return one_or_several(NAME, name, given, _value)


def _value(name: str, given: object) -> int | float:
    return above_zero(NAME, name, given) if name == "ratio" else whole(NAME, name, given)


def listed(options: Mapping[str, object], input_shape: Sequence[int]) -> Options:
    """The values of recorded options, for images of a shape."""
    found: dict[str, Any] = {**options, "patch": options["patch"] or patches_for(input_shape)}
    several = {name: found[name] for name in (*OF_ALL, *OF_LAYERS)}
    values = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in several.items()}
    return Options(**values, head=found["head"])


def options_of(space: NetworkSpace) -> Options:
    return listed(space.options, space.input_shape)


@dataclass(frozen=True)
class Plan:
    """The shapes of a network: its patches are ``patch`` pixels wide and high, ``size`` is (rows, columns) of them.

    Attributes:
        pixels: (height, width) of the image.
        padded: (rows, columns) of pixels of value 0 that are added below and to the right of the image.
    """

    channels: int
    pixels: tuple[int, int]
    patch: int
    size: tuple[int, int]
    padded: tuple[int, int]

    @property
    def tokens(self) -> int:
        """Number of patches."""
        return math.prod(self.size)


def plan_of(input_shape: Sequence[int], patch: int) -> Plan:
    channels, height, width = (int(n) for n in input_shape)
    size = -(-height // patch), -(-width // patch)
    return Plan(channels, (height, width), patch, size, (size[0] * patch - height, size[1] * patch - width))


def patches_for(input_shape: Sequence[int]) -> list[int]:
    """Two sizes of patches for images of a shape: about 8 and about 4 in a row, twice as many from 64 pixels on.

    Sizes that divide both sides of the image are preferred: 1 and 2 for 8x8 pixels, 4 and 7 for 28x28, 4 and 8 for
    32x32, 14 and 28 for 224x224.
    """
    sides = [int(n) for n in input_shape[1:]]
    wanted = _MANY if min(sides) >= _LARGE else _FEW

    def miss(patch: int, in_a_row: int) -> int:
        uneven = any(side % patch for side in sides)
        return abs(-(-min(sides) // patch) - in_a_row) + (_UNEVEN if uneven else 0)

    fine = min(range(1, min(sides) + 1), key=lambda patch: miss(patch, wanted))
    coarse = min(range(fine + 1, max(fine + 1, min(sides)) + 1), key=lambda patch: miss(patch, wanted // 2))
    return [fine, coarse]


def layer_names(layer: int) -> list[str]:
    """The names of the choices of a layer, counted from 0."""
    return [f"{name}_{layer + 1}" for name in OF_LAYERS]


def choices_of(options: Options) -> list[Choice]:
    """All choices in column order; an option with one value is none."""
    found = [(name, options.values(name)) for name in OF_ALL]
    for layer in range(options.depth[-1]):
        found += [(own, options.values(name)) for name, own in zip(OF_LAYERS, layer_names(layer), strict=True)]
    return [Choice(name, values, ordered=True) for name, values in found if len(values) > 1]


def depths_of(space: NetworkSpace, codes: Codes) -> npt.NDArray[np.int64]:
    """``(n,)`` the numbers of layers."""
    return np.array(options_of(space).depth, dtype=np.int64)[chosen(space, "depth", codes)]


def without_absent(space: NetworkSpace, codes: Codes) -> Codes:
    """Choices of layers beyond the depth are the first options."""
    codes, most = codes.copy(), options_of(space).depth[-1]
    depths = depths_of(space, codes)
    for layer in range(most):
        own = [space.names.index(name) for name in layer_names(layer) if name in space.names]
        codes[:, own] *= (depths > layer)[:, None]
    return codes


def counts_of(space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
    """``params`` and ``macs``, each ``(n,)``, of codes ``(n, d)``."""
    options, stem = options_of(space), str(space.options["stem"])
    plans = [plan_of(space.input_shape, patch) for patch in options.patch]
    sizes = chosen(space, "patch", codes), chosen(space, "width", codes)
    fixed = [[fixed_costs(plan, width, space.n_classes, stem) for width in options.width] for plan in plans]
    layers = np.array(
        [
            [
                [
                    [layer_costs(plan.tokens, width, heads * options.head, ratio) for ratio in options.ratio]
                    for heads in options.heads
                ]
                for width in options.width
            ]
            for plan in plans
        ],
        dtype=np.float64,
    )
    totals = np.array(fixed, dtype=np.float64)[sizes]
    depths = depths_of(space, codes)
    for layer in range(options.depth[-1]):
        own = [chosen(space, name, codes) for name in layer_names(layer)]
        totals += np.where((depths > layer)[:, None], layers[(*sizes, *own)], 0.0)
    return {"params": totals[:, 0], "macs": totals[:, 1]}


def stem_channels(width: int) -> int:
    """Channels of the convolution in front of the patches."""
    return max(1, width // 2)


def fixed_costs(plan: Plan, width: int, n_classes: int, stem: str) -> tuple[int, int]:
    """Parameters and MACs of stem, patches, places, the last layer norm and the linear layer."""
    channels, params, macs = plan.channels, 0, 0
    if stem == "convolution":
        channels, weights = stem_channels(width), 9 * plan.channels * stem_channels(width)
        params, macs = weights + channels, weights * math.prod(plan.pixels)
    weights, linear = channels * plan.patch**2 * width, width * n_classes
    params += weights + width + plan.tokens * width + 2 * width + linear + n_classes
    return params, macs + weights * plan.tokens + linear


def layer_costs(tokens: int, width: int, inner: int, ratio: float) -> tuple[int, int]:
    """Parameters and MACs of a layer; ``inner`` is the width of queries, keys and values."""
    hidden = hidden_units(width, ratio)
    weights = 4 * width * inner + 2 * width * hidden
    biases = 3 * inner + width + hidden + width
    # Each token is compared with each, and takes a mean of all: two products of tokens x tokens x inner.
    return weights + biases + 4 * width, tokens * weights + 2 * tokens**2 * inner


def hidden_units(width: int, ratio: float) -> int:
    """Units between the two linear layers of an MLP."""
    return max(1, round(width * ratio))


def designs(space: NetworkSpace) -> Codes:
    """``(s, d)`` networks of equal layers and of the middle width, coarse patches before fine ones, which cost more.

    Values that the options do not have are left out; where no design is left, there are those of the middle options.
    """
    options, names = options_of(space), ("depth", *OF_LAYERS)
    known: list[tuple[float, ...]] = [
        one for one in _DESIGNS if all(v in options.values(n) for n, v in zip(names, one, strict=True))
    ]
    middle = {name: options.values(name)[len(options.values(name)) // 2] for name in ("width", *names)}
    rows = []
    for (depth, heads, ratio), patch in itertools.product(
        known or [tuple(middle[name] for name in names)], reversed(options.patch)
    ):
        row: dict[str, Any] = {"patch": patch, "width": middle["width"], "depth": depth}
        for layer in range(options.depth[-1]):
            row |= dict(zip(layer_names(layer), (heads, ratio), strict=True))
        rows.append({name: row[name] for name in space.names})
    return space.check(space.encode(rows))
