"""Batch norm and average pooling by searchkit's own kernels while a network trains on a CUDA card.

In a small network's training step, the overhead of each kernel takes more time than the arithmetic. torch's
channels-last kernels for these two layers take several times as long as reading and writing the tensors once
(docs/benchmarks.md, "On a GPU"). Cases that the kernels here do not cover are left to torch, with
:func:`searchkit.runtime.pooling.right_pooling`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from searchkit.errors import first_line_said, is_out_of_memory
from searchkit.runtime.devices import device_errors, is_device_lost

PARTS = 256  # chunks of rows that are summed in parallel: about two for each multiprocessor of a large card
TILE = 8192  # elements that one Triton program processes at once
WARPS = 4
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
MOST = 2**31  # elements that the kernels can address

log = logging.getLogger("searchkit")


@contextmanager
def card_layers(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Inside, batch norms and average pools of the network use these kernels; on other devices nothing changes.

    Only layers that are exactly ``nn.BatchNorm2d`` or ``nn.AvgPool2d`` and whose ``forward`` was not replaced are
    changed. A call that the kernels do not cover (in eval mode, or in another memory format) is passed on to torch.
    """
    with device_errors(device):
        use = device.type == "cuda" and _usable(device)
    if not use:
        yield
        return
    changed: list[nn.Module] = []
    try:
        for layer in network.modules():
            if "forward" in layer.__dict__:
                continue
            if type(layer) is nn.BatchNorm2d and _takes_batch_norm(layer):
                layer.__dict__["forward"] = functools.partial(_batch_norm, layer)
            elif type(layer) is nn.AvgPool2d and _radius(layer) is not None:
                layer.__dict__["forward"] = functools.partial(_average_pool, layer)
            else:
                continue
            changed.append(layer)
        yield
    finally:
        for layer in changed:
            layer.__dict__.pop("forward", None)


@functools.cache
def _usable(device: torch.device) -> bool:
    """Whether the kernels can be compiled here (Triton needs a C compiler) and give the same results as torch."""
    try:
        with torch.cuda.device(device), torch.enable_grad():
            agree(device)
    except Exception as error:
        if is_out_of_memory(error) or is_device_lost(error):
            raise
        log.info("torch's batch norm and pooling are used, since searchkit's kernels fail: %s", first_line_said(error))
        return False
    return True


def agree(device: torch.device) -> None:
    """Compare outputs and gradients of both layers with those of torch on the CPU, for a small tensor.

    Raises:
        ImportError: Triton is not installed.
        AssertionError: they differ.
    """
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(3, 12, 5, 7, generator=generator) for _ in range(2))
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    for layer, kernel in ((nn.BatchNorm2d(12), _batch_norm), (pool, _average_pool)):
        found = []
        for there, forward in ((torch.device("cpu"), type(layer).forward), (device, kernel)):
            leaf = x.to(there, memory_format=torch.channels_last, copy=True).requires_grad_()
            y = forward(layer.to(there), leaf)  # type: ignore[arg-type]
            y.backward(dy.to(there))  # type: ignore[no-untyped-call]
            assert leaf.grad is not None
            found.append((y.detach().cpu(), leaf.grad.cpu()))
        torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


def _takes_batch_norm(layer: nn.BatchNorm2d) -> bool:
    return layer.affine and layer.track_running_stats and layer.momentum is not None


def _radius(layer: nn.AvgPool2d) -> int | None:
    """Radius of the window of a pool that averages a square around each pixel and keeps the size; None for others."""
    kernel, stride, padding = (_single(value) for value in (layer.kernel_size, layer.stride, layer.padding))
    if kernel is None or kernel % 2 == 0 or stride != 1 or padding != kernel // 2 or layer.divisor_override:
        return None
    return kernel // 2


def _single(value: Any) -> int | None:
    """The number, if it is the same for height and width; else None."""
    if isinstance(value, int):
        return value
    return value[0] if len(set(value)) == 1 else None


