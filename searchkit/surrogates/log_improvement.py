"""The logarithm of the expected improvement and its derivatives, at any distance from the best.

Ament, Daulton, Eriksson, Balandat and Bakshy, Unexpected improvements to expected improvement for Bayesian
optimization (NeurIPS 2023): far from the best the improvement itself is 0 in floating point, so that nothing tells
where to go; its logarithm is not. Losses: lower is better.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from searchkit.types import Floats

FAR = -50.0  # deviations below which a series replaces a difference of nearly equal numbers
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


def log_improvement(mean: Floats, std: Floats, best: float) -> tuple[Floats, Floats, Floats]:
    """``(n,)`` log E[max(best - X, 0)] of normal X, and its derivatives by the mean and by the deviation."""
    z = (best - mean) / std
    value, share = _log_h(z)
    return value + np.log(std), -share / std, (1.0 - z * share) / std


def _log_h(z: Floats) -> tuple[Floats, Floats]:
    """``(n,)`` log of h(z) = phi(z) + z Phi(z), and h'(z) / h(z) = Phi(z) / h(z)."""
    near, far = z > -1.0, z < FAR
    direct = np.where(near, z, 0.0)
    chance = ndtr(direct)
    above = np.exp(-0.5 * direct * direct - _LOG_ROOT) + direct * chance
    below = np.where(near, -1.0, z)
    ratio = math.sqrt(math.pi / 2) * erfcx(-below / math.sqrt(2))  # Phi / phi
    inverse = 1.0 / below**2
    series = inverse * (1.0 - 3.0 * inverse + 15.0 * inverse**2)  # of h / phi, by the expansion of Phi / phi
    inner = np.where(far, series, 1.0 + below * ratio)
    value = np.where(near, np.log(above), -0.5 * below * below - _LOG_ROOT + np.log(inner))
    return value, np.where(near, chance / above, ratio / inner)


def log_chance(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """``(n,)`` log P[X <= 0] of normal X, and its derivatives by the mean and by the deviation."""
    z = -mean / std
    value = log_ndtr(z)
    share = np.exp(-0.5 * z * z - _LOG_ROOT - value)  # phi / Phi
    return value, -share / std, -share * z / std
