"""Values as normal scores of their ranks, which a few outliers (networks that learn nothing) do not distort."""

from __future__ import annotations

import math

import numpy as np

from searchkit.types import Floats

# columns of the table that says how well signals predicted; see searchkit.proxy_layer.signals.Signals.trust
TRUST = ("proxy", "rho", "low", "high", "top", "ndcg", "belief", "weight")


def normal_scores(values: Floats) -> Floats:
    """``(n,)`` ranks as quantiles of a normal distribution."""
    from scipy.stats import norm, rankdata  # which takes half a second to load, also where nothing is ranked

    scores: Floats = norm.ppf((rankdata(values) - 0.5) / len(values))
    return scores


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rho; 0 where one of the two is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def ndcg(predicted: Floats, values: Floats, share: float = 0.1) -> float:
    """Normalised discounted cumulative gain: how good those are that are predicted to be best; 1 is as good as can be.

    A value's relevance is where it lies between the worst and the best; the discount is logarithmic (Järvelin and
    Kekäläinen, ACM Transactions on Information Systems 20, 2002). Equal predictions share the mean of their relevances.

    Args:
        predicted, values: ``(n,)``, higher is better.
        share: of the values that count, the best predicted ones; at least one.

    Returns:
        in [0, 1]; NaN where all values are equal or there are none.
    """
    if not len(values) or np.ptp(values) == 0:
        return float("nan")
    relevance = (values - values.min()) / np.ptp(values)
    _, place = np.unique(-predicted, return_inverse=True)
    shared = np.bincount(place, relevance) / np.bincount(place)
    best = max(1, math.ceil(share * len(values)))
    discount = 1 / np.log2(np.arange(best) + 2)
    found, ideal = shared[np.sort(place)][:best], np.sort(relevance)[::-1][:best]
    return float((discount * found).sum() / (discount * ideal).sum())


def scores_of(values: Floats, observed: Floats) -> Floats:
    """Normal scores ``(n,)`` of values within the range of those observed ``(m,)``, by interpolation."""
    known, scores = np.sort(observed), np.sort(normal_scores(observed))
    placed: Floats = np.interp(values, known, scores)
    return placed


def values_of(scores: Floats, observed: Floats) -> Floats:
    """Values from normal scores: interpolated between the observed values, extrapolated linearly beyond them."""
    known = np.sort(observed)
    from scipy.stats import norm

    z = norm.ppf((np.arange(len(known)) + 0.5) / len(known))
    slope = (known[-1] - known[0]) / (z[-1] - z[0])
    beyond = np.maximum(scores - z[-1], 0) - np.maximum(z[0] - scores, 0)
    values: Floats = np.interp(scores, z, known) + slope * beyond
    return values


def scores_beyond(values: Floats, observed: Floats) -> Floats:
    """Normal scores of any values, the inverse of :func:`values_of`: beyond the values observed as well."""
    known = np.sort(observed)
    from scipy.stats import norm

    z = norm.ppf((np.arange(len(known)) + 0.5) / len(known))
    slope = (known[-1] - known[0]) / (z[-1] - z[0]) or 1.0
    beyond = np.maximum(values - known[-1], 0) - np.maximum(known[0] - values, 0)
    scores: Floats = np.interp(values, known, z) + beyond / slope
    return scores
