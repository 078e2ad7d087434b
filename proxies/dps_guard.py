"""Rank correlations of many scores with some twenty labels, and whether the best of them is more than luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from searchkit.types import Codes, Floats

SURE = 0.05  # most probable that labels without meaning rank a setting as well as those that are taken
N_SHUFFLED = 20_000
N_SAMPLES = 200
FEWEST_LEFT = 4  # networks left out of a sample that tell a correlation
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """Whether settings that a search found are worth more than the one that it began with.

    Attributes:
        luck: probability that the best of as many settings ranks labels without meaning as well; settings are taken as
            independent, which errs on the side of luck.
        gain: rank correlation that the mean of the best settings of a bootstrap sample of the networks has beyond the
            first setting on the networks that are not in the sample, on average; 0 where none can be left out.
    """

    luck: float
    gain: float

    @property
    def believed(self) -> bool:
        """Whether it is likely more than luck, and better on networks that did not choose it."""
        return self.luck <= SURE and self.gain > 0


def correlations(a: Floats, b: Floats) -> Floats:
    """Spearman's, of the last axis of ``(..., n)`` and ``(..., n)``, which broadcast; 0 where one is constant."""
    first, second = _standardised(a), _standardised(b)
    return np.asarray((first * second).sum(axis=-1), dtype=np.float64)


def resampled(n: int, seed: int, times: int = N_SAMPLES) -> Codes:
    """``(times, n)`` rows of bootstrap samples of n networks; the same for every setting."""
    return np.random.default_rng(seed).integers(0, n, (times, n))


def luck_of(variants: Floats, values: Floats, n_tried: int, seed: int) -> float:
    """Probability that the best of ``n_tried`` settings ranks shuffled labels as well as this one ranks the labels.

    Args:
        variants: ``(a, n)`` scores of a setting, one row for each of its weights of MACs, of which the best counts.
        values: ``(n,)`` labels.
    """
    own = float(correlations(variants, values).max())
    labels = _standardised(values)
    shuffled = np.random.default_rng(seed).permuted(np.tile(labels, (N_SHUFFLED, 1)), axis=1)
    as_good = int(((_standardised(variants) @ shuffled.T).max(axis=0) >= own - _ROUNDING).sum())
    return 1 - (1 - (as_good + 1) / (N_SHUFFLED + 1)) ** n_tried  # the labels as they are count as one of the orders


def gain_of(scores: Floats, first: Floats, values: Floats, seed: int, n_settings: int = 1) -> float:
    """See :class:`Verdict`.

    Args:
        scores: ``(m, n)`` of the settings among which is chosen.
        first: ``(n,)`` scores of the setting that the search began with.
        values: ``(n,)`` labels.
        n_settings: that score together, by the mean of their ranks.
    """
    found = []
    ranks = rankdata(scores, axis=1)
    for rows in resampled(len(values), seed):
        left = np.setdiff1d(np.arange(len(values)), rows)
        if len(left) >= FEWEST_LEFT:
            best = np.argsort(-correlations(scores[:, rows], values[rows]), kind="stable")[:n_settings]
            ours, its = correlations(np.stack([ranks[best].mean(axis=0)[left], first[left]]), values[left])
            found.append(ours - its)
    return float(np.mean(found)) if found else 0.0


def _standardised(values: Floats) -> Floats:
    """Ranks along the last axis, ties shared, with mean 0 and length 1; zeros where all are equal."""
    ranks = rankdata(values, axis=-1)
    ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    return np.asarray(ranks / np.where(length > 0, length, 1.0), dtype=np.float64)
