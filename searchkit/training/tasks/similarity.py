"""Structural similarity of maps."""

from __future__ import annotations

import torch
from torch.nn import functional

WINDOW, SIGMA = 11, 1.5  # pixels of the window's side, and the deviation of its Gaussian weights
K1, K2 = 0.01, 0.03


def structural_similarity(said: torch.Tensor, y: torch.Tensor, spread: float) -> torch.Tensor:
    """``(n,)`` how alike two maps ``(n, c, h, w)`` look, up to 1: the mean over channels and windows of SSIM.

    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 2004, equation 13,
    with the paper's Gaussian window of 11 pixels, or the largest odd number that fits into smaller maps; only windows
    that lie in the map count. A window's weights are spread over its pixels that have a value of y, and windows without
    a value in their middle do not count.

    Args:
        spread: range of the values, L of the paper.
    """
    side = min(WINDOW, *said.shape[2:])
    side -= (side + 1) % 2
    places = torch.arange(side, dtype=said.dtype, device=said.device) - side // 2
    weights = torch.exp(-places.square() / (2 * SIGMA**2))
    weights = weights / weights.sum()
    there = ~y.isnan()
    said, y, half = torch.where(there, said, 0.0), torch.nan_to_num(y), side // 2

    def summed(maps: torch.Tensor) -> torch.Tensor:
        c = maps.shape[1]
        across = functional.conv2d(maps, weights.view(1, 1, 1, -1).expand(c, 1, 1, side), groups=c)
        return functional.conv2d(across, weights.view(1, 1, -1, 1).expand(c, 1, side, 1), groups=c)

    share = summed(there.to(said.dtype)).clamp(min=1e-12)
    there = there[:, :, half : there.shape[2] - half, half : there.shape[3] - half]

    def mean(maps: torch.Tensor) -> torch.Tensor:
        return summed(maps) / share

    of_said, of_y = mean(said), mean(y)
    varied_said, varied_y = mean(said * said) - of_said.square(), mean(y * y) - of_y.square()
    together = mean(said * y) - of_said * of_y
    c1, c2 = (K1 * spread) ** 2, (K2 * spread) ** 2
    alike = (2 * of_said * of_y + c1) * (2 * together + c2)
    alike = alike / ((of_said.square() + of_y.square() + c1) * (varied_said + varied_y + c2))
    n = there.flatten(1).sum(1)
    return torch.where(n > 0, (alike * there).flatten(1).sum(1) / n.clamp(min=1), torch.nan)
