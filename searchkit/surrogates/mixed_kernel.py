"""Covariances of candidates of numbers, categories and conditional parameters.

A loss is taken to be a sum of functions: one of all columns; where there are numbers beside categories, one of the
numbers alone; and the effect of each category. So what is learned beside some options counts beside others. Ru et al.
(Bayesian optimisation over multiple continuous and categorical inputs, ICML 2020) sum and multiply covariances of
numbers and of categories to that end.

Numbers have Matérn's covariance with smoothness 5/2 (Rasmussen and Williams 2006, eq. 4.17) of a weighted distance. An
inactive number stands in the middle of its range, at a distance from all active ones; so every part of the squared
distance is the square of a Euclidean distance, and the covariance is positive definite, as it would not be with one
constant between an inactive number and all active ones. Of all columns it is multiplied by exp(-weight / 2) for each
category that differs. An effect has a variance where two candidates have the same option, and is independent of that of
another option.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searchkit.space import Space
from searchkit.types import Bools, Floats

APART = 0.5  # distance of an inactive number from the middle of its range, in ranges


@dataclass(frozen=True)
class Columns:
    """What the columns of positions are.

    Attributes:
        category: ``(d,)`` bool, unordered: values are indices of options.
        conditional: ``(d,)`` bool, numbers that are inactive (NaN) in some candidates.
    """

    category: Bools
    conditional: Bools

    @classmethod
    def of(cls, space: Space) -> Columns:
        """The columns of a space."""
        category = ~np.array([choice.ordered for choice in space.choices])
        conditional = np.zeros(len(category), dtype=bool)
        if space.conditions is not None:
            conditional[list(space.conditions.columns)] = True
        return cls(category, conditional & ~category)

    @property
    def mixed(self) -> bool:
        """Whether there are both numbers and categories."""
        return bool(self.category.any() and not self.category.all())

    @property
    def n_effects(self) -> int:
        """Of categories that there are effects of; that of a single column is a function of all columns."""
        return int(self.category.sum()) if len(self.category) > 1 else 0

    def encoded(self, positions: Floats) -> Encoded:
        """Positions ``(n, d)``, NaN where inactive, as they are compared."""
        inactive = np.isnan(positions)
        numbers = np.where(inactive, 0.5, positions)[:, ~self.category]
        active = APART * ~inactive[:, self.conditional]
        categories = np.where(inactive, -1.0, positions)[:, self.category].astype(np.int32)
        return Encoded(np.concatenate([numbers, active], axis=1), categories)

    def weights(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weights of the columns ``(d,)`` as those of encoded numbers and categories."""
        return np.concatenate([weights[~self.category], weights[self.conditional]]), weights[self.category]


@dataclass(frozen=True)
class Setting:
    """Hyperparameters of a process.

    Attributes:
        lengths: ``(d,)`` length scales in ranges.
        scale, shared: variances of the functions of all columns and of numbers alone.
        noise: variance of the noise.
        effects: ``(q,)`` variances of the effects of categories; empty without any.
    """

    lengths: Floats
    scale: float
    noise: float
    shared: float = 0.0
    effects: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def weights(self) -> Floats:
        """``(d,)`` of the squared distances."""
        found: Floats = self.lengths**-2.0
        return found

    @property
    def variance(self) -> float:
        """Of every candidate, noise not included."""
        return self.scale + self.shared + float(self.effects.sum())


@dataclass(frozen=True)
class Encoded:
    """Candidates as they are compared: ``(n, p)`` numbers with activities, and ``(n, q)`` categories."""

    numbers: Floats
    categories: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.numbers)

    def __add__(self, other: Encoded) -> Encoded:
        return Encoded(
            np.concatenate([self.numbers, other.numbers]), np.concatenate([self.categories, other.categories])
        )


