"""A small Gaussian process, fitted in a tenth of a second: a few dozen observations, thousands of candidates.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1 and eq. 5.9. The covariance is a
sum of Matérn-3/2 kernels, one per group of features, a constant and noise; the mean is a known function times a fitted
weight. So what is known without labels stands from the first observation, and what the features add grows with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve
from scipy.optimize import minimize

from searchkit.space import Floats

JITTER = 1e-6
ROWS = 2048  # of a covariance computed at once

# Means and deviations of the normal prior on the logarithms of the hyperparameters, for targets of unit variance and
# features of unit mean square distance.
AMPLITUDE, LENGTH, CONSTANT, NOISE = (np.log(0.3), 1.0), (0.0, 0.7), (np.log(0.1), 1.0), (np.log(0.05), 1.0)
WEIGHT = (0.7, 0.3)  # of the known mean; itself, not its logarithm


@dataclass(frozen=True)
class Gaussian:
    """A fitted process.

    Attributes:
        groups: the features of the observations, one ``(n, p)`` matrix a group.
        amplitudes, lengths: ``(g,)``, one per group.
        constant, noise: variances.
        weight: of the known mean.
    """

    groups: tuple[Floats, ...]
    amplitudes: Floats
    lengths: Floats
    constant: float
    noise: float
    weight: float
    _factor: Floats
    _alpha: Floats

    def predict(self, groups: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of new candidates, noise not included.

        Args:
            groups: their features, one ``(m, p)`` matrix a group.
            mean: ``(m,)`` their known mean.
        """
        parts = [
            self._part([group[start : start + ROWS] for group in groups], mean[start : start + ROWS])
            for start in range(0, max(1, len(mean)), ROWS)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _part(self, groups: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        covariance = np.full((len(mean), len(self._alpha)), self.constant)
        for new, known, amplitude, length in zip(groups, self.groups, self.amplitudes, self.lengths, strict=True):
            covariance += amplitude * _matern(_squared_distances(new, known), length)[0]
        explained = (covariance * cho_solve((self._factor, True), covariance.T).T).sum(axis=1)
        variance = self.amplitudes.sum() + self.constant - explained
        return self.weight * mean + covariance @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))


def fit(groups: Sequence[Floats], mean: Floats, y: Floats, *, n_iterations: int = 60) -> Gaussian:
    """The process with the hyperparameters of highest posterior probability.

    Args:
        groups: features of the observations, one ``(n, p)`` matrix a group, scaled to a mean square distance near 1.
        mean: ``(n,)`` what is believed without observations, of unit variance; zeros where nothing is.
        y: ``(n,)`` what was observed, near zero mean and unit variance.
        n_iterations: at most so many steps of L-BFGS.
    """
    squared = [_squared_distances(group, group) for group in groups]
    g = len(groups)
    prior = np.array([*[AMPLITUDE] * g, *[LENGTH] * g, CONSTANT, NOISE, WEIGHT])

    def objective(theta: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient."""
        amplitudes, lengths, constant, noise, weight = _unpack(theta, g)
        kernels = [_matern(d, length) for d, length in zip(squared, lengths, strict=True)]
        factor = _factor(kernels, amplitudes, constant, noise)
        residual = y - weight * mean
        alpha = cho_solve((factor, True), residual)
        inverse = cho_solve((factor, True), np.eye(len(y)))
        slope = 0.5 * (np.outer(alpha, alpha) - inverse)  # of the log likelihood by the covariance
        gradient = [a * (slope * kernel).sum() for a, (kernel, _) in zip(amplitudes, kernels, strict=True)]
        gradient += [a * (slope * by_length).sum() for a, (_, by_length) in zip(amplitudes, kernels, strict=True)]
        gradient += [constant * slope.sum(), noise * np.trace(slope), mean @ alpha]
        likelihood = -0.5 * residual @ alpha - np.log(np.diag(factor)).sum()
        away = (theta - prior[:, 0]) / prior[:, 1]
        return 0.5 * (away**2).sum() - likelihood, away / prior[:, 1] - np.array(gradient)

    found: Any = minimize(objective, prior[:, 0], jac=True, method="L-BFGS-B", options={"maxiter": n_iterations})
    amplitudes, lengths, constant, noise, weight = _unpack(found.x, g)
    kernels = [_matern(d, length) for d, length in zip(squared, lengths, strict=True)]
    factor = _factor(kernels, amplitudes, constant, noise)
    alpha = cho_solve((factor, True), y - weight * mean)
    return Gaussian(tuple(groups), amplitudes, lengths, constant, noise, weight, factor, alpha)


def _unpack(theta: Floats, g: int) -> tuple[Floats, Floats, float, float, float]:
    positive = np.exp(np.clip(theta[:-1], -15, 15))
    return positive[:g], positive[g : 2 * g], float(positive[2 * g]), float(positive[2 * g + 1]), float(theta[-1])


def _factor(
    kernels: Sequence[tuple[Floats, Floats]], amplitudes: Floats, constant: float, noise: float
) -> npt.NDArray[np.float64]:
    covariance = sum(a * kernel for a, (kernel, _) in zip(amplitudes, kernels, strict=True)) + constant
    return np.linalg.cholesky(covariance + (noise + JITTER) * np.eye(len(covariance)))


def _matern(squared: Floats, length: float) -> tuple[Floats, Floats]:
    """The Matérn-3/2 kernel and its derivative by the logarithm of its length."""
    r = np.sqrt(3 * squared) / length
    decay = np.exp(-r)
    return (1 + r) * decay, r * r * decay


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squared: Floats = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0)
