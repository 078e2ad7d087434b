"""Small vision transformers: patches, width and depth are chosen, and heads and MLP of every layer.

Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021 (arXiv 2010.11929); Chen et al., AutoFormer: Searching
Transformers for Visual Recognition, ICCV 2021 (arXiv 2107.00651).

A 3x3 convolution with half as many channels as a token has numbers, and GELU, looks at every pixel's neighbours; on few
small images networks learn much more quickly with it than without (Xiao et al., Early Convolutions Help Transformers
See Better, NeurIPS 2021, arXiv 2106.14881). What it gives is cut into squares of ``patch`` pixels, and each becomes a
token of ``width`` numbers, plus a learned vector of its place. ``depth`` layers follow, then a layer norm, the mean of
all tokens, and a linear layer. A layer is

* attention with ``heads`` heads of ``head`` numbers each: queries, keys and values are ``heads x head`` wide whatever
  the width of the tokens, as in AutoFormer, so that every layer may have any number of heads;
* two linear layers with ``ratio`` times the width, and GELU, between them.

Each reads its input through a layer norm and is added to it. The mean of the tokens takes the place of a class token.

**Images of any size.** Where the patch does not divide a side, zeros are added below and to the right. Maps between
layers are ``(batch, width, rows, columns)`` of tokens, as those of convolutions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace, Node
from searchkit.spaces.skeleton import StagedSpace, image_shape, layer_nodes, outputs, whole
from searchkit.spaces.vit_plan import (
    NAME,
    OF_ALL,
    OF_LAYERS,
    STEMS,
    Plan,
    choices_of,
    counts_of,
    designs,
    hidden_units,
    layer_names,
    listed,
    options_of,
    patches_for,
    plan_of,
    recorded,
    stem_channels,
    without_absent,
)
from searchkit.types import Codes, Floats

_SPREAD = 0.02  # standard deviation of places at the beginning
# Measured on digits in batches of 32. Without the stem, 10 passes, validation, mean of three networks: SGD at its usual
# rate 0.850, AdamW at 0.002, 0.004 and 0.008 0.872, 0.892 and 0.894. With it, validation and test part, mean of two
# networks, AdamW at 0.002 and 0.004: 0.955 and 0.950 in 6 passes, 0.950 and 0.942 in 20, 0.976 and 0.971 in 50.
# One network without the stem, 60 passes, test part: 0.983 in batches of 32, 0.950 in batches of 64, of half the steps.
_RECIPE: dict[str, str | int | float | bool | None] = {
    "optimiser": "adamw", "lr": 0.002, "weight_decay": 0.05, "batch_size": 32,
}  # fmt: skip


def vit(
    *,
    patch: int | Sequence[int] | None = None,
    width: int | Sequence[int] = (48, 64, 96),
    depth: int | Sequence[int] = (2, 3, 4, 5, 6),
    heads: int | Sequence[int] = (2, 3, 4),
    ratio: float | Sequence[float] = (2, 3, 4),
    head: int = 16,
    stem: str = "convolution",
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """Small vision transformers with searched depth, width, heads and ratios, AutoFormer-style.

    The columns are patch, width and depth, then heads and ratio of each layer, as far as they have several options. In
    the canonical form the layers beyond the depth, which are not built, take the first options. ``reference`` is
    networks of equal layers.

    Args:
        patch: side of the patches in pixels. None: two sizes that suit the images, and that change with them in
            :meth:`~searchkit.NetworkSpace.for_data`, such as 1 and 2 for 8x8 pixels, 4 and 8 for 32x32, 14 and 28 for
            224x224.
        width: numbers in a token.
        depth: layers.
        heads: attention heads of a layer.
        ratio: hidden units of a layer's MLP per number in a token; may be a fraction.
        head: numbers in a query, key or value of one head.
        stem: "convolution", or "none": patches of the image itself, as in AutoFormer.
        input_shape: ``(channels, height, width)`` of the images; any size.
        n_classes: number of logits.

    Several values of an option are an ordered choice, in ascending order; one is fixed.

    Raises:
        SpaceError: an unknown stem, a ratio that is no number above 0, another option that is no whole number of at
            least 1, a value given twice, or nothing left to choose.
    """
    shape = image_shape(NAME, input_shape)
    options: dict[str, Any] = {
        "patch": None if patch is None else recorded("patch", patch),
        "width": recorded("width", width),
        "depth": recorded("depth", depth),
        "heads": recorded("heads", heads),
        "ratio": recorded("ratio", ratio),
        "head": whole(NAME, "head", head),
        "stem": stem,
    }
    if stem not in STEMS:
        raise SpaceError(f"space '{NAME}' takes stem as one of {', '.join(STEMS)}; got {stem!r}")
    choices = choices_of(listed(options, shape))
    if not choices:
        raise SpaceError(f"space '{NAME}' has nothing to choose: give several values of an option, such as width")
    return VitSpace(
        choices,
        functools.partial(_build, **options),
        name=NAME,
        input_shape=shape,
        n_classes=whole(NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
        reference=designs,
        recipe=_RECIPE,
    )


class VitSpace(StagedSpace):
    """A :class:`NetworkSpace` whose patches suit its images."""

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> Self:
        """The same space for other images; patches that were not given take sizes that suit them."""
        other = super().for_data(image_shape(NAME, tuple(input_shape)), n_classes)
        assert isinstance(other, type(self))
        if self.options["patch"] is None:
            own = Choice("patch", patches_for(other.input_shape), ordered=True)
            other.choices = tuple(own if choice.name == "patch" else choice for choice in self.choices)
        return other

    def canonical(self, codes: Codes) -> Codes:
        """Heads and ratio of layers beyond the depth are the first options."""
        return without_absent(self, codes)


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of all matrix products, attention's two among them."""
    return counts_of(space, codes)


