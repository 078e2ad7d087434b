"""Residual networks as an engineer writes them: three stages of plain or inverted residual blocks, 165,888 networks.

He et al., Deep Residual Learning, CVPR 2016 (arXiv 1512.03385); Sandler et al., MobileNetV2, CVPR 2018 (arXiv
1801.04381); Hu et al., Squeeze-and-Excitation Networks, CVPR 2018 (arXiv 1709.01507).

A 3x3 stem of ``width`` channels and stride ``stem``; stages of ``width``, ``2 width`` and ``4 width`` channels, the
first layer of every stage but the first with stride 2; pooling and a linear layer. A stage chooses its depth (1 to 3
layers), its block, kernel (3 or 5), and squeeze-and-excitation:

* *residual*: two convolutions with batch norm, plus the input, then ReLU. Where the shape changes, the input is
  averaged over 2x2 pixels if there is a stride, and goes through a 1x1 convolution with batch norm.
* *inverted*: a 1x1 convolution to four times the channels, a depthwise convolution, a 1x1 convolution back; plus the
  input where the shape is kept.

**Large and small images.** 3x3 convolutions of stride 2 in front of the stem bring images of 64 pixels and more (on the
shorter side) below 64. Stem and stages use a stride of 2 only while it leaves 4 pixels on the shorter side; where
the stem does not, a stem of 2 is the network with a stem of 1. Counts and shapes follow what is built.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace, Node
from searchkit.spaces.layers import InvertedResidual, Squeeze, conv_norm
from searchkit.spaces.residual_plan import (
    EXPANSION,
    Plan,
    Stage,
    choices_of,
    fixed_costs,
    listed,
    plan_of,
    plans_of,
    reference,
    stage_names,
    stage_table,
    times,
)
from searchkit.spaces.skeleton import StagedSpace, chosen, image_shape, outputs, resize_to, whole
from searchkit.types import Codes, Floats

_NAME = "residual"
_STEMS = (1, 2)


def residual(
    *,
    width: int | Sequence[int] = (8, 12, 16, 24, 32, 48),
    stem: int | Sequence[int] = _STEMS,
    stages: int = 3,
    resolution: int | None = None,
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """Plain and inverted residual networks of any width and depth, for pictures of any size.

    The columns are width and stem, where they are chosen, then depth, block, kernel and squeeze of each stage.
    ``reference`` is plain residual networks of kernel 3, of these widths and of one or two layers a stage.

    Args:
        width: channels of the first stage; every other stage has twice as many as the one before. Several widths are
            an ordered choice, one is fixed.
        stem: stride of the stem, 1 or 2; both are an ordered choice, one is fixed.
        stages: number of stages.
        resolution: side in pixels to which the network resizes its input first; None keeps the image's own.
        input_shape: ``(channels, height, width)`` of the images; any size.
        n_classes: number of logits.

    Raises:
        SpaceError: a stem that is neither 1 nor 2, or another option that is no whole number of at least 1.
    """
    options: dict[str, Any] = {
        "width": _one_or_several("width", width),
        "stem": _one_or_several("stem", stem),
        "stages": whole(_NAME, "stages", stages),
        "resolution": None if resolution is None else whole(_NAME, "resolution", resolution),
    }
    for stride in listed(options["stem"]):
        if stride not in _STEMS:
            raise SpaceError(f"space '{_NAME}' takes stem as a stride of 1 or 2, or both; got {stem!r}")
    return ResidualSpace(
        choices_of(options["width"], options["stem"], options["stages"]),
        functools.partial(_build, **options),
        name=_NAME,
        input_shape=image_shape(_NAME, input_shape),
        n_classes=whole(_NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
        reference=reference,
        times=functools.partial(times, stages=options["stages"]),
    )


class ResidualSpace(StagedSpace):
    """A :class:`NetworkSpace` whose canonical form depends on the size of the images."""

    def canonical(self, codes: Codes) -> Codes:
        """A stem whose stride of 2 is not used, since the images are too small for it, is 1."""
        stems = listed(self.options["stem"])
        if len(stems) == 1 or self._plan(width=1, stem=2).stride == 2:
            return codes
        codes = codes.copy()
        codes[:, self.names.index("stem")] = stems.index(1)
        return codes

    def _plan(self, width: int, stem: int) -> Plan:
        given = self.options
        return plan_of(self.input_shape, width=width, stem=stem, stages=given["stages"], resolution=given["resolution"])


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of convolutions and linear layers without biases."""
    plans = plans_of(space)
    which = chosen(space, "width", codes), chosen(space, "stem", codes)
    totals = np.array([[fixed_costs(plan, space.n_classes) for plan in row] for row in plans], dtype=np.float64)[which]
    for stage in range(space.options["stages"]):
        table = np.array([[stage_table(plan.stages[stage]) for plan in row] for row in plans])
        totals += table[(*which, *(chosen(space, name, codes) for name in stage_names(stage)))]
    return {"params": totals[:, 0], "macs": totals[:, 1]}


