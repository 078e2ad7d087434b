"""Covariances of candidates of numbers, categories and conditional parameters.

The squared distance of two candidates is a sum over columns of a weight times a part: of numbers the square of their
difference, of categories 1 where they differ. An inactive number stands in the middle of its range, at a distance
from all active ones; so every part is the square of a Euclidean distance, and the covariance is positive definite, as
it would not be with one constant between an inactive number and all active ones. The covariance is Matérn's with
smoothness 5/2 (Rasmussen and Williams 2006, eq. 4.17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def encoded(self, positions: Floats) -> Encoded:
        """Positions ``(n, d)``, NaN where inactive, as they are compared."""
        inactive = np.isnan(positions)
        numbers = np.where(inactive, 0.5, positions)[:, ~self.category]
        active = APART * ~inactive[:, self.conditional]
        categories = np.where(inactive, -1.0, positions)[:, self.category]
        return Encoded(np.concatenate([numbers, active], axis=1), categories)

    def weights(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weights of the columns ``(d,)`` as those of encoded numbers and categories."""
        return np.concatenate([weights[~self.category], weights[self.conditional]]), weights[self.category]


@dataclass(frozen=True)
class Encoded:
    """Candidates as they are compared: ``(n, p)`` numbers with activities, and ``(n, q)`` categories."""

    numbers: Floats
    categories: Floats

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


def squared_distances(columns: Columns, a: Encoded, b: Encoded, weights: Floats) -> Floats:
    """``(n, m)`` weighted squared distances of candidates."""
    numbers, categories = columns.weights(weights)
    scale = np.sqrt(numbers)
    one, two = (a.numbers - 0.5) * scale, (b.numbers - 0.5) * scale
    found: Floats = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1)
    found -= 2 * one @ two.T
    np.maximum(found, 0.0, out=found)
    for weight, left, right in zip(categories, a.categories.T, b.categories.T, strict=True):
        found += weight * (left[:, None] != right)
    return found


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
