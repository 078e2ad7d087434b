"""Small modules that stand in place of larger ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Projection(nn.Module):
    """A linear map of the channels at every position, with a stride or nearest neighbours where the size changes.

    Args:
        n_in, n_out: channels.
        stride: ``(height, width)``; every so many positions are read.
        scale: ``(height, width)``; each position is repeated so many times.
    """

    def __init__(
        self, n_in: int, n_out: int, stride: tuple[int, int] = (1, 1), scale: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        if self.scale == (1, 1):
            return out
        return functional.interpolate(out, scale_factor=tuple(map(float, self.scale)))


class OfInputAlone(nn.Module):
    """A module that is called with further arguments, such as a rate of dropout, and takes its input alone."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, *others: object, **named: object) -> Tensor:
        out: Tensor = self.module(x)
        return out


class SelfAttention(nn.Module):
    """Attention of tokens to each other, without masks, of any number of heads.

    Args:
        qkv_weight, qkv_bias: ``(3 * heads * d, c)`` and ``(3 * heads * d,)``: queries, keys, values.
        proj_weight, proj_bias: ``(c, heads * d)`` and ``(c,)``.
        heads: number of heads.
        tokens_first: the input is ``(tokens, n, c)``, else ``(n, tokens, c)``.
        returns_pair: as :class:`torch.nn.MultiheadAttention` it returns the output and no weights.
    """

    batch_first = False  # what torch's own layers look at before they take the weights for themselves

    def __init__(
        self,
        qkv_weight: Tensor,
        qkv_bias: Tensor | None,
        proj_weight: Tensor,
        proj_bias: Tensor | None,
        heads: int,
        tokens_first: bool = False,
        returns_pair: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.tokens_first, self.returns_pair = heads, tokens_first, returns_pair
        self.qkv = linear_of(qkv_weight, qkv_bias)
        self.proj = linear_of(proj_weight, proj_bias)

    def mixed(self, x: Tensor) -> Tensor:
        """``(n, tokens, heads * d)``, the heads' outputs beside each other, of ``(n, tokens, c)``."""
        n, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, -1)

    def forward(self, x: Tensor, *others: object, **named: object) -> Tensor | tuple[Tensor, None]:
        rows = x.transpose(0, 1) if self.tokens_first else x
        out: Tensor = self.proj(self.mixed(rows))
        out = out.transpose(0, 1) if self.tokens_first else out
        return (out, None) if self.returns_pair else out

    def with_heads(self, kept: Tensor) -> SelfAttention:
        """The same attention with some of its heads ``(k,)``."""
        d = self.proj.in_features // self.num_heads
        inner = (kept[:, None] * d + torch.arange(d)).flatten()
        rows = torch.cat([inner + part * self.proj.in_features for part in range(3)])
        bias = None if self.qkv.bias is None else self.qkv.bias.detach()[rows]
        return SelfAttention(
            self.qkv.weight.detach()[rows], bias, self.proj.weight.detach()[:, inner], self.proj.bias, len(kept),
            self.tokens_first, self.returns_pair,
        )  # fmt: skip


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer with copies of these weights ``(out, in)`` and ``(out,)``."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data.copy_(weight.detach())
    if bias is not None:
        layer.bias.data.copy_(bias.detach())
    return layer


def convolution_like(
    conv: nn.Conv2d,
    weight: Tensor,
    *,
    bias: Tensor | None,
    groups: int = 1,
    padding: tuple[int, ...] | None = None,
    plain: bool = False,
) -> nn.Conv2d:
    """A convolution with the stride, padding and dilation of another one, and with other weights.

    Args:
        weight: ``(out, in / groups, k, k)``.
        padding: in place of the other's.
        plain: without the other's stride, padding and dilation, as a 1x1 convolution behind it is.
    """
    n_out, n_in = weight.shape[0], weight.shape[1] * groups
    kernel: Any = tuple(weight.shape[2:])
    has_bias = bias is not None
    if plain:
        layer = nn.Conv2d(n_in, n_out, kernel, bias=has_bias, groups=groups)
    else:
        layer = nn.Conv2d(
            n_in, n_out, kernel, conv.stride, conv.padding if padding is None else padding, conv.dilation, groups,  # type: ignore[arg-type]
            has_bias, conv.padding_mode,
        )  # fmt: skip
    layer.weight.data.copy_(weight)
    if layer.bias is not None and bias is not None:
        layer.bias.data.copy_(bias.detach())
    return layer
