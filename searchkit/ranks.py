"""Ranks as numbers: what orders alike is alike, and a few networks that learn nothing set no scale."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

from searchkit.space import Floats


def normal_scores(values: Floats) -> Floats:
    """``(n,)`` ranks as quantiles of a normal distribution."""
    scores: Floats = norm.ppf((rankdata(values) - 0.5) / len(values))
    return scores


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rho; 0 where one of the two is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
