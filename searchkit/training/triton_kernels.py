"""Triton kernels for batch norm and average pooling of channels-last tensors; imported only if Triton is installed.

A tensor ``(n, c, h, w)`` in channels-last format is a matrix of ``n h w`` rows and ``c`` columns here. A kernel's first
program axis is over rows, the second over blocks of channels. Pointers are to contiguous memory.
"""
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments(x, means, squares, rows, channels, chunk, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr):
    """Mean and sum of squared deviations per channel of each chunk of rows, ``(chunks, channels)``.

    Blocks of rows are combined by the update formula of Chan, Golub and LeVeque (1979), which avoids cancellation.
    """
    part = tl.program_id(0)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    start = part * chunk
    end = tl.minimum(start + chunk, rows)
    n = 0.0
    mean = tl.zeros([BLOCK_C], dtype=tl.float32)
    square = tl.zeros([BLOCK_C], dtype=tl.float32)
    for row in range(start, end, BLOCK_M):
        r = row + tl.arange(0, BLOCK_M)
        there = (r < end)[:, None] & (c < channels)[None, :]
        v = tl.load(x + r[:, None] * channels + c[None, :], mask=there, other=0.0).to(tl.float32)
        k = tl.minimum(end - row, BLOCK_M).to(tl.float32)
        middle = tl.sum(v, 0) / k
        away = tl.where(there, v - middle[None, :], 0.0)
        apart = middle - mean  # Chan, Golub and LeVeque (1979): combine the moments of n rows with those of k more
        mean += apart * (k / (n + k))
        square += tl.sum(away * away, 0) + apart * apart * (n * k / (n + k))
        n += k
    at = part * channels + c
    tl.store(means + at, mean, mask=c < channels)
    tl.store(squares + at, square, mask=c < channels)


