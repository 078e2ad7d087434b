"""The choices of the space residual, the shapes of its networks, their exact costs, and designs to begin with."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchkit.space import Choice, NetworkSpace
from searchkit.space.roles import Role
from searchkit.spaces.layers import inverted_costs, squeeze_costs
from searchkit.spaces.skeleton import halved, stepped, working_size
from searchkit.types import Codes, Floats

DEPTHS = (1, 2, 3)
BLOCKS = ("residual", "inverted")
KERNELS = (3, 5)
SQUEEZES = (False, True)
# A residual layer has two convolutions of the kernel; an inverted one has one, depthwise, between two of 1 x 1.
BLOCK_ROLES: tuple[Role, ...] = ({"params": 18}, {"params": 8, "expansion": 4, "depthwise": True})
KERNEL_ROLES: tuple[Role, ...] = tuple({"kind": "conv", "kernel": kernel} for kernel in KERNELS)
EXPANSION = 4  # hidden channels of an inverted residual per channel of its input
_LARGE = 64  # pixels on the shorter side, which convolutions in front of the stem bring below
_COARSE = 16  # pixels on the shorter side from which a stem of stride 2 is the first to be tried
# Width and depth of every stage of the reference designs, the most useful first.
_DESIGNS = ((16, 1), (32, 1), (8, 1), (16, 2), (24, 1), (32, 2), (48, 1), (48, 2))


@dataclass(frozen=True)
class Stage:
    """The shapes that the first layer of a stage maps between; the others keep them. Sizes are (height, width)."""

    n_in: int
    n_out: int
    stride: int
    size_in: tuple[int, int]
    size_out: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """All shapes of a network.

    Attributes:
        front: the sizes after each of the convolutions of stride 2 in front of the stem.
        stride, size: of the stem, after it.
    """

    channels: int
    width: int
    front: tuple[tuple[int, int], ...]
    stride: int
    size: tuple[int, int]
    stages: tuple[Stage, ...]


def plan_of(input_shape: Sequence[int], *, width: int, stem: int, stages: int, resolution: int | None) -> Plan:
    front = front_sizes(input_shape, resolution)
    stride, stem_size = stepped(front[-1] if front else working_size(input_shape, resolution), stem)
    found = []
    channels, size = width, stem_size
    for stage in range(stages):
        step, after = stepped(size, 1 if stage == 0 else 2)
        found.append(Stage(channels, width * 2**stage, step, size, after))
        channels, size = found[-1].n_out, after
    return Plan(int(input_shape[0]), width, front, stride, stem_size, tuple(found))


def front_sizes(input_shape: Sequence[int], resolution: int | None) -> tuple[tuple[int, int], ...]:
    """The sizes after each convolution in front of the stem; none for images below 64 pixels."""
    sizes = []
    size = working_size(input_shape, resolution)
    while min(size) >= _LARGE:
        size = halved(size)
        sizes.append(size)
    return tuple(sizes)


def stage_names(stage: int) -> tuple[str, str, str, str]:
    """The names of a stage's choices."""
    return f"depth_{stage + 1}", f"block_{stage + 1}", f"kernel_{stage + 1}", f"squeeze_{stage + 1}"


def choices_of(width: int | list[int], stem: int | list[int], stages: int) -> list[Choice]:
    """All choices in column order; a width or a stem that is one number is none."""
    several = {"width": width, "stem": stem}
    choices = [Choice(name, given, ordered=True) for name, given in several.items() if isinstance(given, list)]
    for stage in range(stages):
        depth, block, kernel, squeeze = stage_names(stage)
        choices += [
            Choice(depth, DEPTHS, ordered=True),
            Choice(block, BLOCKS, roles=BLOCK_ROLES),
            Choice(kernel, KERNELS, ordered=True, roles=KERNEL_ROLES),
            Choice(squeeze, SQUEEZES),
        ]
    return choices


def listed(option: int | list[int]) -> list[int]:
    """The options of a choice that may be one number."""
    return option if isinstance(option, list) else [option]


