"""Inputs and targets in the scale in which networks learn them."""

from __future__ import annotations

import torch

from searchkit.data.data import Data
from searchkit.data.targets import Moments
from searchkit.runtime.devices import placed


class Normaliser:
    """Compute ``(x - mean) / std`` per channel or feature, in float32 on the device; tokens stay as they are."""

    def __init__(self, data: Data, device: torch.device) -> None:
        self.passes = data.kind == "tokens"
        if self.passes:
            return
        shape = (1, -1, *[1] * (data.train.x.ndim - 2))
        self.mean = torch.tensor(data.mean, device=device).view(shape)
        self.scale = 1.0 / torch.tensor(data.std, device=device).view(shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.passes:
            return x
        made = placed(x, x.device).float()
        return self.in_place(made) if x.dtype == torch.uint8 else (made - self.mean) * self.scale  # bytes were copied

    def in_place(self, x: torch.Tensor) -> torch.Tensor:
        """The same of float32 values, which it overwrites."""
        return x.sub_(self.mean).mul_(self.scale)


def targets(data: Data, y: torch.Tensor) -> torch.Tensor:
    """Targets of training, ``(n, ...)``: labels and masks unchanged, quantities and maps standardised in float32."""
    return y if data.target is None else standardised(y, data.target)


def standardised(y: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Quantities ``(n,)`` or ``(n, k)``, or maps ``(n, k, h, w)``, without their mean and in deviations, in float32."""
    if len(moments.mean) == 1:
        return ((y - moments.mean[0]) / moments.std[0]).float()
    shape = (1, -1, *[1] * (y.ndim - 2))
    mean, std = (torch.tensor(values, dtype=torch.float64).view(shape) for values in (moments.mean, moments.std))
    return ((y - mean.to(y.device)) / std.to(y.device)).float()


def averaging_one(weight: torch.Tensor) -> torch.Tensor:
    """``(n,)`` the weights in float32, scaled so that their mean is 1."""
    share = weight / weight.max()  # at most 1 each, so that their sum cannot overflow
    return (share / share.mean()).float()
