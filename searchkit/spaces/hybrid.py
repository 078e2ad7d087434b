"""Convolution and attention by stage: where the scale goes down is chosen, and the kind of every layer.

HyTra, of Li et al., BossNAS: Exploring Hybrid CNN-transformers with Block-wisely Self-supervised Neural Architecture
Search, ICCV 2021 (arXiv 2103.12424), section 5, in a form for images of any size.

A convolution leads to the first **scale**. Each layer stays at the scale of the layer before or goes down by one, which
halves the side and doubles the width; there are up to four scales, and the lowest has at least 4 pixels on its shorter
side: 32, 16, 8 and 4 for 32x32 pixels, 8 and 4 for 8x8. Pictures of 64 pixels and more are brought below that by
convolutions of stride 2 in front, so that those of 224x224 have the published 56, 28, 14 and 7. A layer is

* a convolution: 1x1 to fewer channels, 3x3, and 1x1 to the width of its scale;
* or attention in the place of the 3x3, over all positions, behind a depthwise 3x3 that tells positions apart (Chu et
  al., arXiv 2102.10882), and that has the stride where the scale goes down. This is at the two lowest scales only.

What a layer reads is added to what it gives; where the shape changes, behind an average pool and a 1x1 convolution. The
mean over all positions goes through a linear layer.

**Blocks.** Where downs are searched, the shapes at a layer depend on all layers before. Methods that fit block values
(``mathnas``, ``exact``) take each layer for a block of four alternatives. Those that train the modules of a block by
themselves (``dna``, ``dna++``) need one shape at each place, and take ``downs="even"``, where blocks are four layers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from searchkit.space import NetworkSpace, Node
from searchkit.spaces.hybrid_plan import (
    BLOCK,
    KINDS,
    NAME,
    choices_of,
    counts_of,
    designs,
    even_scales,
    inner_channels,
    layer_names,
    options_checked,
    plan_of,
    scales_of,
    widths_of,
    without_surplus,
)
from searchkit.spaces.layers import conv_norm
from searchkit.spaces.skeleton import StagedSpace, image_shape, outputs, whole
from searchkit.types import Codes, Floats

# The space brings no recipe: SGD at its usual rate was best on the two sets it was to be chosen on. Eight layers,
# batches of 32, one seed, mean validation accuracy of five networks: digits, 12 passes, SGD 0.981 (half the rate
# 0.976, twice 0.983), AdamW at 0.002, 0.005 and 0.01 0.954, 0.976 and 0.980; 1500 images of Fashion-MNIST, 6 passes,
# SGD 0.818 (0.813, 0.805), AdamW 0.797, 0.807 and 0.810. The set left out, 1500 images of CIFAR-10, says otherwise
# where trainings are very short: 6 passes, four networks, SGD 0.380, AdamW at 0.005 0.437, at 0.01 0.379; 15 passes,
# two networks, 0.452 and 0.465.


def hybrid(
    *,
    width: int | Sequence[int] = 16,
    layers: int = 16,
    bottleneck: int = 2,
    head: int = 16,
    downs: str = "searched",
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """Pictures by stages of convolution or attention, HyTra-style: where attention pays is searched.

    The columns are width, where it has several values, then ``down`` and ``kind`` of each layer. In the canonical form
    downs beyond the lowest scale are False, and layers above the two lowest scales are convolutions. ``reference`` is
    convolutions alone, attention at the lowest scale, and both in turns.

    Args:
        width: channels at the first scale; every other scale has twice as many as the one before. Several widths are
            an ordered choice, one is fixed.
        layers: number of layers.
        bottleneck: the channels of a scale per channel between the 1x1 convolutions of a layer; 4 in HyTra.
        head: numbers in a query, key or value of one attention head.
        downs: "searched", or "even": the scales have equally many layers, and no layer has a choice ``down``.
        input_shape: ``(channels, height, width)`` of the images; any size.
        n_classes: number of logits.

    Raises:
        SpaceError: downs of another name, a width given twice, or another option that is no whole number of at least 1.
    """
    options: dict[str, Any] = options_checked(
        {"width": width, "layers": layers, "bottleneck": bottleneck, "head": head, "downs": downs}
    )
    return HybridSpace(
        choices_of(options["width"], options["layers"], options["downs"]),
        functools.partial(_build, **options),
        name=NAME,
        input_shape=image_shape(NAME, input_shape),
        n_classes=whole(NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
        reference=designs,
    )


class HybridSpace(StagedSpace):
    """A :class:`NetworkSpace` whose scales depend on the size of the images."""

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> Self:
        """The same space for images of another shape."""
        other = super().for_data(image_shape(NAME, tuple(input_shape)), n_classes)
        assert isinstance(other, type(self))
        return other

    def canonical(self, codes: Codes) -> Codes:
        """Surplus downs are False, and layers above the two lowest scales are convolutions."""
        return without_surplus(self, codes)

    def shaped_by(self, codes: Codes) -> Codes:
        """The width, and the first and the last scale that a layer gives; layers go through all between."""
        scales = scales_of(self, codes)
        return np.column_stack([super().shaped_by(codes), scales[:, 0], scales[:, -1]])


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of convolutions and of all matrix products."""
    return counts_of(space, codes)


