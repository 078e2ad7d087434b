"""Convolutions and linear layers in place of dearer ones, with weights made from theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from searchkit.compression.layers import convolution_like, linear_of
from searchkit.compression.narrowing import MULTIPLE
from searchkit.runtime.copies import copied
from searchkit.runtime.submodules import put

Layer = nn.Conv2d | nn.Linear
Change = Callable[[Layer], nn.Module | None]


def changed(module: nn.Module, change: Change) -> nn.Module | None:
    """A copy of a module in which layers are replaced; None where no layer can be.

    Args:
        change: what stands in place of a layer, or None.
    """
    if isinstance(module, nn.Conv2d | nn.Linear) and _is_plain(module):
        return change(module)
    smaller, any_changed = copied(module), False
    for name, layer in list(plain_layers(smaller)):
        other = change(layer)
        if other is not None:
            put(smaller, name, other)
            any_changed = True
    return smaller if any_changed else None


def plain_layers(module: nn.Module) -> Iterator[tuple[str, Layer]]:
    """The convolutions and linear layers inside a module that torch's own code runs, with their names."""
    for name, layer in module.named_modules():
        if name and isinstance(layer, nn.Conv2d | nn.Linear) and _is_plain(layer):
            yield name, layer


def _is_plain(layer: nn.Module) -> bool:
    own = (nn.Conv2d.forward, nn.Linear.forward)
    weights = {name for name, _ in layer.named_parameters(recurse=False)}
    return type(layer).forward in own and "weight" in weights <= {"weight", "bias"}


def _is_dense(layer: Layer) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == 1 and max(layer.kernel_size) > 1 and layer.in_channels > 1


def separable(layer: Layer) -> nn.Module | None:
    """A depthwise convolution and a 1x1 behind it, of each input channel's kernels the best approximation of rank 1."""
    if not isinstance(layer, nn.Conv2d) or not _is_dense(layer):
        return None
    weight = layer.weight.detach()
    kernels = weight.transpose(0, 1).flatten(2)  # (in, out, taps)
    u, s, v = torch.linalg.svd(kernels.double(), full_matrices=False)
    root = s[:, 0].sqrt()
    taps = (root[:, None] * v[:, 0]).reshape(-1, 1, *layer.kernel_size).to(weight)
    mixed = (root[:, None] * u[:, :, 0]).T[:, :, None, None].to(weight)
    depthwise = convolution_like(layer, taps, bias=None, groups=layer.in_channels)
    return nn.Sequential(depthwise, convolution_like(layer, mixed, bias=layer.bias, plain=True))


def grouped(groups: int) -> Change:
    """A convolution in groups, with the original's weights between the channels of a group."""

    def change(layer: Layer) -> nn.Module | None:
        if not isinstance(layer, nn.Conv2d) or not _is_dense(layer):
            return None
        if layer.in_channels % groups or layer.out_channels % groups:
            return None
        outs = layer.weight.detach().chunk(groups, 0)
        blocks = [part.chunk(groups, 1)[i] for i, part in enumerate(outs)]
        return convolution_like(layer, torch.cat(blocks), bias=layer.bias, groups=groups)

    return change


def smaller_kernel(size: int) -> Change:
    """A smaller kernel; taps beyond its edge are added to the nearest that is left."""

    def change(layer: Layer) -> nn.Module | None:
        if not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
            return None
        over = [(k - size) // 2 for k in layer.kernel_size]
        if any(k <= size or k % 2 == 0 for k in layer.kernel_size):
            return None
        padding = tuple(p - o * d for p, o, d in zip(layer.padding, over, layer.dilation, strict=True))
        if min(padding) < 0:
            return None
        weight = layer.weight.detach()
        for axis, o in enumerate(over):
            at = (torch.arange(size + 2 * o) - o).clamp(0, size - 1)
            shape = list(weight.shape)
            shape[2 + axis] = size
            weight = torch.zeros(shape).index_add(2 + axis, at, weight)
        return convolution_like(layer, weight, bias=layer.bias, groups=layer.groups, padding=padding)

    return change


def low_rank(share: float, output: Tensor | None = None) -> Change:
    """Two layers with fewer channels in between, of a share of the original's weights.

    Args:
        output: ``(n, out, h, w)`` or ``(..., out)``, what the layer gives; the channels in between are the outputs'
            principal components. Without it the approximation of the weights is the nearest in squares.
    """

    def change(layer: Layer) -> nn.Module | None:
        is_conv = isinstance(layer, nn.Conv2d)
        if isinstance(layer, nn.Conv2d) and layer.groups != 1:
            return None
        weight = layer.weight.detach()
        flat = weight.flatten(1)
        n_out, n_in = flat.shape
        rank = int(share * n_out * n_in / (n_out + n_in))
        rank = rank // MULTIPLE * MULTIPLE if rank >= MULTIPLE else rank
        if rank < 1:
            return None
        basis, mean = _basis(flat, rank, output, 1 if is_conv else -1)
        first, bias = basis.T @ flat, None if layer.bias is None else layer.bias.detach()
        if mean is not None:  # mean + U U^T (y - mean)
            given = torch.zeros(n_out) if bias is None else bias
            bias = mean + basis @ (basis.T @ (given - mean))
        if isinstance(layer, nn.Conv2d):
            narrow = convolution_like(layer, first.reshape(rank, *weight.shape[1:]), bias=None)
            return nn.Sequential(narrow, convolution_like(layer, basis[:, :, None, None], bias=bias, plain=True))
        return nn.Sequential(linear_of(first, None), linear_of(basis, bias))

    return change


def _basis(flat: Tensor, rank: int, output: Tensor | None, axis: int) -> tuple[Tensor, Tensor | None]:
    """``(out, rank)`` orthonormal directions of the output that are kept, and the mean ``(out,)`` around which."""
    if output is not None:
        rows = output.movedim(axis, -1).flatten(0, -2).double()
        if len(rows) >= 2 * rows.shape[1]:
            mean = rows.mean(0)
            u = torch.linalg.eigh(torch.cov(rows.T)).eigenvectors.flip(1)[:, :rank]
            return u.to(flat), mean.to(flat)
    u = torch.linalg.svd(flat.double(), full_matrices=False).U[:, :rank]
    return u.to(flat), None