class Residual(nn.Module):
    """Two convolutions, plus the input, or what a pool and a 1x1 convolution make of it where the shape changes."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, stride: int, odd: bool, squeeze: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(n_in, n_out, kernel, stride),
            nn.ReLU(),
            *conv_norm(n_out, n_out, kernel),
            *([Squeeze(n_out)] if squeeze else []),
        )
        pool = [nn.AvgPool2d(2, 2, ceil_mode=odd, count_include_pad=False)] if stride == 2 else []
        changes = conv_norm(n_in, n_out, 1) if n_in != n_out or stride == 2 else ()
        self.shortcut = nn.Sequential(*pool, *changes)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return y


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits.

    ``chosen_stages`` are the depth, block, kernel and squeeze of every stage.
    """

    def __init__(
        self,
        chosen_stages: Sequence[tuple[int, str, int, bool]],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        width: int,
        stem: int,
        stages: int,
        resolution: int | None,
    ) -> None:
        super().__init__()
        plan = plan_of(input_shape, width=width, stem=stem, stages=stages, resolution=resolution)
        layers: list[nn.Module] = [resize_to(input_shape, resolution)]
        channels = plan.channels
        for stride in [*(2 for _ in plan.front), plan.stride]:
            layers += [*conv_norm(channels, width, 3, stride), nn.ReLU()]
            channels = width
        self.stem = nn.Sequential(*layers)
        self.stages = nn.ModuleList(
            _stage(shapes, *own) for shapes, own in zip(plan.stages, chosen_stages, strict=True)
        )
        self.classifier = nn.Linear(plan.stages[-1].n_out, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the stages, in depth order."""
        return outputs(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1].mean(dim=(2, 3)))
        return logits


def _one_or_several(name: str, given: Any) -> int | list[int]:
    """The option as it is recorded: a list where it is a choice."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [whole(_NAME, f"each {name}", one) for one in given]
    return whole(_NAME, name, given)


def _build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, **options: Any) -> nn.Module:
    own = {name: choices.get(name, options[name]) for name in ("width", "stem")}
    stages = [tuple(choices[name] for name in stage_names(stage)) for stage in range(options["stages"])]
    return Network(stages, input_shape, n_classes, **(options | own))


def _stage(shapes: Stage, depth: int, block: str, kernel: int, squeeze: bool) -> nn.Sequential:
    odd = shapes.size_in[0] % 2 == 1 or shapes.size_in[1] % 2 == 1
    layers: list[nn.Module] = []
    for layer in range(depth):
        n_in, stride = (shapes.n_in, shapes.stride) if layer == 0 else (shapes.n_out, 1)
        if block == "residual":
            layers.append(Residual(n_in, shapes.n_out, kernel=kernel, stride=stride, odd=odd, squeeze=squeeze))
        else:
            hidden = EXPANSION * n_in
            layers.append(InvertedResidual(n_in, hidden, shapes.n_out, kernel=kernel, stride=stride, squeeze=squeeze))
    return nn.Sequential(*layers)


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per stage. The shapes are those of the first width and stem, with which block-wise methods build."""
    nodes = []
    for stage, shapes in enumerate(plans_of(space)[0][0].stages):
        before, after = (shapes.n_in, *shapes.size_in), (shapes.n_out, *shapes.size_out)
        nodes.append(Node(f"stage_{stage + 1}", stage_names(stage), before, after, module=f"stages.{stage}"))
    return tuple(nodes)
