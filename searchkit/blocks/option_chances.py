"""How likely each option is to be the best of its choice, by one regression on everything that was evaluated.

A Bayesian linear regression (ridge; Rasmussen and Williams 2006, section 2.1) of normal scores on which option each
choice takes: ranks, because a few networks that learn nothing would decide the fit of the values themselves. Penalty
and share of smooth effects are those of the least leave-one-out error, and the scale of the posterior is that of the
leave-one-out errors, as in :mod:`searchkit.blocks.gaussian_process`. The chance of an option is the share of draws from
the posterior in which it is the best of its choice; where more than :data:`COMPARED` options are compared, in which it
is better than the leading one, since of many options each is rarely the best, however little is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searchkit.blocks.gaussian_process import FREE, PENALTIES, SHARES
from searchkit.blocks.scales import on_scale, scale_features
from searchkit.problem.ranks import normal_scores
from searchkit.space import Space
from searchkit.space.indicators import indicators
from searchkit.types import Bools, Codes, Floats

DRAWS = 2000  # from the posterior
AT_ONCE = 4_000_000  # numbers of draws that are held at once
COMPARED = 10  # options up to which the chance is that of being the best of all
PARTS = 4  # into which a unit of weight is divided among two or three columns
FEW_COLUMNS = 3  # columns up to which all divisions of the weight are looked at


@dataclass(frozen=True)
class Chances:
    """What a regression says of options.

    Attributes:
        best: for each choice, ``(m,)`` the probability of being the best of the living options (see the module); of
            several columns, the highest over weighted sums of them. 0 of options that do not live.
        gains: for each choice, ``(m,)`` the effect under the weights that are kindest to the option, in standard
            deviations of an objective; higher is better.
    """

    best: tuple[Floats, ...]
    gains: tuple[Floats, ...]


@dataclass(frozen=True)
class Column:
    """One quantity to be low: values ``(n,)`` of candidates ``(n, d)``, and where their choices matter ``(n, d)``."""

    codes: Codes
    matters: Bools
    values: Floats


def option_chances(space: Space, columns: Sequence[Column], weights: Floats, living: Sequence[Bools]) -> Chances:
    """The chance of each living option to be the best.

    Args:
        columns: k of them, of two candidates or more each.
        weights: ``(q, k)``, see :func:`weightings`.
        living: for each choice, ``(m,)`` which of its options are compared; one or more.
    """
    tables = _Tables.of(space)
    fits = [_Posterior.of(tables, column) for column in columns]
    gains = [-weights @ np.stack([tables.effects(j, fit.mean, fit.share) for fit in fits]) for j in range(len(living))]
    wins = [np.zeros((len(weights), len(one))) for one in living]
    at_once = max(1, AT_ONCE // max(tables.starts[-1], *(len(one) for one in living)))
    for drawn in zip(*(fit.draws(np.random.default_rng(k), at_once) for k, fit in enumerate(fits)), strict=True):
        for j, alive in enumerate(living):
            if alive.sum() > 1:
                options = np.flatnonzero(alive)
                effects = np.stack(
                    [tables.effects(j, w, f.share)[:, options] for w, f in zip(drawn, fits, strict=True)]
                )
                for won, mix, gain in zip(wins[j], weights, gains[j], strict=True):
                    won[options] += _wins(np.tensordot(mix, effects, 1), int(gain[options].argmax()))
    best = [
        won.max(axis=0) / DRAWS if alive.sum() > 1 else alive.astype(np.float64)
        for won, alive in zip(wins, living, strict=True)
    ]
    return Chances(tuple(best), tuple(gain.max(axis=0) for gain in gains))


def _wins(losses: Floats, leader: int) -> Floats:
    """``(m,)`` in how many rows of ``(b, m)`` an option is the best, or of many options better than the leading one."""
    n = losses.shape[1]
    if n <= COMPARED:
        wins: Floats = np.bincount(losses.argmin(axis=1), minlength=n).astype(np.float64)
        return wins
    better: Floats = (losses < losses[:, leader : leader + 1]).sum(axis=0).astype(np.float64)
    better[leader] = len(losses)
    return better


def weightings(n_objectives: int, n_bounds: int) -> Floats:
    """``(q, k + c)`` weights of weighted sums, each of sum 1 and with a part for the objectives.

    Args:
        n_objectives: k columns that are sought to be low.
        n_bounds: c further ones that only have to be low enough, so that they are not looked at alone.
    """
    k = n_objectives + n_bounds
    if k <= FEW_COLUMNS:
        rows = [np.array(one) for one in itertools.product(range(PARTS + 1), repeat=k) if sum(one) == PARTS]
        found = np.array(rows, dtype=np.float64)[::-1] / PARTS
    else:
        found = np.concatenate([np.eye(k), np.full((1, k), 1 / k)])
    kept: Floats = found[found[:, :n_objectives].sum(axis=1) > 0]
    return kept


def mattering(space: Space, codes: Codes) -> Bools:
    """``(n, d)`` whether another option of a choice would make another candidate of canonical codes ``(n, d)``.

    It would not where a layer that is left out has its kernel chosen. What such a choice has in a code is no evidence
    for the option. Two other options are tried.
    """
    found = np.zeros(codes.shape, dtype=bool)
    for j, n in enumerate(space.n_options):
        for step in range(1, min(int(n), 3)):
            other = codes.copy()
            other[:, j] = (other[:, j] + step) % n
            found[:, j] |= (space.canonical(other) != codes).any(axis=1)
    return found


@dataclass(frozen=True)
class _Tables:
    """Features of options: for each choice, indicators ``(m, w)`` and, where it is ordered, places ``(m, 2)``."""

    indicators: tuple[Floats, ...]
    places: tuple[Floats, ...]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, space: Space) -> _Tables:
        sizes = [len(choice.options) for choice in space.choices]
        known = tuple(indicators(np.arange(n), n) for n in sizes)
        places = tuple(
            scale_features(n) if on_scale(choice) else np.empty((n, 0))
            for n, choice in zip(sizes, space.choices, strict=True)
        )
        widths = [a.shape[1] + b.shape[1] for a, b in zip(known, places, strict=True)]
        return cls(known, places, np.cumsum([0, *widths]))

    @property
    def ordered(self) -> bool:
        return any(table.shape[1] for table in self.places)

    def of_choice(self, j: int, share: float) -> Floats:
        """``(m, w + 2)``: of what an ordered choice varies by, a share is smooth."""
        if not self.places[j].shape[1]:
            return self.indicators[j]
        return np.concatenate([np.sqrt(1 - share) * self.indicators[j], np.sqrt(share) * self.places[j]], axis=1)

    def features(self, column: Column, share: float) -> Floats:
        """``(n, p)`` of candidates; 0 where a choice does not matter."""
        parts = [
            self.of_choice(j, share)[column.codes[:, j]] * column.matters[:, j : j + 1]
            for j in range(len(self.indicators))
        ]
        return np.concatenate(parts, axis=1)

    def effects(self, j: int, weights: Floats, share: float) -> Floats:
        """``(..., m)`` of the options of a choice, from weights ``(..., p)`` of the features."""
        own = weights[..., self.starts[j] : self.starts[j + 1]]
        found: Floats = own @ self.of_choice(j, share).T
        return found


@dataclass(frozen=True)
class _Posterior:
    """Of the weights of features: normal, with this mean; narrower than the prior along the directions seen.

    Attributes:
        directions: ``(r, p)`` orthonormal, those of the features of the candidates.
        shrunk: ``(r,)`` posterior standard deviation along each, as a share of the prior's.
        std: of the prior.
    """

    mean: Floats
    share: float
    directions: Floats
    shrunk: Floats
    std: float

    @classmethod
    def of(cls, tables: _Tables, column: Column) -> _Posterior:
        """The posterior of the share and the penalty of least leave-one-out error."""
        t = normal_scores(column.values)
        fits = [cls._fitted(tables.features(column, s), t, s) for s in (SHARES if tables.ordered else SHARES[:1])]
        return min(fits, key=lambda fit: fit[0])[1]

    @classmethod
    def _fitted(cls, x: Floats, t: Floats, share: float) -> tuple[float, _Posterior]:
        unit = float(np.mean((x * x).sum(axis=1)) - (x.mean(axis=0) ** 2).sum())  # mean variance due to the options
        scale = 1 / np.sqrt(unit) if unit > 1e-9 else 1.0
        z = np.concatenate([x * scale, np.full((len(x), 1), np.sqrt(FREE))], axis=1)
        left, s, right = np.linalg.svd(z, full_matrices=False)
        kept = s**2 / (s**2 + PENALTIES[:, None])
        leverage = np.minimum(kept @ (left**2).T, 1 - 1e-9)
        errors = (t - (kept * (left.T @ t)) @ left.T) / (1 - leverage)  # of leave-one-out predictions
        best = int(np.argmin((errors**2).mean(axis=1)))
        penalty = PENALTIES[best]
        variance = float(np.mean(errors[best] ** 2 * (1 - leverage[best])) / penalty)
        mean = right.T @ (s / (s**2 + penalty) * (left.T @ t))
        shrunk = np.sqrt(penalty / (s**2 + penalty))
        return float((errors[best] ** 2).mean()), cls(
            mean[:-1] * scale, share, right[:, :-1], shrunk, np.sqrt(variance) * scale
        )

    def draws(self, rng: np.random.Generator, at_once: int) -> Iterator[Floats]:
        """:data:`DRAWS` weights ``(b, p)``, in parts of at most so many."""
        for start in range(0, DRAWS, at_once):
            normal = rng.standard_normal((min(at_once, DRAWS - start), len(self.mean)))
            along = normal @ self.directions.T
            yield self.mean + self.std * (normal + (along * (self.shrunk - 1)) @ self.directions)
