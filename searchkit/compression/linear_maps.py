"""The linear map of channels that is nearest to what a block does, fitted by least squares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from searchkit.compression.layers import Projection, linear_of

WIDEST = 4096  # channels of a map that is fitted
_ROWS = 8192  # positions that it is fitted to
_RIDGE = 1e-4  # of the mean square of a channel


def linear_map(fed: Tensor, wanted: Tensor) -> nn.Module | None:
    """A map of the channels at each position from inputs to outputs; None where the shapes allow none.

    Args:
        fed, wanted: ``(n, ...)`` inputs of a block, and its outputs. Channels stand first, ``(n, c, h, w)``, or last;
            where shapes do not tell, whichever fits better.
    """
    fits = [fit for fit in (_channels_last(fed, wanted), _channels_first(fed, wanted)) if fit is not None]
    return min(fits, key=lambda fit: fit[1])[0] if fits else None


def _channels_last(fed: Tensor, wanted: Tensor) -> tuple[nn.Module, float] | None:
    if fed.shape[:-1] != wanted.shape[:-1]:
        return None
    fitted = _fitted(fed.flatten(0, -2), wanted.flatten(0, -2))
    if fitted is None:
        return None
    weight, bias, error = fitted
    return linear_of(weight, bias), error


def _channels_first(fed: Tensor, wanted: Tensor) -> tuple[nn.Module, float] | None:
    if fed.ndim != 4 or wanted.ndim != 4:
        return None
    stride, scale = [], []
    for before, after in zip(fed.shape[2:], wanted.shape[2:], strict=True):
        step, times = max(1, round(before / after)), max(1, after // before)
        if (before + step - 1) // step * times != after:
            return None
        stride.append(step)
        scale.append(times)
    read = fed[:, :, :: stride[0], :: stride[1]]
    given = wanted if scale == [1, 1] else nn.functional.avg_pool2d(wanted, tuple(scale))
    fitted = _fitted(read.movedim(1, -1).flatten(0, 2), given.movedim(1, -1).flatten(0, 2))
    if fitted is None:
        return None
    weight, bias, error = fitted
    layer = Projection(fed.shape[1], wanted.shape[1], (stride[0], stride[1]), (scale[0], scale[1]))
    layer.conv.weight.data.copy_(weight[:, :, None, None])
    made = read.movedim(1, -1).flatten(0, 2) @ weight.T
    mean, variance = made.mean(0), made.var(0, correction=0)
    norm = layer.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.data.copy_((variance + norm.eps).sqrt())  # so that the norm changes nothing but the bias
    norm.bias.data.copy_(mean + bias)
    return layer.eval(), error


def _fitted(fed: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, float] | None:
    """Weight ``(out, in)``, bias ``(out,)`` and relative squared error of the ridge regression of rows on rows."""
    n_in = fed.shape[1]
    if max(n_in, wanted.shape[1]) > WIDEST:
        return None
    step = max(1, len(fed) // _ROWS)
    x, y = fed[::step].double(), wanted[::step].double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x
    gram.diagonal().add_(_RIDGE * float(gram.diagonal().mean()) + 1e-12)
    weight = torch.linalg.solve(gram, x.T @ y).T
    error = float((y - x @ weight.T).square().sum() / y.square().sum().clamp_min(1e-12))
    return weight.to(fed), (y_mean - weight @ x_mean).to(fed), error
