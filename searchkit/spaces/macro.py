"""NAS-Bench-Macro: eight layers, each an identity or one of two inverted residuals, 6,561 networks.

Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021 (arXiv 2103.11922).

A 3x3 stem of ``width`` channels; stages whose first layer doubles the channels and halves height and width; a 1x1
convolution to 40 times ``width``, pooling and a linear layer. An identity that has to change the shape is a strided
1x1 convolution with batch norm.

**Small images.** A stage halves height and width only while 4 pixels are left on the shorter side: at 32 pixels all
three stages do, as published; 8x8 images are halved once. Counts and shapes follow what is built.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace, Node
from searchkit.space.roles import Role
from searchkit.spaces.layers import conv_norm
from searchkit.spaces.skeleton import StagedSpace, image_shape, outputs, resize_to, stepped, whole, working_size
from searchkit.types import Codes, Floats

_NAME = "macro"
_HEAD = 40  # channels of the last convolution per channel of the stem: 1,280 at 32
ROLES: tuple[Role | None, ...] = (
    {"kind": "skip"},
    {"kind": "conv", "kernel": 3, "depthwise": True, "expansion": 3, "params": 6},
    {"kind": "conv", "kernel": 5, "depthwise": True, "expansion": 6, "params": 12},
)
OPERATIONS = {"identity": None, "mb3_k3": (3, 3), "mb6_k5": (6, 5)}  # expansion, kernel


def macro(
    *,
    width: int = 32,
    layers: tuple[int, ...] | list[int] = (2, 3, 3),
    resolution: int | None = None,
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """NAS-Bench-Macro: chains of eight layers, each an identity or an inverted residual, 6,561 networks.

    It is as published by default, and scaled down by its options.

    Column order is depth, option order the digits of the published table: 0 identity, 1 expansion 3 with a 3x3
    depthwise convolution, 2 expansion 6 with 5x5. The canonical form has the identities of a stage last:
    past its first layer a stage does not change shapes, so the place of an identity does not matter.

    Args:
        width: channels of the stem; stage s has ``2 ** s`` times as many, s from 1. Published: 32.
        layers: number of layers of each stage. Published: (2, 3, 3).
        resolution: side in pixels to which the network resizes its input first; None keeps the image's own.
        input_shape: ``(channels, height, width)`` of the images.
        n_classes: number of logits.

    Raises:
        SpaceError: an option that is no whole number of at least 1, or layers that are no sequence of those.
    """
    if not isinstance(layers, (tuple, list)) or not layers:
        raise SpaceError(f"space '{_NAME}' takes layers as one number of layers for each stage; got {layers!r}")
    options: dict[str, Any] = {
        "width": whole(_NAME, "width", width),
        "layers": [whole(_NAME, "each number of layers", n) for n in layers],
        "resolution": None if resolution is None else whole(_NAME, "resolution", resolution),
    }
    return StagedSpace(
        [Choice(name, OPERATIONS, roles=ROLES) for name in _layer_names(options["layers"])],
        functools.partial(_build, **options),
        name=_NAME,
        canonical=functools.partial(_canonical, layers=tuple(options["layers"])),
        input_shape=image_shape(_NAME, input_shape),
        n_classes=whole(_NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
    )


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of convolutions and the linear layer without bias."""
    width = int(space.options["width"])
    height_width = working_size(space.input_shape, space.options["resolution"])
    stem = 9 * space.input_shape[0] * width
    params = np.full(len(codes), stem + 2 * width, dtype=np.float64)
    macs = np.full(len(codes), stem * height_width[0] * height_width[1], dtype=np.float64)
    layers = _layers(space.input_shape, **space.options)
    for column, layer in zip(codes.T, layers, strict=True):
        costs = np.array([_layer_costs(layer, name) for name in OPERATIONS], dtype=np.float64)
        params += costs[column, 0]
        macs += costs[column, 1]
    last = layers[-1]
    head = last.n_out * _HEAD * width
    params += head + 2 * _HEAD * width + (_HEAD * width + 1) * space.n_classes
    macs += head * last.size_out[0] * last.size_out[1] + _HEAD * width * space.n_classes
    return {"params": params, "macs": macs}


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; plus its input where the shape is kept."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        hidden = n_in * expansion
        self.body = nn.Sequential(
            *conv_norm(n_in, hidden, 1),
            nn.ReLU(),
            *conv_norm(hidden, hidden, kernel, stride, groups=hidden),
            nn.ReLU(),
            *conv_norm(hidden, n_out, 1),
        )
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits."""

    def __init__(
        self,
        operations: Sequence[str],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        width: int,
        layers: Sequence[int],
        resolution: int | None,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            resize_to(input_shape, resolution), *conv_norm(int(input_shape[0]), width, 3), nn.ReLU()
        )
        plan = _layers(input_shape, width=width, layers=layers, resolution=resolution)
        blocks = iter([_block(name, layer) for name, layer in zip(operations, plan, strict=True)])
        self.stages = nn.ModuleList([nn.Sequential(*(next(blocks) for _ in range(n))) for n in layers])
        self.last = nn.Sequential(*conv_norm(plan[-1].n_out, _HEAD * width, 1), nn.ReLU())
        self.classifier = nn.Linear(_HEAD * width, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the stages, in depth order."""
        return outputs(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.last(self.features(x)[-1]).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits


@dataclass(frozen=True)
class _Layer:
    """The shapes a layer maps between; sizes are (height, width)."""

    n_in: int
    n_out: int
    stride: int
    size_in: tuple[int, int]
    size_out: tuple[int, int]


def _layers(input_shape: Sequence[int], *, width: int, layers: Sequence[int], resolution: int | None) -> list[_Layer]:
    size = working_size(input_shape, resolution)
    plan = []
    channels = width
    for n in layers:
        for position in range(n):
            first = position == 0
            stride, after = stepped(size, 2 if first else 1)
            plan.append(_Layer(channels, 2 * channels if first else channels, stride, size, after))
            size, channels = after, plan[-1].n_out
    return plan


def _layer_names(layers: Sequence[int]) -> list[str]:
    return [f"layer_{i + 1}" for i in range(sum(layers))]


def _canonical(codes: Codes, layers: tuple[int, ...]) -> Codes:
    """Identities of a stage, its first layer apart, behind the other layers; the others keep their order."""
    codes = codes.copy()
    start = 0
    for n in layers:
        movable = codes[:, start + 1 : start + n]
        order = np.argsort(movable == 0, axis=1, kind="stable")
        codes[:, start + 1 : start + n] = np.take_along_axis(movable, order, axis=1)
        start += n
    return codes


def _build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, **options: Any) -> nn.Module:
    operations = [choices[name] for name in _layer_names(options["layers"])]
    return Network(operations, input_shape, n_classes, **options)


