"""MobileNetV3 as a space: five stages of two to four inverted residuals, about 2.2e19 networks.

Cai et al., Once-for-All, ICLR 2020 (arXiv 1908.09791); Howard et al., Searching for MobileNetV3, ICCV 2019
(arXiv 1905.02244).

A 3x3 stem and one fixed layer of 16 channels; stages of 24, 40, 80, 112 and 160 channels, whose layers choose a kernel
(3, 5, 7) and an expansion (3, 4, 6), the second, fourth and fifth with squeeze-and-excitation; a 1x1 convolution to 960
channels, pooling, 1,280 mixed features and a linear layer. Every number of channels is times ``width``. The fixed
layer and the first two stages use ReLU, all else hard-swish. Only the first layer of a stage changes shapes, so that a
stage of less depth is the same stage without its last layers.

**Small images.** The stem and the stages 1, 2, 3 and 5 halve height and width, but only while 4 pixels are left on the
shorter side, in depth order: from 97 pixels on all five do, as published; 32x32 images are halved by the stem and the
first two stages, 8x8 images by the stem alone. Counts and shapes follow what is built.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace, Node
from searchkit.spaces.layers import InvertedResidual, conv_norm, inverted_costs
from searchkit.spaces.mobilenet_plan import (
    DEPTHS,
    EXPANSIONS,
    KERNELS,
    STAGES,
    Layer,
    Plan,
    canonical,
    depth_name,
    layer_columns,
    layer_names,
    places,
    shapes_of,
    stage_choices,
    times,
)
from searchkit.spaces.skeleton import StagedSpace, image_shape, outputs, resize_to, whole
from searchkit.types import Codes, Floats

_NAME = "mobilenet"


def mobilenet(
    *,
    width: float = 1.0,
    resolution: int | Sequence[int] | None = None,
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """MobileNetV3-style networks of inverted residuals with searched depths, kernels and expansions, 2e19 of them.

    It is as published by default, and scaled by its options.

    Stage after stage, the columns are its depth and the kernel and expansion of each of four layers. In the
    canonical form the layers beyond the depth, which are not built, take the first options.

    Args:
        width: factor on all numbers of channels, which stay divisible by 8. Published: 1 and 1.2.
        resolution: side in pixels to which the network resizes its input first; None keeps the image's own. Several
            resolutions make it one more, ordered choice, "resolution". Published: 128 to 224.
        input_shape: ``(channels, height, width)`` of the images.
        n_classes: number of logits.

    Raises:
        SpaceError: a width that is no number above 0, or another option that is no whole number of at least 1.
    """
    options: dict[str, Any] = {"width": _factor(width), "resolution": _sides(resolution)}
    choices = [choice for stage in range(len(STAGES)) for choice in stage_choices(stage)]
    if isinstance(options["resolution"], list):
        choices.append(Choice("resolution", options["resolution"], ordered=True))
    return StagedSpace(
        choices,
        functools.partial(_build, **options),
        name=_NAME,
        canonical=canonical,
        input_shape=image_shape(_NAME, input_shape),
        n_classes=whole(_NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
        times=times,
    )


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of convolutions and linear layers without biases."""
    plans = [shapes_of(space.input_shape, space.options["width"], resolution) for resolution in _resolutions(space)]
    chosen = codes[:, -1] if isinstance(space.options["resolution"], list) else np.zeros(len(codes), dtype=np.int64)
    totals = np.array([_fixed_costs(plan, space.n_classes) for plan in plans], dtype=np.float64)[chosen]
    for stage, layer in places():
        costs = np.array([_layer_table(plan.stages[stage][layer]) for plan in plans], dtype=np.float64)
        depth, kernel, expansion = codes[:, layer_columns(stage, layer)].T
        there = np.array(DEPTHS)[depth] > layer
        totals += np.where(there[:, None], costs[chosen, kernel, expansion], 0.0)
    return {"params": totals[:, 0], "macs": totals[:, 1]}


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits.

    ``layers`` are the kernel and expansion of every layer that is there, stage by stage.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[tuple[int, int]]],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        width: float,
        resolution: int | None,
    ) -> None:
        super().__init__()
        plan = shapes_of(input_shape, width, resolution)
        self.stem = nn.Sequential(
            resize_to(input_shape, resolution),
            *conv_norm(plan.n_in, plan.fixed.n_in, 3, plan.stem_stride),
            nn.Hardswish(),
            _block(plan.fixed, kernel=3, expansion=1),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(_block(shape, *choice) for shape, choice in zip(shapes, choices, strict=False)))
            for shapes, choices in zip(plan.stages, layers, strict=True)
        )
        self.last = nn.Sequential(*conv_norm(plan.stages[-1][-1].n_out, plan.n_last, 1), nn.Hardswish())
        self.mixed = nn.Sequential(nn.Linear(plan.n_last, plan.n_mixed, bias=False), nn.Hardswish())
        self.classifier = nn.Linear(plan.n_mixed, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the stages, in depth order."""
        return outputs(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.last(self.features(x)[-1]).mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.mixed(pooled))
        return logits


def _factor(width: Any) -> float:
    if isinstance(width, bool) or not isinstance(width, (int, float, np.number)) or not 0 < width < math.inf:
        raise SpaceError(f"space '{_NAME}' takes width as a number above 0; got {width!r}")
    return float(width)


def _sides(resolution: Any) -> int | list[int] | None:
    """The option as it is recorded: a list where it is a choice."""
    if resolution is None:
        return None
    if isinstance(resolution, Sequence) and not isinstance(resolution, str):
        return [whole(_NAME, "each resolution", side) for side in resolution]
    return whole(_NAME, "resolution", resolution)


def _resolutions(space: NetworkSpace) -> list[int | None]:
    """The options of the choice "resolution", or the one resolution that there is."""
    given = space.options["resolution"]
    return given if isinstance(given, list) else [given]


def _build(
    choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, *, width: float, resolution: Any
) -> nn.Module:
    layers = []
    for stage in range(len(STAGES)):
        names = [layer_names(stage, layer) for layer in range(choices[depth_name(stage)])]
        layers.append([(choices[kernel], choices[expansion]) for kernel, expansion in names])
    side = choices.get("resolution", resolution)
    return Network(layers, input_shape, n_classes, width=width, resolution=side)


def _block(layer: Layer, kernel: int, expansion: int) -> InvertedResidual:
    return InvertedResidual(
        layer.n_in,
        layer.n_in * expansion,
        layer.n_out,
        kernel=kernel,
        stride=layer.stride,
        squeeze=layer.squeeze,
        hard_swish=layer.hard_swish,
    )


def _fixed_costs(plan: Plan, n_classes: int) -> tuple[int, int]:
    """Parameters and MACs of all that is not chosen."""
    params, macs = _layer_costs(plan.fixed, kernel=3, expansion=1)
    stem, last = 9 * plan.n_in * plan.fixed.n_in, plan.stages[-1][-1].n_out * plan.n_last
    linear = plan.n_last * plan.n_mixed + plan.n_mixed * n_classes
    params += stem + 2 * plan.fixed.n_in + last + 2 * plan.n_last + linear + n_classes
    macs += stem * math.prod(plan.fixed.size_in) + last * math.prod(plan.stages[-1][-1].size_out) + linear
    return params, macs


@functools.lru_cache(maxsize=1024)  # a search counts its space again and again, and that has few layers
def _layer_table(layer: Layer) -> list[list[tuple[int, int]]]:
    """Parameters and MACs by kernel and expansion."""
    return [[_layer_costs(layer, kernel, expansion) for expansion in EXPANSIONS] for kernel in KERNELS]


def _layer_costs(layer: Layer, kernel: int, expansion: int) -> tuple[int, int]:
    """Parameters and MACs of one layer."""
    return inverted_costs(
        layer.n_in,
        layer.n_in * expansion,
        layer.n_out,
        kernel=kernel,
        before=math.prod(layer.size_in),
        after=math.prod(layer.size_out),
        squeeze=layer.squeeze,
    )


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per layer, in depth order; a stage is a block. The shapes are those of the largest resolution."""
    largest = max(_resolutions(space), key=lambda side: side or 0)
    plan = shapes_of(space.input_shape, space.options["width"], largest)
    nodes = []
    for stage, layer in places():
        shape = plan.stages[stage][layer]
        nodes.append(
            Node(
                f"stage_{stage + 1}_layer_{layer + 1}",
                layer_names(stage, layer),
                (shape.n_in, *shape.size_in),
                (shape.n_out, *shape.size_out),
                block=f"stage_{stage + 1}",
                module=f"stages.{stage}.{layer}",
                optional=(depth_name(stage), layer + 1) if layer >= DEPTHS[0] else None,
            )
        )
    return tuple(nodes)
