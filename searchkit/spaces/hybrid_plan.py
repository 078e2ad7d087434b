"""The choices of the space hybrid, the shapes of its networks, their exact costs, and designs to begin with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.residual_plan import front_sizes
from searchkit.spaces.skeleton import chosen, one_or_several, stepped, whole
from searchkit.types import Codes, Floats

NAME = "hybrid"
KINDS = ("convolution", "attention")
DOWNS = ("searched", "even")
SCALES = 4  # at most, as in HyTra
ATTENDING = 2  # scales, the lowest, at which layers may have attention
BLOCK = 4  # layers
# Share of the layers at which the last scale begins, and where there is attention: nowhere, at the lowest scale, in
# every other layer of the scales that may have it, in all of these. The most useful first.
_DESIGNS = ((0.75, "none"), (0.75, "lowest"), (0.75, "turns"), (0.5, "lowest"), (0.5, "turns"), (0.75, "all"))

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """All shapes of the networks for images of one shape, whatever is chosen. Sizes are (height, width) in pixels.

    Attributes:
        channels: of the images.
        front: the sizes after each convolution of stride 2 in front of the first scale.
        sizes: of the scales, from the finest.
    """

    channels: int
    front: tuple[tuple[int, int], ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def first_attending(self) -> int:
        """The finest scale at which layers may have attention."""
        return max(0, len(self.sizes) - ATTENDING)


def plan_of(input_shape: Sequence[int]) -> Plan:
    """The scales of images of a shape: each has half the side of the one before, and the lowest at least 4 pixels."""
    front = front_sizes(input_shape, None)
    sizes = [front[-1] if front else (int(input_shape[1]), int(input_shape[2]))]
    while len(sizes) < SCALES:
        stride, size = stepped(sizes[-1], 2)
        if stride == 1:
            break
        sizes.append(size)
    return Plan(int(input_shape[0]), front, tuple(sizes))


def widths_of(space: NetworkSpace) -> list[int]:
    given = space.options["width"]
    return list(given) if isinstance(given, list) else [int(given)]


def layer_names(layer: int) -> tuple[str, str]:
    """The names of the choices of a layer, counted from 0: whether the scale goes down, and the kind."""
    return f"down_{layer + 1}", f"kind_{layer + 1}"


def choices_of(width: int | list[int], layers: int, downs: str) -> list[Choice]:
    """All choices in column order; a width that is one number is none."""
    found = [Choice("width", width, ordered=True)] if isinstance(width, list) else []
    for layer in range(layers):
        down, kind = layer_names(layer)
        found += [Choice(down, (False, True))] if downs == "searched" else []
        found += [Choice(kind, KINDS)]
    return found


def even_scales(layers: int, n_scales: int) -> Array:
    """``(layers,)`` the scale of each layer where every scale has as many layers as the others, as far as possible."""
    return np.arange(layers, dtype=np.int64) * min(n_scales, layers) // layers


def scales_of(space: NetworkSpace, codes: Codes) -> Array:
    """``(n, layers)`` the scale of each layer's output, 0 is the finest; downs from the lowest change nothing."""
    layers, n_scales = int(space.options["layers"]), len(plan_of(space.input_shape).sizes)
    if space.options["downs"] == "even":
        return np.tile(even_scales(layers, n_scales), (len(codes), 1))
    downs = np.stack([chosen(space, layer_names(layer)[0], codes) for layer in range(layers)], axis=1)
    scales: Array = np.minimum(np.cumsum(downs, axis=1), n_scales - 1)
    return scales


def went_down(scales: Array) -> Array:
    """``(n, layers)`` 1 where a layer's scale is not that of the layer before, the first of which has scale 0."""
    return np.diff(scales, axis=1, prepend=0)


def without_surplus(space: NetworkSpace, codes: Codes) -> Codes:
    """Downs from the lowest scale are none, and layers above the scales with attention are convolutions."""
    codes, scales = codes.copy(), scales_of(space, codes)
    downs, first = went_down(scales), plan_of(space.input_shape).first_attending
    for layer in range(scales.shape[1]):
        down, kind = layer_names(layer)
        if down in space.names:
            codes[:, space.names.index(down)] = downs[:, layer]
        codes[:, space.names.index(kind)] *= scales[:, layer] >= first
    return codes


