"""Layers that several spaces build, with their exact costs: convolution with batch norm, squeeze, inverted residual."""

from __future__ import annotations

from torch import Tensor, nn

_REDUCTION = 4  # channels per hidden channel of squeeze-and-excitation


def divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and the one above where that takes away over a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def conv_norm(n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution with "same" padding and its batch norm."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(n_out)


class Squeeze(nn.Module):
    """Squeeze-and-excitation: every channel times a factor in [0, 1] that is computed from all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = divisible(channels // _REDUCTION)
        self.factors = nn.Sequential(
            nn.Conv2d(channels, middle, 1), nn.ReLU(), nn.Conv2d(middle, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.factors(x.mean(dim=(2, 3), keepdim=True))
        return y


def squeeze_costs(channels: int) -> tuple[int, int]:
    """Parameters and MACs of a :class:`Squeeze`."""
    middle = divisible(channels // _REDUCTION)
    weights = 2 * channels * middle
    return weights + middle + channels, weights


class InvertedResidual(nn.Module):
    """1x1 expansion to ``hidden``, depthwise convolution, 1x1 projection; plus its input where the shape is kept.

    Where ``hidden`` is the number of input channels there is no expansion.
    """

    def __init__(
        self, n_in: int, hidden: int, n_out: int, *, kernel: int, stride: int, squeeze: bool, hard_swish: bool = False
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if hard_swish else nn.ReLU
        expansion = () if hidden == n_in else (*conv_norm(n_in, hidden, 1), activation())
        self.body = nn.Sequential(
            *expansion,
            *conv_norm(hidden, hidden, kernel, stride, groups=hidden),
            activation(),
            *([Squeeze(hidden)] if squeeze else []),
            *conv_norm(hidden, n_out, 1),
        )
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def inverted_costs(
    n_in: int, hidden: int, n_out: int, *, kernel: int, before: int, after: int, squeeze: bool
) -> tuple[int, int]:
    """Parameters and MACs of an :class:`InvertedResidual`; ``before`` and ``after`` are its numbers of pixels."""
    expanded = hidden != n_in
    expand = n_in * hidden if expanded else 0
    rest = kernel**2 * hidden + hidden * n_out
    norms = 2 * ((2 if expanded else 1) * hidden + n_out)
    params, macs = squeeze_costs(hidden) if squeeze else (0, 0)
    return params + expand + rest + norms, macs + expand * before + rest * after