class Position(nn.Module):
    """A depthwise 3x3 convolution, by which attention can tell positions apart; added to its input if that fits."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x)
        found: Tensor = self.norm(y if self.stride > 1 else x + y)
        return found


class Attention(nn.Module):
    """Maps ``(batch, channels, rows, columns)`` to ``(batch, heads x head, rows, columns)``; each position sees all."""

    def __init__(self, channels: int, num_heads: int, head: int) -> None:
        super().__init__()
        self.num_heads, self.head = num_heads, head
        self.qkv = nn.Linear(channels, 3 * num_heads * head, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1).flatten(1, 2)
        three = self.qkv(tokens).unflatten(2, (3, self.num_heads, self.head)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*three.unbind(0))
        y: Tensor = mixed.transpose(1, 2).flatten(2).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        return y


class Layer(nn.Module):
    """A bottleneck around a 3x3 convolution or attention, plus its input.

    Args:
        middle: channels between the 1x1 convolutions.
        kind: "convolution" or "attention".
        down: whether the side is halved.
        odd: whether a side of the input is odd.
    """

    def __init__(
        self, n_in: int, middle: int, n_out: int, *, kind: str, heads: int, head: int, down: bool, odd: bool
    ) -> None:
        super().__init__()
        stride = 2 if down else 1
        if kind == "attention":
            mixing: tuple[nn.Module, ...] = (Position(middle, stride), Attention(middle, heads, head))
            mixed = heads * head
        else:
            mixing, mixed = (*conv_norm(middle, middle, 3, stride), nn.ReLU()), middle
        self.body = nn.Sequential(*conv_norm(n_in, middle, 1), nn.ReLU(), *mixing, *conv_norm(mixed, n_out, 1))
        pool = [nn.AvgPool2d(2, 2, ceil_mode=odd, count_include_pad=False)] if down else []
        self.shortcut = nn.Sequential(*pool, *(conv_norm(n_in, n_out, 1) if down else ()))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return y


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits.

    ``chosen_layers`` are, of every layer, whether the scale goes down, and the kind; the canonical ones.
    """

    def __init__(
        self,
        chosen_layers: Sequence[tuple[bool, str]],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        width: int,
        bottleneck: int,
        head: int,
    ) -> None:
        super().__init__()
        plan = plan_of(input_shape)
        stem: list[nn.Module] = []
        channels = plan.channels
        for stride in (*(2 for _ in plan.front), 1):
            stem += [*conv_norm(channels, width, 3, stride), nn.ReLU()]
            channels = width
        self.stem = nn.Sequential(*stem)
        self.layers = nn.ModuleList()
        scale = 0
        for goes_down, kind in chosen_layers:
            down = goes_down and scale + 1 < len(plan.sizes)
            odd = any(side % 2 for side in plan.sizes[scale])
            scale += down
            kind = kind if scale >= plan.first_attending else KINDS[0]
            n_out = width * 2**scale
            middle, heads = inner_channels(n_out, bottleneck, head)
            self.layers.append(Layer(channels, middle, n_out, kind=kind, heads=heads, head=head, down=down, odd=odd))
            channels = n_out
        self.classifier = nn.Linear(channels, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the layers, in depth order."""
        return outputs(self.layers, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1].mean(dim=(2, 3)))
        return logits


def _build(
    choices: Mapping[str, Any],
    input_shape: Sequence[int],
    n_classes: int,
    *,
    layers: int,
    downs: str,
    **options: Any,
) -> nn.Module:
    even = even_scales(layers, len(plan_of(input_shape).sizes)) if downs == "even" else None
    found = []
    for layer in range(layers):
        down, kind = layer_names(layer)
        fixed = even is not None and layer > 0 and bool(even[layer] > even[layer - 1])
        found.append((bool(choices.get(down, fixed)), choices[kind]))
    return Network(found, input_shape, n_classes, **(options | {"width": choices.get("width", options["width"])}))


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per layer, with the shapes of the first width, and where downs are searched, of the first candidate."""
    plan, width, layers = plan_of(space.input_shape), widths_of(space)[0], int(space.options["layers"])
    even = space.options["downs"] == "even"
    scales = [0, *(even_scales(layers, len(plan.sizes)).tolist() if even else [0] * layers)]
    shapes = [(width * 2**scale, *plan.sizes[scale]) for scale in scales]
    nodes = []
    for layer in range(layers):
        first = layer // BLOCK * BLOCK
        nodes.append(
            Node(
                f"layer_{layer + 1}",
                tuple(name for name in layer_names(layer) if name in space.names),
                shapes[layer],
                shapes[layer + 1],
                # where downs are searched, a down in one block changes what the choices of the next ones mean
                block=f"layers_{first + 1}_to_{min(layers, first + BLOCK)}" if even else "",
                module=f"layers.{layer}",
            )
        )
    return tuple(nodes)
