"""Networks for token sequences and 1-D signals: every layer is attention or a depthwise-separable convolution.

Vaswani et al., Attention Is All You Need, NeurIPS 2017 (arXiv 1706.03762); Liu et al., A ConvNet for the 2020s, CVPR
2022 (arXiv 2201.03545), for the convolution block, here along one axis; Chen et al., AutoFormer, ICCV 2021 (arXiv
2107.00651), for heads of one width.

A token becomes ``width`` learned numbers. Of a signal, a convolution of 9 values with half as many channels looks at
every value's neighbours, and what it gives is cut into patches of ``patch`` values, each of which becomes ``width``
numbers. A learned vector of its place is added to each. ``depth`` layers follow, then a layer norm, the mean of all
positions, and a linear layer. A layer is one of these:

* "attention": attention with ``heads`` heads of ``head`` numbers each, then two linear layers with ``ratio`` times the
  width, and GELU, between them. Each reads its input through a layer norm and is added to it.
* "convolution": a depthwise convolution of ``kernel`` positions, a layer norm, and two linear layers as above; all
  together are added to the input.

**Padding.** Token 0 is padding. The mean leaves it out; between, it is a token as any other, with numbers and places
that are learned, so that a layer takes nothing but its input.

**Signals of any length.** Where the patch does not divide the length, zeros are added behind the end. Maps between
layers are ``(batch, width, positions)``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import SpaceError
from searchkit.space import NetworkSpace, Node, TokenShape
from searchkit.spaces.sequence_plan import (
    NAME,
    OF_ALL,
    OF_LAYERS,
    STEM_KERNEL,
    choices_of,
    counts_of,
    designs,
    layer_names,
    listed,
    options_of,
    positions_of,
    recorded,
    sequence_shape,
    without_absent,
)
from searchkit.spaces.skeleton import layer_nodes, outputs, whole
from searchkit.spaces.vit import Attention, mlp
from searchkit.spaces.vit_plan import stem_channels
from searchkit.types import Codes, Floats

_SPREAD = 0.02  # standard deviation of places and tokens at the beginning
# Measured on keywords, sentences, and the digits as tokens and as signals: of AdamW at 0.001, 0.003, 0.006 and 0.01, in
# batches of 32 and 64, any three of the four choose this one for the fourth (docs/benchmarks.md).
_RECIPE: dict[str, str | int | float | bool | None] = {
    "optimiser": "adamw", "lr": 0.006, "weight_decay": 0.05, "batch_size": 32,
}  # fmt: skip


def sequence(
    *,
    patch: int | Sequence[int] | None = None,
    width: int | Sequence[int] = (32, 48, 64),
    depth: int | Sequence[int] = (1, 2, 3, 4),
    block: str | Sequence[str] = ("convolution", "attention"),
    heads: int | Sequence[int] = (2, 4),
    kernel: int | Sequence[int] = (5, 9, 15),
    ratio: float | Sequence[float] = (1, 2),
    head: int = 16,
    input_shape: Sequence[int] = (1, 1024),
    n_classes: int = 10,
) -> NetworkSpace:
    """Attention and convolution blocks for sequences of tokens and for 1-D signals.

    The columns are patch, width and depth, then block, heads, kernel and ratio of each layer, as far as they have
    several options. In the canonical form, what a network does not have takes the first option: layers beyond the
    depth, heads of a convolution, kernels of attention.

    Args:
        patch: values of a signal in a patch. None: two sizes that suit its length, such as 16 and 32 for 1,024 values;
            they change with it in :meth:`~searchkit.NetworkSpace.for_data`. Tokens have no patches.
        width: numbers of a position.
        depth: layers.
        block: "convolution", "attention", or both, of which each layer has one.
        heads: attention heads of a layer.
        kernel: positions that a convolution sees; odd.
        ratio: hidden units of a layer per number of a position; may be a fraction.
        head: numbers in a query, key or value of one head.
        input_shape: ``(channels, length)`` of signals, or a :class:`searchkit.space.TokenShape` of tokens;
            :meth:`~searchkit.NetworkSpace.for_data` changes between them.
        n_classes: number of logits.

    Several values of an option are an ordered choice, in ascending order, but for blocks; one is fixed.

    Raises:
        SpaceError: an input_shape of another kind, an unknown block, an even kernel, a ratio that is no number above 0,
            another option that is no whole number of at least 1, a value given twice, or nothing left to choose.
    """
    shape = sequence_shape(input_shape)
    several = {"width": width, "depth": depth, "block": block, "heads": heads, "kernel": kernel, "ratio": ratio}
    options: dict[str, Any] = {"patch": None if patch is None else recorded("patch", patch)}
    options |= {name: recorded(name, given) for name, given in several.items()}
    options["head"] = whole(NAME, "head", head)
    choices = choices_of(listed(options, shape))
    if not choices:
        raise SpaceError(f"space '{NAME}' has nothing to choose: give several values of an option, such as width")
    return SequenceSpace(
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
        kind=("tokens", "signals"),
    )


class SequenceSpace(NetworkSpace):
    """A :class:`NetworkSpace` for tokens and for signals, whose patches suit the length of its signals."""

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> Self:
        """The same space for other inputs; tokens have no choice of a patch, and signals have.

        Raises:
            SpaceError: the shape is of neither, or there is nothing to choose for it.
        """
        other = super().for_data(sequence_shape(input_shape), n_classes)
        assert isinstance(other, type(self))
        choices = choices_of(listed(self.options, other.input_shape))
        if not choices:
            raise SpaceError(f"space '{NAME}' has nothing to choose for inputs of shape {other.input_shape}")
        other.choices, other.names = tuple(choices), tuple(choice.name for choice in choices)
        other.n_options = np.array([len(choice.options) for choice in choices], dtype=np.int64)
        return other

    def canonical(self, codes: Codes) -> Codes:
        """What a network does not have is the first option."""
        return without_absent(self, codes)


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``; MACs at batch 1, of all matrix products, attention's two among them."""
    return counts_of(space, codes)