def times(codes: Codes, stages: int) -> Floats:
    """``(n, d)`` the depth of the stage for all that is chosen of its layers, 1 for everything else."""
    there = np.ones(codes.shape)
    each = len(stage_names(0))
    first = codes.shape[1] - stages * each
    for start in range(first, codes.shape[1], each):
        there[:, start + 1 : start + each] = np.array(DEPTHS)[codes[:, start]][:, None]
    return there


def plans_of(space: NetworkSpace) -> list[list[Plan]]:
    """The plans by width and stem."""
    given = space.options
    rest = {"stages": given["stages"], "resolution": given["resolution"]}
    return [
        [plan_of(space.input_shape, width=width, stem=stem, **rest) for stem in listed(given["stem"])]
        for width in listed(given["width"])
    ]


def fixed_costs(plan: Plan, n_classes: int) -> tuple[int, int]:
    """Parameters and MACs of the stem, what is in front of it, and the linear layer."""
    params = macs = 0
    channels = plan.channels
    for size in (*plan.front, plan.size):
        weights = 9 * channels * plan.width
        params += weights + 2 * plan.width
        macs += weights * math.prod(size)
        channels = plan.width
    linear = plan.stages[-1].n_out * n_classes
    return params + linear + n_classes, macs + linear


def stage_table(stage: Stage) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(depths, blocks, kernels, squeezes, 2)`` parameters and MACs of a stage; not to be written to."""
    return _stage_table(stage)


@functools.lru_cache(maxsize=1024)  # a search counts its space again and again, and that has few stages
def _stage_table(stage: Stage) -> np.ndarray[Any, np.dtype[np.float64]]:
    later = Stage(stage.n_out, stage.n_out, 1, stage.size_out, stage.size_out)
    options = list(itertools.product(BLOCKS, KERNELS, SQUEEZES))
    first, others = (
        np.array([_layer_costs(layer, *own) for own in options], dtype=np.float64) for layer in (stage, later)
    )
    shape = (len(DEPTHS), len(BLOCKS), len(KERNELS), len(SQUEEZES), 2)
    table = np.stack([first + (depth - 1) * others for depth in DEPTHS]).reshape(shape)
    table.setflags(write=False)
    return table


def _layer_costs(layer: Stage, block: str, kernel: int, squeeze: bool) -> tuple[int, int]:
    """Parameters and MACs of one layer."""
    before, after = math.prod(layer.size_in), math.prod(layer.size_out)
    n_in, n_out = layer.n_in, layer.n_out
    if block == "inverted":
        hidden = EXPANSION * n_in
        return inverted_costs(n_in, hidden, n_out, kernel=kernel, before=before, after=after, squeeze=squeeze)
    weights, norms = kernel**2 * (n_in + n_out) * n_out, 4 * n_out
    if n_in != n_out or layer.stride == 2:
        weights, norms = weights + n_in * n_out, norms + 2 * n_out
    params, macs = squeeze_costs(n_out) if squeeze else (0, 0)
    return params + weights + norms, macs + weights * after


def reference(space: NetworkSpace) -> Codes:
    """``(s, d)`` plain residual networks, kernel 3, no squeeze: from one layer a stage to two, the most useful first.

    Pictures of 16 pixels and more are tried with a stem of stride 2 where stages have one layer, and 1 where they have
    two; smaller ones with 1. Where a space has none of the widths, all of its own are taken.
    """
    widths, stems = listed(space.options["width"]), listed(space.options["stem"])
    front = front_sizes(space.input_shape, space.options["resolution"])
    size = front[-1] if front else working_size(space.input_shape, space.options["resolution"])
    designs = [design for design in _DESIGNS if design[0] in widths]
    rows = []
    for width, depth in designs or itertools.product(widths, (1, 2)):
        stem = 2 if depth == 1 and min(size) >= _COARSE else 1
        row: dict[str, Any] = {"width": width, "stem": stem if stem in stems else stems[0]}
        for stage in range(space.options["stages"]):
            row |= _plain(stage, depth)
        rows.append({name: row[name] for name in space.names})
    return space.encode(rows)


def _plain(stage: int, depth: int) -> dict[str, Any]:
    """The choices of a stage of plain residual layers."""
    plain: tuple[Any, ...] = (depth, "residual", 3, False)
    return dict(zip(stage_names(stage), plain, strict=True))
