"""A small Gaussian process, fitted in a tenth of a second: a few hundred observations, thousands of candidates.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1. The covariance is a sum of
kernels (:mod:`searchkit.surrogates.kernels`), one per group of features, a constant and noise; the mean is a
known function times a fitted weight. So predictions start from what is known without labels, and the features' share
grows with the observations.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from searchkit.surrogates.kernels import NEAR, Kernel
from searchkit.types import Codes, Floats

JITTER = 1e-6
ROWS = 2048  # of a covariance computed at once

# Means and deviations of the normal prior on the logarithms of the hyperparameters, for targets of unit variance and
# features of unit mean square distance.
AMPLITUDE, LENGTH, CONSTANT, NOISE = (np.log(0.3), 1.0), (0.0, 0.7), (np.log(0.1), 1.0), (np.log(0.05), 1.0)
WEIGHT = (0.7, 0.3)  # of the known mean; itself, not its logarithm


@dataclass(frozen=True)
class Hyperparameters:
    """The amplitude and length scales of each kernel, variances, and the weight of the known mean."""

    amplitudes: Floats
    lengths: tuple[Floats, ...]
    constant: float
    noise: float
    weight: float


@dataclass(frozen=True)
class Gaussian:
    """The posterior of a process, given n observations.

    Attributes:
        groups: the features of the observations, one ``(n, p)`` matrix a kernel.
        kernels: one per group.
        setting: the hyperparameters.
        mean, y: ``(n,)`` the known mean, and what was observed.
    """

    groups: tuple[Floats, ...]
    kernels: tuple[Kernel, ...]
    setting: Hyperparameters
    mean: Floats
    y: Floats
    _factor: Floats
    _alpha: Floats

    @classmethod
    def of(
        cls, groups: Sequence[Floats], kernels: Sequence[Kernel], setting: Hyperparameters, mean: Floats, y: Floats
    ) -> Gaussian:
        """The process of given hyperparameters."""
        covariance = covariances(groups, groups, kernels, setting) + (setting.noise + JITTER) * np.eye(len(y))
        # Rasmussen and Williams, algorithm 2.1, lines 2 and 3
        factor = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        alpha = cho_solve((factor, True), y - setting.weight * mean)
        return cls(tuple(groups), tuple(kernels), setting, mean, y, factor, alpha)

    @property
    def noise(self) -> float:
        """Variance of an observation that the features do not explain."""
        return self.setting.noise

    def predict(self, groups: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of new candidates, noise not included.

        Args:
            groups: their features, one ``(m, p)`` matrix a kernel.
            mean: ``(m,)`` their known mean.
        """
        parts = [
            self._part([group[start : start + ROWS] for group in groups], mean[start : start + ROWS])
            for start in range(0, max(1, len(mean)), ROWS)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _part(self, groups: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        covariance = covariances(groups, self.groups, self.kernels, self.setting)
        # Rasmussen and Williams, algorithm 2.1, lines 4 to 6: mean k' alpha, variance k(x, x) - v' v
        explained = (solve_triangular(self._factor, covariance.T, lower=True) ** 2).sum(axis=0)
        diagonals = [kernel.diagonal(group) for kernel, group in zip(self.kernels, groups, strict=True)]
        variance = sum((a * d for a, d in zip(self.setting.amplitudes, diagonals, strict=True)), start=-explained)
        variance = variance + self.setting.constant
        return self.setting.weight * mean + covariance @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

    def joint(self, rows: Codes) -> tuple[Floats, Floats]:
        """Posterior mean ``(r,)`` and covariance ``(r, r)`` of the noise-free values at some of its observations."""
        among = [group[rows] for group in self.groups]
        across = covariances(among, self.groups, self.kernels, self.setting)
        half = solve_triangular(self._factor, across.T, lower=True)
        mean = self.setting.weight * self.mean[rows] + across @ self._alpha
        # Rasmussen and Williams, section 2.2: the posterior covariance
        return mean, covariances(among, among, self.kernels, self.setting) - half.T @ half

    def left_out(self) -> tuple[Floats, Floats]:
        """Leave-one-out means and standard deviations ``(n,)``: of each observation, given all others.

        The hyperparameters stay as they were fitted to all.
        """
        half = solve_triangular(self._factor, np.eye(len(self.y)), lower=True)
        precision = (half**2).sum(axis=0)
        return self.y - self._alpha / precision, 1 / np.sqrt(precision)  # Rasmussen and Williams, eq. 5.12

    def surprises(self, rows: Sequence[Codes]) -> Floats:
        """``(g,)`` for each group of observations, how far the first is above its prediction from all but the group.

        In deviations, noise included. The hyperparameters stay as they were fitted to all.
        """
        precision = cho_solve((self._factor, True), np.eye(len(self.y)))
        found = np.empty(len(rows))
        for i, group in enumerate(rows):  # eq. 5.12 of Rasmussen and Williams for blocks, by the inverse's partition
            covariance = np.linalg.inv(precision[np.ix_(group, group)])
            found[i] = covariance[0] @ self._alpha[group] / np.sqrt(covariance[0, 0])
        return found

    def slopes(self, group: int) -> Floats:
        """``(p,)`` by how much the prediction rises with each feature of a group whose kernel is linear."""
        slopes: Floats = self.setting.amplitudes[group] * self.groups[group].T @ self._alpha
        return slopes

    def believing(self, groups: Sequence[Floats], mean: Floats) -> Gaussian:
        """The posterior if candidates, features ``(m, p)`` a kernel, are observed at their predicted means."""
        across = covariances(groups, self.groups, self.kernels, self.setting)
        predicted = self.setting.weight * mean + across @ self._alpha
        below = solve_triangular(self._factor, across.T, lower=True).T
        corner = covariances(groups, groups, self.kernels, self.setting) - below @ below.T
        corner = np.linalg.cholesky(corner + (self.setting.noise + JITTER) * np.eye(len(predicted)))
        n, m = below.shape[1], len(predicted)
        factor = np.block([[self._factor, np.zeros((n, m))], [below, corner]])
        joined = tuple(np.concatenate(pair) for pair in zip(self.groups, groups, strict=True))
        alpha = np.concatenate([self._alpha, np.zeros(m)])  # the residuals are 0
        return replace(
            self, groups=joined, mean=np.concatenate([self.mean, mean]), y=np.concatenate([self.y, predicted]),
            _factor=factor, _alpha=alpha,
        )  # fmt: skip


def fit(
    groups: Sequence[Floats],
    mean: Floats,
    y: Floats,
    *,
    kernels: Sequence[Kernel] | None = None,
    n_iterations: int = 60,
    rows: Codes | None = None,
    prior: Floats | None = None,
) -> Gaussian:
    """The process with the hyperparameters of highest posterior probability.

    Args:
        groups: features of the observations, one ``(n, p)`` matrix a kernel, scaled to a mean square distance near 1.
        mean: ``(n,)`` the prior mean, of unit variance; zeros where nothing is known.
        y: ``(n,)`` what was observed, near zero mean and unit variance.
        kernels: one per group; a Matérn-3/2 of one length where not given.
        n_iterations: at most so many steps of L-BFGS.
        rows: of the observations that the hyperparameters are fitted to; all where not given. A step takes n^3.
        prior: ``(q, 2)`` mean and deviation of each hyperparameter in the order of :func:`prior_of`, which makes the
            one that is taken where none is given; :func:`learned_prior` makes one of earlier fits.
    """
    kernels = [NEAR] * len(groups) if kernels is None else kernels
    chosen = slice(None) if rows is None else rows
    prior = prior_of(kernels) if prior is None else prior
    setting = _best([group[chosen] for group in groups], kernels, mean[chosen], y[chosen], n_iterations, prior)
    return Gaussian.of(groups, kernels, setting, mean, y)


def prior_of(kernels: Sequence[Kernel]) -> Floats:
    """``(q, 2)`` mean and deviation of the prior of each hyperparameter, as a fit takes it where it is given none.

    Logarithms of the amplitudes of the kernels, of their length scales, of the constant and of the noise; and the
    weight of the known mean itself.
    """
    n_lengths = sum(kernel.n_lengths for kernel in kernels)
    return np.array([*[AMPLITUDE] * len(kernels), *[LENGTH] * n_lengths, CONSTANT, NOISE, WEIGHT])


def learned_prior(settings: Sequence[Hyperparameters], kernels: Sequence[Kernel]) -> Floats:
    """``(q, 2)`` the prior of :func:`fit` that earlier fits with the same kernels suggest.

    Means and deviations over the fits, among which the prior of :func:`prior_of` counts as one: few fits that happen to
    agree leave the prior wide.
    """
    before = prior_of(kernels)
    found = [[*np.log(np.concatenate([s.amplitudes, *s.lengths, [s.constant, s.noise]])), s.weight] for s in settings]
    all_of_them = np.array([*found, before[:, 0]])
    spread = (all_of_them - all_of_them.mean(axis=0)) ** 2
    variance = (spread.sum(axis=0) + before[:, 1] ** 2) / len(all_of_them)
    return np.stack([all_of_them.mean(axis=0), np.sqrt(variance)], axis=1)


def covariances(
    a: Sequence[Floats], b: Sequence[Floats], kernels: Sequence[Kernel], setting: Hyperparameters
) -> npt.NDArray[np.float64]:
    """``(n, m)`` prior covariances of candidates with features ``a`` and ``b``, one matrix a kernel each."""
    n, m = (len(groups[0]) if groups else 0 for groups in (a, b))
    total = np.full((n, m), setting.constant)
    for kernel, one, two, amplitude, lengths in zip(kernels, a, b, setting.amplitudes, setting.lengths, strict=True):
        total += amplitude * kernel(one, two, lengths)
    return total


def setting_of(theta: Floats, kernels: Sequence[Kernel]) -> Hyperparameters:
    """The hyperparameters that are ``(q,)`` in the order of :func:`prior_of`."""
    return _unpack(theta, [kernel.n_lengths for kernel in kernels])


def _best(
    groups: Sequence[Floats], kernels: Sequence[Kernel], mean: Floats, y: Floats, n_iterations: int, prior: Floats
) -> Hyperparameters:
    counts = [kernel.n_lengths for kernel in kernels]
    prepared = [kernel.prepare(group) for kernel, group in zip(kernels, groups, strict=True)]
    identity = np.eye(len(y))

    def objective(theta: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient."""
        setting = _unpack(theta, counts)
        parts = [made(lengths) for made, lengths in zip(prepared, setting.lengths, strict=True)]
        covariance = sum((a * k for a, (k, _) in zip(setting.amplitudes, parts, strict=True)), start=0 * identity)
        factor = np.linalg.cholesky(covariance + setting.constant + (setting.noise + JITTER) * identity)
        residual = y - setting.weight * mean
        alpha = cho_solve((factor, True), residual)
        slope = 0.5 * (np.outer(alpha, alpha) - cho_solve((factor, True), identity))  # Rasmussen and Williams, eq. 5.9
        gradient = [a * (slope * k).sum() for a, (k, _) in zip(setting.amplitudes, parts, strict=True)]
        for a, (_, by_lengths) in zip(setting.amplitudes, parts, strict=True):
            gradient += list(a * by_lengths(slope))
        gradient += [setting.constant * slope.sum(), setting.noise * np.trace(slope), mean @ alpha]
        # Rasmussen and Williams, eq. 5.8 without its constant
        likelihood = -0.5 * residual @ alpha - np.log(np.diag(factor)).sum()
        away = (theta - prior[:, 0]) / prior[:, 1]
        return 0.5 * (away**2).sum() - likelihood, away / prior[:, 1] - np.array(gradient)

    found: Any = minimize(objective, prior[:, 0], jac=True, method="L-BFGS-B", options={"maxiter": n_iterations})
    return _unpack(found.x, counts)


def _unpack(theta: Floats, counts: Sequence[int]) -> Hyperparameters:
    positive = np.exp(np.clip(theta[:-1], -15, 15))
    g = len(counts)
    ends = np.cumsum([g, *counts])
    lengths = tuple(positive[start:end] for start, end in itertools.pairwise(ends))
    return Hyperparameters(positive[:g], lengths, float(positive[-2]), float(positive[-1]), float(theta[-1]))
