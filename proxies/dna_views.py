"""Two views of images for self-supervised learning: random brightness, contrast, noise and small shifts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from searchkit.runtime.devices import placed

CONTRAST, BRIGHTNESS, NOISE = 0.4, 0.4, 0.1  # of normalised images: half ranges, and a deviation


def two_views(x: Tensor, shift: int, *, flip: bool) -> tuple[Tensor, Tensor]:
    """Both ``(n, c, h, w)``, of normalised images; drawn from the generator of their device.

    Both are cut at one place, an eighth of the side around the middle, and mirrored alike, so that their maps can be
    compared place by place. Each is moved by up to ``shift`` pixels more, so that a block with stride 2 does not see
    the same pixels in both.
    """
    n, _, height, width = x.shape
    pad = min(height, width) // 8
    padded = functional.pad(x, (pad + shift,) * 4).permute(0, 2, 3, 1)
    here = x.device
    top, left = (torch.randint(0, 2 * pad + 1, (n,), device=here) + shift for _ in range(2))
    mirrored = torch.rand(n, device=here) < 0.5 if flip else torch.zeros(n, dtype=torch.bool, device=here)
    first, second = (_lit(_cut(padded, top, left, mirrored, shift, (height, width))) for _ in range(2))
    return first, second


def _cut(padded: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, shift: int, size: tuple[int, int]) -> Tensor:
    n, here = len(padded), padded.device
    moved = torch.randint(-shift, shift + 1, (2, n), device=here)
    rows = (top + moved[0])[:, None] + torch.arange(size[0], device=here)
    columns = (left + moved[1])[:, None] + torch.arange(size[1], device=here)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    at = torch.arange(n, device=here)[:, None, None], rows[:, :, None], columns[:, None, :]
    return padded[at].permute(0, 3, 1, 2)


def _lit(x: Tensor) -> Tensor:
    """Contrast per image, brightness per image and channel, and noise."""
    n, c = x.shape[:2]
    contrast = 1 + CONTRAST * (2 * torch.rand(n, 1, 1, 1, device=x.device) - 1)
    brightness = BRIGHTNESS * (2 * torch.rand(n, c, 1, 1, device=x.device) - 1)
    lit = x * contrast + brightness + NOISE * torch.randn(x.shape, device=x.device)
    return placed(lit, x.device)