def counts_of(space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
    """``params`` and ``macs``, each ``(n,)``, of codes ``(n, d)``."""
    plan, options, widths = plan_of(space.input_shape), space.options, widths_of(space)
    rest = {"bottleneck": int(options["bottleneck"]), "head": int(options["head"])}
    codes = without_surplus(space, codes)
    width, scales = chosen(space, "width", codes), scales_of(space, codes)
    downs = went_down(scales)
    fixed = np.array([stem_costs(plan, one) for one in widths], dtype=np.float64)
    layers = np.zeros((len(widths), len(plan.sizes), 2, len(KINDS), 2))
    for index in np.ndindex(*layers.shape[:-1]):
        of, scale, down, kind = index
        if down <= scale:
            layers[index] = layer_costs(plan, widths[of], scale, bool(down), KINDS[kind], **rest)
    totals = fixed[width]
    for layer in range(scales.shape[1]):
        kinds = chosen(space, layer_names(layer)[1], codes)
        totals = totals + layers[width, scales[:, layer], downs[:, layer], kinds]
    last = np.array(widths)[width] * 2 ** scales[:, -1]
    linear = last * float(space.n_classes)
    return {"params": totals[:, 0] + linear + space.n_classes, "macs": totals[:, 1] + linear}


def stem_costs(plan: Plan, width: int) -> tuple[int, int]:
    """Parameters and MACs of the convolutions before the first layer."""
    params = macs = 0
    channels = plan.channels
    for size in (*plan.front, plan.sizes[0]):
        weights = 9 * channels * width
        params, macs = params + weights + 2 * width, macs + weights * math.prod(size)
        channels = width
    return params, macs


def inner_channels(width: int, bottleneck: int, head: int) -> tuple[int, int]:
    """Channels between the 1x1 convolutions of a layer with ``width`` outputs, and its attention heads."""
    middle = max(1, width // bottleneck)
    return middle, max(1, round(middle / head))


def layer_costs(
    plan: Plan, width: int, scale: int, down: bool, kind: str, *, bottleneck: int, head: int
) -> tuple[int, int]:
    """Parameters and MACs of a layer whose outputs have a scale; ``width`` is that of the first scale."""
    n_out = width * 2**scale
    n_in, size_in = (n_out // 2, plan.sizes[scale - 1]) if down else (n_out, plan.sizes[scale])
    before, after = math.prod(size_in), math.prod(plan.sizes[scale])
    middle, heads = inner_channels(n_out, bottleneck, head)
    params, macs = n_in * middle + 2 * middle, n_in * middle * before
    if kind == "attention":
        inner = heads * head
        weights = 9 * middle + 3 * middle * inner + inner * n_out
        # Each position is compared with each, and takes a mean of all: two products of positions^2 x inner.
        macs += weights * after + 2 * after**2 * inner
    else:
        weights = 9 * middle**2 + middle * n_out
        macs += weights * after
    params += weights + 2 * middle + 2 * n_out
    if down:
        params, macs = params + n_in * n_out + 2 * n_out, macs + n_in * n_out * after
    return params, macs


def designs(space: NetworkSpace) -> Codes:
    """``(s, d)`` networks of the middle width, with convolutions alone, with attention at the lowest scales, and both.

    Layers are shared out to the scales before the last, evenly; the last begins at half or three quarters of them.
    """
    layers, plan = int(space.options["layers"]), plan_of(space.input_shape)
    widths, last = widths_of(space), len(plan.sizes) - 1
    rows = []
    for begins, kinds in _DESIGNS:
        at = max(last, round(layers * begins))
        starts = [round(at * scale / last) for scale in range(1, last + 1)]
        if space.options["downs"] == "even":
            starts = np.flatnonzero(went_down(even_scales(layers, len(plan.sizes))[None])[0]).tolist()
        row: dict[str, Any] = {"width": widths[len(widths) // 2]}
        scale = 0
        for layer in range(layers):
            scale += layer in starts
            attends = {"none": False, "lowest": scale == last, "turns": layer % 2 == 1, "all": True}[kinds]
            row |= dict(zip(layer_names(layer), (layer in starts, KINDS[attends]), strict=True))
        rows.append({name: row[name] for name in space.names})
    codes = space.check(space.encode(rows))
    return codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]


def options_checked(given: Mapping[str, object]) -> dict[str, object]:
    """The options as they are recorded.

    Raises:
        SpaceError: one that is none.
    """
    if given["downs"] not in DOWNS:
        raise SpaceError(f"space '{NAME}' takes downs as one of {', '.join(DOWNS)}; got {given['downs']!r}")
    rest = {name: whole(NAME, name, given[name]) for name in ("layers", "bottleneck", "head")}
    return {
        "width": one_or_several(NAME, "width", given["width"], partial(whole, NAME)),
        **rest,
        "downs": given["downs"],
    }