def _block(name: str, layer: _Layer) -> nn.Module:
    operation = OPERATIONS[name]
    if operation is not None:
        return InvertedResidual(layer.n_in, layer.n_out, layer.stride, *operation)
    if layer.stride == 1 and layer.n_in == layer.n_out:
        return nn.Identity()
    return nn.Sequential(*conv_norm(layer.n_in, layer.n_out, 1, layer.stride))


def _layer_costs(layer: _Layer, name: str) -> tuple[int, int]:
    """Parameters and MACs of one option in one layer."""
    operation = OPERATIONS[name]
    before, after = layer.size_in[0] * layer.size_in[1], layer.size_out[0] * layer.size_out[1]
    if operation is None:
        if layer.stride == 1 and layer.n_in == layer.n_out:
            return 0, 0
        weights = layer.n_in * layer.n_out
        return weights + 2 * layer.n_out, weights * after
    expansion, kernel = operation
    hidden = expansion * layer.n_in
    expand, depthwise, project = layer.n_in * hidden, kernel**2 * hidden, hidden * layer.n_out
    params = expand + depthwise + project + 4 * hidden + 2 * layer.n_out
    return params, expand * before + (depthwise + project) * after


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per layer, in depth order; a stage is a block, since its identities are interchangeable."""
    plan = iter(_layers(space.input_shape, **space.options))
    names = iter(_layer_names(space.options["layers"]))
    nodes = []
    for stage, n in enumerate(space.options["layers"]):
        for position in range(n):
            name, layer = next(names), next(plan)
            before, after = (layer.n_in, *layer.size_in), (layer.n_out, *layer.size_out)
            nodes.append(Node(name, (name,), before, after, f"stage_{stage + 1}", f"stages.{stage}.{position}"))
    return tuple(nodes)
