"""How much each signal counts in a judgement without labels: by what varies in the space, and by what agrees.

Size can be relied on where nothing else is known: larger networks are better nearly everywhere. What other signals are
worth depends on the space. Signals that say how differently images are treated tell operations from each other; where
widths and depths vary in their place they say little, and the parameters say more; so where networks have few of them.
A signal that runs against size, as
these do where all operations are convolutions, runs against accuracy. And where parameters and MACs differ, those are
right that the other signals agree with. The spaces that this was found on, and left out: docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from searchkit.space import Parameter, Space
from searchkit.types import Bools, Floats

SIZES = frozenset({"params", "macs", "az_complexity"})  # together one vote
CORE = {"jacov": 1.0, "az_expressivity": 0.5, "az_trainability": 0.5, "az_progressivity": 0.25, "synflow": 0.25}
IMAGES = frozenset({"jacov", "naswot", "swap"})  # how differently images are treated
TRAINED = ("earlier:", "comparisons", "mathnas", "dna")  # beginnings of names of signals that learned from trainings
ELSEWHERE, HINT = "elsewhere:", 0.1  # beginning of names of signals that learned in another space, and their vote
RESERVE = 0.01  # vote of every other signal, and least share of one: they count where nothing else is used
AGREEING = 0.25  # rank correlation with size from which a signal has its whole vote
SHARPNESS = 8  # power of the agreement by which parameters and MACs share theirs
SMALL = (1e4, 1e5)  # parameters up to which what networks can hold is what limits them, and from which it is not
UNITS = 100  # fewest parameters of a network that are taken for their number
BONUS = 3.0  # vote of the parameters, beside that of size, where sizes vary or networks are small
ALIKE = 0.99  # rank correlation above which two signals share one vote
LABELS = 50.0  # observations after which votes count half, and what was observed the more


@dataclass(frozen=True)
class Votes:
    """Of p signals, before anything is observed and later.

    Attributes:
        free: ``(p,)`` label-free, summing to 1.
        equal: ``(p,)`` one for every group of signals with the same ranks, shared among them; 0 for constant ones.
    """

    free: Floats
    equal: Floats

    def after(self, n: int) -> Floats:
        """``(p,)`` with n observations: from the label-free votes towards equal ones, as evidence takes their place."""
        share = LABELS / (LABELS + n)
        votes: Floats = self.free**share * self.equal ** (1 - share)
        return votes / (votes.sum() or 1.0)


def votes_of(
    names: Sequence[str], quantiles: Floats, space: Space | None = None, scores: Floats | None = None
) -> Votes:
    """The votes of signals; see the module.

    A name that is not listed here, such as a user's own, has the vote of a reserve.

    Args:
        names: of the signals.
        quantiles: ``(r, p)`` of the reference sample.
        space: of the sample; its choices say how much of what varies are sizes, which is nothing where not given.
        scores: ``(r, p)`` of the sample, which say how small its networks are; they count as large where not given.
    """
    varied = quantiles.std(axis=0) > 0
    agreement = correlations(quantiles)
    sized = max(
        share_of_sizes(space) if space is not None else 0.0,
        smallness(scores[:, names.index("params")]) if scores is not None and "params" in names else 0.0,
    )
    votes = np.array([_vote(name, sized) for name in names], dtype=np.float64) * varied
    votes = _one_vote_for_alike(votes, agreement)
    sizes = np.array([name in SIZES for name in names], dtype=bool) & varied
    if sizes.any():
        others = ~sizes & np.array([not name.startswith(TRAINED) for name in names], dtype=bool)
        support = agreement[:, others] @ votes[others]
        agreeing = np.clip(agreement[:, sizes].max(axis=1) / AGREEING, RESERVE, 1.0)
        votes[others] *= agreeing[others]
        votes[sizes] *= _shares(support[sizes], [name for name, is_size in zip(names, sizes, strict=True) if is_size])
        votes[sizes] /= votes[sizes].sum()
        parameters = np.array([name == "params" for name in names], dtype=bool) & varied
        votes[parameters if parameters.any() else sizes] += BONUS * sized / (1 if parameters.any() else sizes.sum())
    return Votes(votes / (votes.sum() or 1.0), _one_vote_for_alike(varied.astype(np.float64), agreement))


def share_of_sizes(space: Space) -> float:
    """Share of the choices whose options lie on a scale: those that are ordered, or whose options are numbers."""
    varied = [choice for choice in space.choices if len(choice.options) > 1]
    return sum(map(_is_size, varied)) / len(varied) if varied else 0.0


def smallness(params: Floats) -> float:
    """From 0 for networks of a hundred thousand parameters and more (median) to 1 for ten thousand and fewer.

    A median below a hundred counts no parameters but millions of them, say: 0.
    """
    known = params[np.isfinite(params)]
    middle = float(np.median(known)) if len(known) else 0.0
    low, high = np.log10(SMALL)
    return float(np.clip((high - np.log10(middle)) / (high - low), 0.0, 1.0)) if middle >= UNITS else 0.0


def correlations(quantiles: Floats) -> Floats:
    """``(p, p)`` rank correlations of the signals, 0 with constant ones."""
    ranks = rankdata(quantiles, axis=0)
    ranks -= ranks.mean(axis=0)
    spread = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(spread > 0, spread, 1.0)
    return np.asarray(ranks.T @ ranks, dtype=np.float64)


def _is_size(choice: Parameter) -> bool:
    numbers = choice.ordered or all(
        isinstance(option, int | float) and not isinstance(option, bool) for option in choice.options
    )
    return numbers


def _vote(name: str, sized: float) -> float:
    if name in SIZES or name.startswith(TRAINED):
        return 1.0
    vote = HINT if name.startswith(ELSEWHERE) else CORE.get(name, RESERVE)
    return vote * max(1 - sized, RESERVE) if name in IMAGES else vote


def _shares(support: Floats, names: Sequence[str]) -> Floats:
    """How the sizes share their vote; where nothing speaks for any of them, MACs count."""
    shares = np.maximum(support, 0.0) ** SHARPNESS
    if not shares.any():
        shares = np.array([name != "params" for name in names], dtype=np.float64)
    return np.maximum(shares / (shares.max() or 1.0), RESERVE)


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
