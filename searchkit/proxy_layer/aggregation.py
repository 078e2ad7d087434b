"""One aggregate of several proxies: ranks within a fixed sample, weighted by label-free votes, then by observations.

Ranks are quantiles within a fixed reference sample, since ranks within the population would change with it. The
aggregate is the weighted sum of the logarithms of the quantiles, in which one bad rank outweighs one good one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from searchkit.problem.ranks import ndcg, rank_correlation
from searchkit.types import Floats

PRIOR_RHO = 0.5  # assumed rank correlation of a proxy before anything is observed
PRIOR_WEIGHT = 4.0  # number of observations that this prior counts as
CONFIDENCE = 0.95
TOP = 1 / 3  # share of what a signal says among the good ones in what is believed of it


@dataclass(frozen=True)
class Reference:
    """Scores of a fixed sample of candidates, within which others are ranked.

    Args:
        scores: ``(r, p)``, NaN where a proxy cannot score; such a candidate ranks lowest.
    """

    scores: Floats

    def quantiles(self, scores: Floats) -> Floats:
        """``(n, p)`` in (0, 1), higher is better; interpolated, and extrapolated beyond the best and the worst."""
        columns = [self._column(self.scores[:, j], scores[:, j]) for j in range(scores.shape[1])]
        return np.column_stack(columns) if columns else np.empty((len(scores), 0))

    @staticmethod
    def _column(known: Floats, new: Floats) -> Floats:
        r = len(known)
        finite = np.isfinite(known)
        values, counts = np.unique(known[finite], return_counts=True)
        if len(values) < 2:
            return np.full(len(new), 0.5)
        n_lost = int((~finite).sum())
        places = (n_lost + np.cumsum(counts) - 0.5 * counts) / r
        quantiles = np.interp(new, values, places)
        # beyond the sample: towards 0 and 1 with the distance in units of the spread
        spread = float(np.subtract(*np.percentile(values, [90, 10]))) or float(np.ptp(values))
        above, below = np.maximum(new - values[-1], 0), np.maximum(values[0] - new, 0)
        quantiles = 1 - (1 - quantiles) / (1 + above / spread)
        quantiles = quantiles / (1 + below / spread)
        lowest = max(n_lost, 1) / (2 * r)
        result: Floats = np.where(np.isnan(new), lowest, quantiles)
        return np.clip(result, 1e-4, 1 - 1e-4)


def log_rank(quantiles: Floats, weights: Floats) -> Floats:
    """``(n,)`` weighted sum of log quantiles; higher is better."""
    total: Floats = np.log(quantiles) @ weights
    return total


@dataclass(frozen=True)
class Trust:
    """How well one proxy predicted so far.

    Attributes:
        rho: rank correlation with the observed values, higher is better; NaN with fewer than three observations.
        low, high: its 95 % interval.
        top: the same correlation, in which each candidate counts by its rank (:func:`top_correlation`).
        ndcg: how good the tenth is that it says is best, from 0 to 1 (:func:`searchkit.problem.ranks.ndcg`).
        belief: the estimated correlation from prior and observations together.
        weight: its share in the aggregate.
    """

    rho: float
    low: float
    high: float
    top: float
    ndcg: float
    belief: float
    weight: float


def trusts(quantiles: Floats, observed: Floats, votes: Floats) -> list[Trust]:
    """One per proxy, from quantiles ``(n, p)`` and values ``(n,)`` of n observed candidates, higher is better.

    Belief is the mean of Fisher's z of the prior and of the observations, weighted by their numbers (Fieller's variance
    for Spearman's rho, 1.06 / (n - 3)). A third of what the observations say is what they say among the good
    ones (:func:`top_correlation`): a signal that only tells the good from the bad finds no best one. The weight is
    proportional to the vote times the square of belief, and zero for negative belief: a proxy of correlation 0 or below
    loses its weight within 20 observations.
    """
    n, p = quantiles.shape
    found = []
    for j in range(p):
        rho, low, high, top, gain, belief = np.nan, -1.0, 1.0, np.nan, np.nan, PRIOR_RHO
        if n >= 3:
            rho = rank_correlation(quantiles[:, j], observed)
            z, certainty = fisher_z(rho), max(n - 3, 0) / 1.06  # Fieller
            top, gain = top_correlation(quantiles[:, j], observed), ndcg(quantiles[:, j], observed)
            seen = (1 - TOP) * z + TOP * fisher_z(top)
            belief = (PRIOR_WEIGHT * np.arctanh(PRIOR_RHO) + certainty * seen) / (PRIOR_WEIGHT + certainty)
            belief = float(np.tanh(belief))
            if certainty:
                margin = norm.ppf(0.5 + CONFIDENCE / 2) / np.sqrt(certainty)
                low, high = float(np.tanh(z - margin)), float(np.tanh(z + margin))
        found.append((rho, low, high, top, gain, belief))
    strength = np.array([max(belief, 0.0) ** 2 for *_, belief in found])
    weights = votes * strength
    weights = weights / (weights.sum() or 1.0)
    return [Trust(*entry, weight=float(weight)) for entry, weight in zip(found, weights, strict=True)]


def fisher_z(rho: float) -> float:
    """Fisher's z of a correlation; finite for 1, too."""
    return float(np.arctanh(np.clip(rho, -0.999, 0.999)))


def top_correlation(signal: Floats, observed: Floats) -> float:
    """Spearman's rho in which each candidate counts by its rank in what was observed: the best n times as much as the
    worst; 0 where one of the two is constant."""
    if np.ptp(signal) == 0 or np.ptp(observed) == 0:
        return 0.0
    a, b = rankdata(signal), rankdata(observed)
    weights = b / b.sum()
    a, b = a - weights @ a, b - weights @ b
    return float((weights * a) @ b / np.sqrt((weights @ a**2) * (weights @ b**2)))