class Embedding(nn.Module):
    """Tokens ``(batch, length)`` int64 to ``(batch, width, length)``, with their places."""

    def __init__(self, shape: TokenShape, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=_SPREAD)
        self.places = nn.Parameter(_SPREAD * torch.randn(1, width, shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.tokens(x).transpose(1, 2) + self.places
        return y


class Patches(nn.Module):
    """Signals ``(batch, channels, length)`` to ``(batch, width, positions)``, with their places."""

    def __init__(self, shape: Sequence[int], patch: int, width: int) -> None:
        super().__init__()
        channels, length = shape
        inner, positions = stem_channels(width), positions_of(shape, patch)
        self.stem = nn.Sequential(nn.Conv1d(channels, inner, STEM_KERNEL, padding=STEM_KERNEL // 2), nn.GELU())
        self.padded = positions * patch - length
        self.patches = nn.Conv1d(inner, width, patch, stride=patch)
        self.places = nn.Parameter(_SPREAD * torch.randn(1, width, positions))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.padded:
            x = functional.pad(x, (0, self.padded))
        y: Tensor = self.patches(x) + self.places
        return y


class AttentionLayer(nn.Module):
    """Attention, then an MLP of each position by itself; ``(batch, width, positions)`` to the same shape."""

    def __init__(self, width: int, *, heads: int, head: int, ratio: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp(width, ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        x = x + self.attention(self.attention_norm(x))
        x = x + self.mlp(self.mlp_norm(x))
        return x.transpose(1, 2)


class ConvolutionLayer(nn.Module):
    """A depthwise convolution, then an MLP of each position; ``(batch, width, positions)`` to the same shape."""

    def __init__(self, width: int, *, kernel: int, ratio: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = mlp(width, ratio)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.mlp(self.norm(self.depthwise(x).transpose(1, 2))).transpose(1, 2)
        return y


class Network(nn.Module):
    """Tokens ``(batch, length)`` or signals ``(batch, channels, length)`` to ``(batch, n_classes)`` logits."""

    def __init__(self, first: nn.Module, layers: Sequence[nn.Module], width: int, n_classes: int) -> None:
        super().__init__()
        self.first = first
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the layers, in depth order."""
        return outputs(self.layers, self.first(x))

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm(self.features(x)[-1].transpose(1, 2))
        if isinstance(self.first, Embedding):
            there = (x != 0).unsqueeze(2).to(found.dtype)  # 0 is padding
            mean = (found * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        else:
            mean = found.mean(dim=1)
        logits: Tensor = self.classifier(mean)
        return logits


def _build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, **options: Any) -> nn.Module:
    given, head = listed(options, input_shape), options["head"]
    own = {name: choices.get(name, given.values(name)[0]) for name in OF_ALL}
    width, layers = own["width"], list[nn.Module]()
    for layer in range(own["depth"]):
        block, heads, kernel, ratio = (
            choices.get(name, given.values(of)[0]) for of, name in zip(OF_LAYERS, layer_names(layer), strict=True)
        )
        if block == "attention":
            layers.append(AttentionLayer(width, heads=heads, head=head, ratio=ratio))
        else:
            layers.append(ConvolutionLayer(width, kernel=kernel, ratio=ratio))
    tokens = isinstance(input_shape, TokenShape)
    first = Embedding(input_shape, width) if tokens else Patches(input_shape, own["patch"], width)  # type: ignore[arg-type]
    return Network(first, layers, width, n_classes)


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per layer, whose shapes are those of the first patch and width, with which block-wise methods build."""
    given = options_of(space)
    shape = (given.width[0], positions_of(space.input_shape, given.patch[0]))
    return layer_nodes(space, given.depth, shape, layer_names, named=True)