class Patches(nn.Module):
    """Images ``(batch, channels, height, width)`` to tokens with their places ``(batch, width, rows, columns)``."""

    def __init__(self, plan: Plan, width: int, stem: str) -> None:
        super().__init__()
        channels = plan.channels
        self.stem = nn.Sequential()
        if stem == "convolution":
            channels = stem_channels(width)
            self.stem.extend([nn.Conv2d(plan.channels, channels, 3, padding=1), nn.GELU()])
        self.padding = (0, plan.padded[1], 0, plan.padded[0])
        self.tokens = nn.Conv2d(channels, width, plan.patch, stride=plan.patch)
        self.places = nn.Parameter(_SPREAD * torch.randn(1, width, *plan.size))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if any(self.padding):
            x = functional.pad(x, self.padding)
        y: Tensor = self.tokens(x) + self.places
        return y


class Attention(nn.Module):
    """Tokens ``(batch, n, width)`` to the same shape, by heads of a fixed width."""

    def __init__(self, width: int, num_heads: int, head: int) -> None:
        super().__init__()
        self.num_heads, self.head = num_heads, head
        self.qkv = nn.Linear(width, 3 * num_heads * head)
        self.proj = nn.Linear(num_heads * head, width)

    def forward(self, x: Tensor) -> Tensor:
        three = self.qkv(x).unflatten(2, (3, self.num_heads, self.head)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*three.unbind(0))
        y: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return y


def mlp(width: int, ratio: float) -> nn.Sequential:
    """Two linear layers with GELU between them, for tokens ``(..., width)``."""
    hidden = hidden_units(width, ratio)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Layer(nn.Module):
    """Attention, then an MLP of each token by itself; maps ``(batch, width, rows, columns)`` to the same shape."""

    def __init__(self, width: int, *, heads: int, head: int, ratio: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp(width, ratio)

    def forward(self, x: Tensor) -> Tensor:
        rows_and_columns = x.shape[2:]
        tokens = x.permute(0, 2, 3, 1).flatten(1, 2)  # in the order in memory where maps are channels last: no copy
        tokens = tokens + self.attention(self.attention_norm(tokens))
        tokens = tokens + self.mlp(self.mlp_norm(tokens))
        y: Tensor = tokens.unflatten(1, rows_and_columns).permute(0, 3, 1, 2)
        return y


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits.

    ``layers`` are the heads and the ratio of every layer.
    """

    def __init__(
        self,
        layers: Sequence[tuple[int, float]],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        patch: int,
        width: int,
        head: int,
        stem: str,
    ) -> None:
        super().__init__()
        self.patches = Patches(plan_of(input_shape, patch), width, stem)
        self.layers = nn.ModuleList(Layer(width, heads=heads, head=head, ratio=ratio) for heads, ratio in layers)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the layers, in depth order."""
        return outputs(self.layers, self.patches(x))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.features(x)[-1].permute(0, 2, 3, 1).flatten(1, 2)
        logits: Tensor = self.classifier(self.norm(tokens).mean(dim=1))
        return logits


def _build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, **options: Any) -> nn.Module:
    given = listed(options, input_shape)
    own = {name: choices.get(name, given.values(name)[0]) for name in OF_ALL}
    layers = []
    for layer in range(own["depth"]):
        heads, ratio = (
            choices.get(name, given.values(of)[0]) for of, name in zip(OF_LAYERS, layer_names(layer), strict=True)
        )
        layers.append((heads, ratio))
    rest = {"head": options["head"], "stem": options["stem"]}
    return Network(layers, input_shape, n_classes, patch=own["patch"], width=own["width"], **rest)


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per layer, whose shapes are those of the first patch and width, with which block-wise methods build."""
    given = options_of(space)
    shape = (given.width[0], *plan_of(space.input_shape, given.patch[0]).size)
    return layer_nodes(space, given.depth, shape, layer_names)