def _fits(x: Tensor) -> bool:
    return (
        x.ndim == 4
        and x.dtype in DTYPES
        and 0 < x.numel() < MOST
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _batch_norm(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    fits = layer.training and _fits(x) and x.numel() > x.shape[1] and layer.weight.dtype == torch.float32
    if not fits:
        return nn.BatchNorm2d.forward(layer, x)
    y: Tensor = _BatchNorm.apply(x, layer.weight, layer.bias, layer)  # type: ignore[no-untyped-call]
    return y


def _average_pool(layer: nn.AvgPool2d, x: Tensor) -> Tensor:
    radius = _radius(layer)
    if radius is None or not _fits(x):
        return nn.AvgPool2d.forward(layer, x)
    y: Tensor = _AveragePool.apply(x, radius, layer.count_include_pad)  # type: ignore[no-untyped-call]
    return y


def _channels_block(channels: int) -> int:
    """Channels per Triton program: a power of two, as Triton requires, from 4 to 64."""
    return min(64, max(4, 1 << (channels - 1).bit_length()))


class _BatchNorm(torch.autograd.Function):
    """Batch norm in training, two kernels each way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: nn.BatchNorm2d) -> Tensor:
        from searchkit.training import triton_kernels as kernels

        n, channels, height, width = x.shape
        rows, block_c = n * height * width, _channels_block(channels)
        block_m, columns = TILE // block_c, -(-channels // block_c)
        chunk = -(-rows // (PARTS * block_m)) * block_m
        parts = -(-rows // chunk)
        means, squares = x.new_empty((2, parts, channels), dtype=torch.float32)
        mean, scale = x.new_empty((2, channels), dtype=torch.float32)
        y = torch.empty_like(x, memory_format=torch.channels_last)
        kernels.moments[(parts, columns)](
            x, means, squares, rows, channels, chunk, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=WARPS
        )
        programs = min(PARTS, -(-rows // block_m))
        kernels.normalise[(programs, columns)](
            x, y, weight, bias, means, squares, mean, scale, layer.running_mean, layer.running_var,
            layer.num_batches_tracked, rows, channels, parts, chunk, layer.eps, layer.momentum,
            PARTS=PARTS, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=WARPS,
        )  # fmt: skip
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.grid = (rows, channels, chunk, parts, programs, columns, block_m, block_c)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        from searchkit.training import triton_kernels as kernels

        x, weight, mean, scale = ctx.saved_tensors
        rows, channels, chunk, parts, programs, columns, block_m, block_c = ctx.grid
        dy = dy.contiguous(memory_format=torch.channels_last)
        sums, products = x.new_empty((2, parts, channels), dtype=torch.float32)
        d_weight, d_bias = x.new_empty((2, channels), dtype=torch.float32)
        dx = torch.empty_like(x, memory_format=torch.channels_last)
        kernels.gradient_sums[(parts, columns)](
            x, dy, mean, sums, products, rows, channels, chunk, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=WARPS
        )
        kernels.normalise_backward[(programs, columns)](
            x, dy, dx, weight, mean, scale, sums, products, d_weight, d_bias, rows, channels, parts,
            PARTS=PARTS, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=WARPS,
        )  # fmt: skip
        return dx, d_weight, d_bias, None


class _AveragePool(torch.autograd.Function):
    """Mean over a window around each pixel, one kernel each way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, radius: int, padded: bool) -> Tensor:
        ctx.setting = radius, padded
        return _window_mean(x, radius, padded, backward=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None]:
        radius, padded = ctx.setting
        return _window_mean(dy.contiguous(memory_format=torch.channels_last), radius, padded, backward=True), None, None


def _window_mean(x: Tensor, radius: int, padded: bool, backward: bool) -> Tensor:
    from searchkit.training import triton_kernels as kernels

    n, channels, height, width = x.shape
    rows, block_c = n * height * width, _channels_block(channels)
    block_m = max(1, 2048 // block_c)
    y = torch.empty_like(x, memory_format=torch.channels_last)
    kernels.window_mean[(-(-rows // block_m), -(-channels // block_c))](
        x, y, rows, height, width, channels,
        RADIUS=radius, PADDED=padded, BACKWARD=backward, BLOCK_M=block_m, BLOCK_C=block_c, num_warps=4,
    )  # fmt: skip
    return y
