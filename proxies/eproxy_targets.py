"""The synthetic maps that Eproxy's regression is about: waves, dots, and the features of a random network."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from searchkit.proxies.eproxy_setting import FAMILIES, Branch, EproxySetting
from searchkit.scoring.passes.inputs import ProxyInputs

_TARGET = 13  # stream of random numbers
FREQUENCIES = {"wave_l": (0.0, 0.125), "wave_m": (0.125, 0.35), "wave_h": (0.375, 0.4875)}  # cycles per pixel
_NET_WIDTH = 64


def target(
    branch: Branch, position: int, setting: EproxySetting, inputs: ProxyInputs, size: tuple[int, int] | None = None
) -> Tensor:
    """``(batch, last_channels, *size)``: the sum of the branch's families times its level, on the CPU.

    Args:
        size: height and width; None: the side of the setting for both.
    """
    shape = (setting.batch, branch.last_channels, *(size or (setting.side, setting.side)))
    total = torch.zeros(shape)
    for family in branch.families:
        generator = inputs.generator(_TARGET, position, FAMILIES.index(family))
        if family == "dot":
            total += torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0
        elif family == "net":
            total += _random_features(inputs.augmented(setting.batch).cpu(), shape, generator)
        else:
            total += waves(shape, *FREQUENCIES[family], generator)
    return total * branch.level


def waves(shape: tuple[int, ...], lowest: float, highest: float, generator: torch.Generator) -> Tensor:
    """sin(2 pi (fx x + fy y) + phase), each image and channel with frequencies and a phase of its own.

    A random phase covers sines and cosines, a random sign of fy the mirrored waves.
    """
    n, c, height, width = shape
    frequency = lowest + (highest - lowest) * torch.rand(2, n, c, 1, 1, generator=generator)
    sign = torch.randint(0, 2, (n, c, 1, 1), generator=generator) * 2.0 - 1.0
    phase = 2 * math.pi * torch.rand(n, c, 1, 1, generator=generator)
    x = torch.arange(width, dtype=torch.float32)
    y = torch.arange(height, dtype=torch.float32).view(-1, 1)
    return torch.sin(2 * math.pi * (frequency[0] * x + sign * frequency[1] * y) + phase)


def _random_features(images: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Two random convolutions with ReLUs over the resized images, each channel normalised."""
    images = images if images.ndim == 4 else images.unsqueeze(2)  # a signal is an image of one row
    x = functional.interpolate(images, size=shape[2:], mode="bilinear", align_corners=False)
    for n_out in (_NET_WIDTH, shape[1]):
        weight = torch.randn(n_out, x.shape[1], 3, 3, generator=generator) * math.sqrt(2 / (9 * x.shape[1]))
        x = functional.conv2d(x, weight, padding=1).relu()
    deviation = x.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-6)
    return (x - x.mean(dim=(0, 2, 3), keepdim=True)) / deviation
