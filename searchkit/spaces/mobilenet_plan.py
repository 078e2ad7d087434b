"""Stages and layers of MobileNetV3: their choices, shapes and columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.space import Choice
from searchkit.space.roles import Role
from searchkit.spaces.layers import divisible
from searchkit.spaces.skeleton import stepped, working_size
from searchkit.types import Codes, Floats

_LAST, _MIXED = 960, 1280  # channels before and after pooling
_BASE = 16  # channels of the stem and of the fixed layer
DEPTHS = (2, 3, 4)
KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
_COLUMNS = 1 + 2 * DEPTHS[-1]  # of one stage: its depth, then kernel and expansion of every layer


@dataclass(frozen=True)
class Stage:
    """What is fixed of a stage: channels at width 1, stride of its first layer, squeeze-and-excitation, activation."""

    channels: int
    stride: int
    squeeze: bool
    hard_swish: bool


STAGES = (
    Stage(24, 2, squeeze=False, hard_swish=False),
    Stage(40, 2, squeeze=True, hard_swish=False),
    Stage(80, 2, squeeze=False, hard_swish=True),
    Stage(112, 1, squeeze=True, hard_swish=True),
    Stage(160, 2, squeeze=True, hard_swish=True),
)


@dataclass(frozen=True)
class Layer:
    """The shapes a layer maps between, and what its stage says of it; sizes are (height, width)."""

    n_in: int
    n_out: int
    stride: int
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    squeeze: bool
    hard_swish: bool


@dataclass(frozen=True)
class Plan:
    """All shapes of the deepest network; ``n_`` are numbers of channels."""

    n_in: int
    stem_stride: int
    fixed: Layer
    stages: list[list[Layer]]
    n_last: int
    n_mixed: int


def shapes_of(input_shape: Sequence[int], width: float, resolution: int | None) -> Plan:
    stride, size = stepped(working_size(input_shape, resolution), 2)
    channels = divisible(_BASE * width)
    fixed = Layer(channels, channels, 1, size, size, squeeze=False, hard_swish=False)
    stages = []
    for stage in STAGES:
        layers = []
        for layer in range(DEPTHS[-1]):
            step, after = stepped(size, stage.stride if layer == 0 else 1)
            n_out = divisible(stage.channels * width)
            layers.append(Layer(channels, n_out, step, size, after, stage.squeeze, stage.hard_swish))
            channels, size = n_out, after
        stages.append(layers)
    return Plan(int(input_shape[0]), stride, fixed, stages, divisible(_LAST * width), divisible(_MIXED * width))


def stage_choices(stage: int) -> list[Choice]:
    choices = [Choice(depth_name(stage), DEPTHS, ordered=True)]
    for layer in range(DEPTHS[-1]):
        kernel, expansion = layer_names(stage, layer)
        kernels: list[Role] = [{"kind": "conv", "kernel": k, "depthwise": True} for k in KERNELS]
        expansions: list[Role] = [{"expansion": e, "params": 2 * e} for e in EXPANSIONS]
        choices.append(Choice(kernel, KERNELS, ordered=True, roles=kernels))
        choices.append(Choice(expansion, EXPANSIONS, ordered=True, roles=expansions))
    return choices


def depth_name(stage: int) -> str:
    return f"depth_{stage + 1}"


def layer_names(stage: int, layer: int) -> tuple[str, str]:
    return f"kernel_{stage + 1}_{layer + 1}", f"expansion_{stage + 1}_{layer + 1}"


def layer_columns(stage: int, layer: int) -> list[int]:
    """The columns of the stage's depth and of the layer's kernel and expansion."""
    start = stage * _COLUMNS
    return [start, start + 1 + 2 * layer, start + 2 + 2 * layer]


def canonical(codes: Codes) -> Codes:
    """Kernel and expansion of layers beyond the depth are the first options."""
    codes = codes.copy()
    for stage, layer in places():
        depth, *own = layer_columns(stage, layer)
        codes[:, own] *= (np.array(DEPTHS)[codes[:, depth]] > layer)[:, None]
    return codes


def times(codes: Codes) -> Floats:
    """``(n, d)`` 0 for kernels and expansions of layers beyond the depth, else 1."""
    there = np.ones(codes.shape)
    for stage, layer in places():
        depth, *own = layer_columns(stage, layer)
        there[:, own] = (np.array(DEPTHS)[codes[:, depth]] > layer)[:, None]
    return there


def places() -> Iterator[tuple[int, int]]:
    """Stage and layer of all layers that there may be, both from 0, in depth order."""
    return itertools.product(range(len(STAGES)), range(DEPTHS[-1]))
