"""Rank correlations, and how a table says them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr


def rho(a: Any, b: Any) -> float:
    """Spearman's."""
    return float(spearmanr(a, b)[0])


def spread(values: Sequence[float]) -> str:
    """The mean, and the lowest in brackets."""
    return f"{np.mean(values):.3f} ({min(values):.3f})"
