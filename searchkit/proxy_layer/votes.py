"""How much each signal counts in a judgement without labels, from what the signals say of a sample of the space.

Size is what can be relied on where nothing else is known: larger networks are better nearly everywhere. What the other
signals are worth depends on the space. Where only sizes vary, or where the operations are convolutions alone, those that
compare images run against size, and against accuracy. So a signal keeps its vote as far as it agrees with size, and of
params and MACs that one counts which the other signals agree with. Numbers and evidence: docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from searchkit.types import Bools, Floats

SIZES = frozenset({"params", "macs", "az_complexity"})  # together one vote
CORE = {"jacov": 1.0, "az_expressivity": 0.5, "az_trainability": 0.5, "az_progressivity": 0.25, "synflow": 0.25}
TRAINED = ("earlier:", "mathnas", "dna")  # beginnings of names of signals that have learned from trainings
RESERVE = 0.01  # of every other signal: they count where none of these is used, and with labels
AGREEING = 0.25  # rank correlation with size from which a signal has its whole vote
SHARPNESS = 4  # power of the agreement by which params and MACs share theirs
ALIKE = 0.99  # rank correlation above which two signals share one vote


def shared_votes(names: Sequence[str], quantiles: Floats) -> Floats:
    """``(p,)`` label-free weights summing to 1; see the module.

    Signals with nearly the same ranks share the vote of the strongest that is listed here; constant ones have none. A
    name that is not listed, such as a user's own, has the vote of a reserve.

    Args:
        names: of the signals.
        quantiles: ``(r, p)`` of the reference sample.
    """
    votes = np.array([_vote(name) for name in names], dtype=np.float64)
    votes[quantiles.std(axis=0) == 0] = 0.0
    agreement = correlations(quantiles)
    sizes = np.array([name in SIZES for name in names], dtype=bool) & (votes > 0)
    trained = np.array([name.startswith(TRAINED) for name in names], dtype=bool)
    votes = _one_vote_for_alike(votes, agreement)
    if sizes.any():
        others = ~sizes & ~trained
        agreeing = np.clip(agreement[:, sizes].max(axis=1) / AGREEING, 0.0, 1.0)
        support = agreement[:, others] @ votes[others]
        votes[others] *= agreeing[others]
        votes[sizes] *= _shares(support[sizes])
        votes[sizes] /= votes[sizes].sum()
    total = float(votes.sum())
    return votes / (total or 1.0)


def correlations(quantiles: Floats) -> Floats:
    """``(p, p)`` rank correlations of the signals, 0 with constant ones."""
    ranks = rankdata(quantiles, axis=0)
    ranks -= ranks.mean(axis=0)
    spread = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(spread > 0, spread, 1.0)
    return np.asarray(ranks.T @ ranks, dtype=np.float64)


def _vote(name: str) -> float:
    if name in SIZES or name.startswith(TRAINED):
        return 1.0
    return CORE.get(name, RESERVE)


def _shares(support: Floats) -> Floats:
    """How the sizes share their vote; equally where nothing speaks for any of them."""
    shares = np.maximum(support, 0.0) ** SHARPNESS
    return shares if shares.sum() > 0 else np.ones(len(support))


def _one_vote_for_alike(votes: Floats, agreement: Floats) -> Floats:
    """Signals of nearly the same ranks have one vote together: that of the strongest."""
    shared = votes.copy()
    left: Bools = votes > 0
    for j in np.argsort(-votes, kind="stable"):
        if left[j]:
            alike = left & ((agreement[j] > ALIKE) | (np.arange(len(votes)) == j))
            shared[alike] = votes[alike] * votes[j] / votes[alike].sum()
            left &= ~alike
    return shared