@triton.jit
def normalise(
    x, y, weight, bias, means, squares, mean_out, scale_out, running_mean, running_var, batches,
    rows, channels, parts, chunk, eps, momentum,
    PARTS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """``y = (x - mean) / sqrt(var + eps) * weight + bias`` with the moments of all chunks; updates running statistics.

    Every program combines the moments of all chunks itself; the first one of each block of channels stores the result.
    """
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    real = c < channels
    p = tl.arange(0, PARTS)
    known = (p < parts)[:, None] & real[None, :]
    n = tl.maximum(tl.minimum(rows - p * chunk, chunk), 0).to(tl.float32)
    at = p[:, None] * channels + c[None, :]
    middles = tl.load(means + at, mask=known, other=0.0)
    mean = tl.sum(middles * n[:, None], 0) / rows
    apart = tl.where(known, middles - mean[None, :], 0.0)
    square = tl.sum(tl.load(squares + at, mask=known, other=0.0) + apart * apart * n[:, None], 0)
    scale = 1.0 / tl.sqrt(square / rows + eps)
    if tl.program_id(0) == 0:
        tl.store(mean_out + c, mean, mask=real)
        tl.store(scale_out + c, scale, mask=real)
        before = tl.load(running_mean + c, mask=real)
        tl.store(running_mean + c, before + momentum * (mean - before), mask=real)
        before = tl.load(running_var + c, mask=real)
        tl.store(running_var + c, before + momentum * (square / (rows - 1) - before), mask=real)
        if tl.program_id(1) == 0:
            tl.store(batches, tl.load(batches) + 1)
    gain = scale * tl.load(weight + c, mask=real, other=0.0)
    shift = tl.load(bias + c, mask=real, other=0.0) - mean * gain
    for row in range(tl.program_id(0) * BLOCK_M, rows, tl.num_programs(0) * BLOCK_M):
        r = row + tl.arange(0, BLOCK_M)
        there = (r < rows)[:, None] & real[None, :]
        where = r[:, None] * channels + c[None, :]
        v = tl.load(x + where, mask=there, other=0.0).to(tl.float32)
        tl.store(y + where, (v * gain[None, :] + shift[None, :]).to(y.dtype.element_ty), mask=there)


@triton.jit
def gradient_sums(x, dy, mean, sums, products, rows, channels, chunk, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sums of ``dy`` and of ``dy (x - mean)`` per channel of each chunk of rows, ``(chunks, channels)``."""
    part = tl.program_id(0)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    real = c < channels
    start = part * chunk
    end = tl.minimum(start + chunk, rows)
    middle = tl.load(mean + c, mask=real, other=0.0)
    total = tl.zeros([BLOCK_C], dtype=tl.float32)
    product = tl.zeros([BLOCK_C], dtype=tl.float32)
    for row in range(start, end, BLOCK_M):
        r = row + tl.arange(0, BLOCK_M)
        there = (r < end)[:, None] & real[None, :]
        where = r[:, None] * channels + c[None, :]
        v = tl.load(x + where, mask=there, other=0.0).to(tl.float32)
        g = tl.load(dy + where, mask=there, other=0.0).to(tl.float32)
        total += tl.sum(g, 0)
        product += tl.sum(g * (v - middle[None, :]), 0)
    at = part * channels + c
    tl.store(sums + at, total, mask=real)
    tl.store(products + at, product, mask=real)


@triton.jit
def normalise_backward(
    x, dy, dx, weight, mean, scale, sums, products, d_weight, d_bias, rows, channels, parts,
    PARTS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Gradients of batch norm, from the sums over all chunks; Ioffe and Szegedy (2015), section 3."""
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    real = c < channels
    p = tl.arange(0, PARTS)
    known = (p < parts)[:, None] & real[None, :]
    at = p[:, None] * channels + c[None, :]
    total = tl.sum(tl.load(sums + at, mask=known, other=0.0), 0)
    product = tl.sum(tl.load(products + at, mask=known, other=0.0), 0)
    s = tl.load(scale + c, mask=real, other=0.0)
    if tl.program_id(0) == 0:
        tl.store(d_weight + c, product * s, mask=real)
        tl.store(d_bias + c, total, mask=real)
    middle = tl.load(mean + c, mask=real, other=0.0)
    gain = s * tl.load(weight + c, mask=real, other=0.0)
    slope = product * s * s / rows
    level = total / rows
    for row in range(tl.program_id(0) * BLOCK_M, rows, tl.num_programs(0) * BLOCK_M):
        r = row + tl.arange(0, BLOCK_M)
        there = (r < rows)[:, None] & real[None, :]
        where = r[:, None] * channels + c[None, :]
        v = tl.load(x + where, mask=there, other=0.0).to(tl.float32)
        g = tl.load(dy + where, mask=there, other=0.0).to(tl.float32)
        out = (g - level[None, :] - (v - middle[None, :]) * slope[None, :]) * gain[None, :]
        tl.store(dx + where, out.to(dx.dtype.element_ty), mask=there)


@triton.jit
def window_mean(
    x, y, rows, height, width, channels,
    RADIUS: tl.constexpr, PADDED: tl.constexpr, BACKWARD: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Mean over a square window of ``2 RADIUS + 1`` pixels around each pixel, or (BACKWARD) its gradient.

    PADDED: pixels outside count as zeros; otherwise the mean is over those inside. The window is symmetric, so the
    gradient of a pixel is the sum over the same window of the gradients, each divided by its own count.
    """
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    r = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    w = r % width
    h = (r // width) % height
    mine = (r < rows)[:, None] & (c < channels)[None, :]
    total = tl.zeros([BLOCK_M, BLOCK_C], dtype=tl.float32)
    for down in tl.static_range(-RADIUS, RADIUS + 1):
        for right in tl.static_range(-RADIUS, RADIUS + 1):
            i, j = h + down, w + right
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            at = (r + down * width + right)[:, None] * channels + c[None, :]
            v = tl.load(x + at, mask=mine & inside[:, None], other=0.0).to(tl.float32)
            if BACKWARD and not PADDED:
                n_rows = tl.minimum(i + RADIUS, height - 1) - tl.maximum(i - RADIUS, 0) + 1
                n_columns = tl.minimum(j + RADIUS, width - 1) - tl.maximum(j - RADIUS, 0) + 1
                v = v / tl.where(inside, n_rows * n_columns, 1).to(tl.float32)[:, None]
            total += v
    if PADDED:
        total = total / ((2 * RADIUS + 1) * (2 * RADIUS + 1))
    elif not BACKWARD:
        n_rows = tl.minimum(h + RADIUS, height - 1) - tl.maximum(h - RADIUS, 0) + 1
        n_columns = tl.minimum(w + RADIUS, width - 1) - tl.maximum(w - RADIUS, 0) + 1
        total = total / (n_rows * n_columns).to(tl.float32)[:, None]
    tl.store(y + r[:, None] * channels + c[None, :], total.to(y.dtype.element_ty), mask=mine)
