"""Kernels of a Gaussian process over candidates: one distance, one length scale per choice, and a linear kernel.

Each has unit variance where its features are scaled as it says; the process adds the amplitudes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from searchkit.types import Codes, Floats

Gradient = Callable[[Floats], Floats]


class Kernel(Protocol):
    """One term of a covariance.

    Attributes:
        n_lengths: number of its length scales, whose logarithms are fitted.
    """

    n_lengths: int

    def __call__(self, a: Floats, b: Floats, lengths: Floats) -> Floats:
        """``(n, m)`` covariances of features ``(n, p)`` and ``(m, p)``."""
        ...

    def diagonal(self, a: Floats) -> Floats:
        """``(n,)`` variances."""
        ...

    def prepare(self, a: Floats) -> Callable[[Floats], tuple[Floats, Gradient]]:
        """For a fit: a function of lengths that gives the covariance ``(n, n)`` and a function for its gradient.

        The latter maps weights ``(n, n)`` to ``(n_lengths,)``: the weighted sum of the covariance's derivatives by the
        logarithm of each length.
        """
        ...


class Near:
    """Matérn-3/2 of the distance over all features, with one length; for features of mean square distance near 1."""

    n_lengths = 1

    def __call__(self, a: Floats, b: Floats, lengths: Floats) -> Floats:
        return _matern(_squared_distances(a, b), float(lengths[0]))[0]

    def diagonal(self, a: Floats) -> Floats:
        return np.ones(len(a))

    def prepare(self, a: Floats) -> Callable[[Floats], tuple[Floats, Gradient]]:
        squared = _squared_distances(a, a)

        def made(lengths: Floats) -> tuple[Floats, Gradient]:
            covariance, by_length = _matern(squared, float(lengths[0]))
            return covariance, lambda weights: np.array([(weights * by_length).sum()])

        return made


class ByChoice:
    """Matérn-3/2 of a distance in which every choice has a length of its own (automatic relevance).

    Args:
        of: ``(p,)`` which length each column of the features belongs to, from 0 on.
    """

    def __init__(self, of: Codes) -> None:
        self.of = of
        self.n_lengths = int(of.max()) + 1

    def __call__(self, a: Floats, b: Floats, lengths: Floats) -> Floats:
        each = lengths[self.of]
        return _matern(_squared_distances(a / each, b / each), 1.0)[0]

    def diagonal(self, a: Floats) -> Floats:
        return np.ones(len(a))

    def prepare(self, a: Floats) -> Callable[[Floats], tuple[Floats, Gradient]]:
        def made(lengths: Floats) -> tuple[Floats, Gradient]:
            x = a / lengths[self.of]
            squared = _squared_distances(x, x)

            def by_lengths(weights: Floats) -> Floats:
                # dk / d log l_j = 3 exp(-r) D_j with D_j the squared distances in column j, whose weighted sum is
                # computed by matrix products
                slope = weights * 3 * np.exp(-np.sqrt(3 * squared))
                column = 2 * (slope.sum(axis=1) @ (x * x)) - 2 * (x * (slope @ x)).sum(axis=0)
                return np.bincount(self.of, column, self.n_lengths).astype(np.float64, copy=False)

            return _matern(squared, 1.0)[0], by_lengths

        return made


class Sum:
    """The linear kernel: the inner product, for features of mean square 1/p and mean 0."""

    n_lengths = 0

    def __call__(self, a: Floats, b: Floats, lengths: Floats) -> Floats:
        product: Floats = a @ b.T
        return product

    def diagonal(self, a: Floats) -> Floats:
        squares: Floats = (a * a).sum(axis=1)
        return squares

    def prepare(self, a: Floats) -> Callable[[Floats], tuple[Floats, Gradient]]:
        covariance: Floats = a @ a.T
        return lambda lengths: (covariance, lambda weights: np.empty(0))


NEAR, SUM = Near(), Sum()


def _matern(squared: Floats, length: float) -> tuple[Floats, Floats]:
    """The Matérn-3/2 kernel and its derivative by the logarithm of its length."""
    r = np.sqrt(3 * squared) / length
    decay = np.exp(-r)
    return (1 + r) * decay, r * r * decay  # Rasmussen and Williams, section 4.2.1: Matérn with nu = 3/2


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squared: Floats = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0)