def parts(columns: Columns, a: Encoded) -> Floats:
    """``(d, n (n - 1) / 2)`` the parts of the squared distances of all pairs, column by column.

    Pairs are ordered as by ``numpy.tril_indices(n, -1)``.
    """
    one, two = np.tril_indices(len(a), -1)
    found = np.empty((len(columns.category), len(one)))
    at, conditional = np.flatnonzero(~columns.category), np.flatnonzero(columns.conditional)
    for j, values in zip(at, a.numbers.T, strict=False):  # the rest are activities
        found[j] = (values[one] - values[two]) ** 2
    for j, values in zip(conditional, a.numbers[:, len(at) :].T, strict=True):
        found[j] += (values[one] - values[two]) ** 2
    for j, values in zip(np.flatnonzero(columns.category), a.categories.T, strict=True):
        found[j] = values[one] != values[two]
    return found


def covariances(columns: Columns, setting: Setting, a: Encoded, b: Encoded) -> Floats:
    """``(n, m)`` covariances of candidates."""
    factor, effects = _of_categories(columns, setting, a, b)
    found = setting.scale * (matern(_of_numbers(columns, setting, a, b)) * factor)
    return found + effects


def covariances_and_slopes(columns: Columns, setting: Setting, a: Encoded, b: Encoded) -> tuple[Floats, Floats]:
    """Covariances ``(n, m)``, and over ``setting.scale`` their derivatives by the squared distance of numbers."""
    factor, effects = _of_categories(columns, setting, a, b)
    correlation, slope = matern_and_slope(_of_numbers(columns, setting, a, b))
    return setting.scale * (correlation * factor) + effects, slope * factor


def _of_numbers(columns: Columns, setting: Setting, a: Encoded, b: Encoded) -> Floats:
    """``(n, m)`` weighted squared distances."""
    scale = np.sqrt(columns.weights(setting.weights)[0])
    one, two = (a.numbers - 0.5) * scale, (b.numbers - 0.5) * scale
    found: Floats = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1)
    found -= 2 * one @ two.T
    return np.maximum(found, 0.0, out=found)


def _of_categories(columns: Columns, setting: Setting, a: Encoded, b: Encoded) -> tuple[Floats, Floats]:
    """What Matérn's covariance is multiplied by, over ``setting.scale``, and the covariance of effects.

    Both ``(n, m)``, or of shape () without categories. Which of eight categories differ is a number below 256, by which
    the product and the sum over the eight are looked up.
    """
    weights, size = columns.weights(setting.weights)[1], a.categories.shape[1]
    effects = setting.effects if len(setting.effects) else np.zeros(size)
    factor, same = np.ones(()), np.zeros(())
    for start in range(0, size, 8):
        some = slice(start, start + 8)
        pattern = np.zeros((len(a), len(b)), dtype=np.uint8)
        for bit, (left, right) in enumerate(zip(a.categories.T[some], b.categories.T[some], strict=True)):
            pattern |= (left[:, None] != right).view(np.uint8) << np.uint8(bit)
        differ = np.unpackbits(np.arange(2 ** (bit + 1), dtype=np.uint8)[:, None], axis=1, bitorder="little")
        differ = differ[:, : bit + 1].astype(np.float64)
        factor = factor * np.exp(-0.5 * (differ @ weights[some]))[pattern]
        same = same + ((1.0 - differ) @ effects[some])[pattern]
    return factor + setting.shared / setting.scale, same


def matern(squared: Floats) -> Floats:
    """Matérn's correlation with smoothness 5/2 at squared distances of any shape."""
    root = np.sqrt(5.0 * squared)
    found: Floats = (1.0 + root + root * root / 3.0) * np.exp(-root)
    return found


def matern_and_slope(squared: Floats) -> tuple[Floats, Floats]:
    """:func:`matern` and its derivative by the squared distance, which is finite at 0."""
    root = np.sqrt(5.0 * squared)
    decay = np.exp(-root)
    return (1.0 + root + root * root / 3.0) * decay, (-5.0 / 6.0) * (1.0 + root) * decay
