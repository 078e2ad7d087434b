"""One Gaussian process of labels that are comparable only within groups.

Accuracies of one study say nothing about how those of another compare with them, where the data or the epochs differ;
nor do those of a short training beside those of a long one. What they share is which network is better. So each group's
labels are taken as ranks within the group, and each group sees one process of all of them through a straight line:
label = offset + scale * common + own + noise, where its own deviation has the same covariance times a fitted share.
A group that contradicts the others gets a scale near 0, a large share of its own, or much noise.

This is the linear model of coregionalisation with one common process (Bonilla, Chai and Williams, Multi-task Gaussian
Process Prediction, NeurIPS 2007, eq. 1, with a matrix of rank one and a diagonal), on normal scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from searchkit.problem.ranks import normal_scores
from searchkit.surrogates.gaussian_process import (
    JITTER,
    NOISE,
    ROWS,
    Hyperparameters,
    covariances,
    fit,
    prior_of,
    setting_of,
)
from searchkit.surrogates.kernels import NEAR, Kernel
from searchkit.types import Codes, Floats

# Means and deviations of the normal priors on a group's offset, on its scale, which is at least 0, and on the logarithm
# of the share of its own.
OFFSET, SCALE, OWN = (0.0, 1.0), (1.0, 0.5), (np.log(0.05), 1.5)
NOTHING = -15.0  # the logarithm of no share


@dataclass(frozen=True)
class Lines:
    """How each of g groups sees the common process, each ``(g,)``.

    Attributes:
        offsets, scales: of its straight line.
        own: variance of its own deviation, in units of the common process's.
        noises: variances of the noise of its labels.
    """

    offsets: Floats
    scales: Floats
    own: Floats
    noises: Floats

    @property
    def shared(self) -> Floats:
        """``(g, g)`` the factor of the covariance between labels of two groups."""
        shared: Floats = np.outer(self.scales, self.scales) + np.diag(self.own)
        return shared


@dataclass(frozen=True)
class Grouped:
    """The process of n labels of g groups; made by :func:`fit_groups`.

    Attributes:
        features: one ``(n, p)`` matrix a kernel.
        kernels: one for each matrix.
        setting: the hyperparameters of the common process.
        lines: of the groups, by their numbers.
        groups: ``(n,)`` the group of each label.
        target: the group that is predicted; None: what the groups have in common.
    """

    features: tuple[Floats, ...]
    kernels: tuple[Kernel, ...]
    setting: Hyperparameters
    lines: Lines
    groups: Codes
    target: int | None
    _factor: Floats
    _alpha: Floats

    @classmethod
    def of(
        cls, features: Sequence[Floats], kernels: Sequence[Kernel], found: tuple[Hyperparameters, Lines],
        mean: Floats, y: Floats, groups: Codes, target: int | None,
    ) -> Grouped:  # fmt: skip
        """The process of given hyperparameters and lines, and of normal scores y ``(n,)``."""
        setting, lines = found
        covariance = lines.shared[np.ix_(groups, groups)] * covariances(features, features, kernels, setting)
        covariance = covariance + np.diag(lines.noises[groups] + JITTER)
        factor = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        residual = y - lines.offsets[groups] - lines.scales[groups] * setting.weight * mean
        alpha = cho_solve((factor, True), residual)
        return cls(tuple(features), tuple(kernels), setting, lines, groups, target, factor, alpha)

    @property
    def noise(self) -> float:
        """Variance of a label of the target, or of a group's on average, that the features do not explain."""
        noises = self.lines.noises
        return float(noises.mean() if self.target is None else noises[self.target])

    def predict(self, features: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of new candidates, noise not included.

        In normal scores of the target, where there is one.

        Args:
            features: of the candidates, one ``(m, p)`` matrix a kernel.
            mean: ``(m,)`` their known mean.
        """
        starts = range(0, max(1, len(mean)), ROWS)
        parts = [self._part([f[s : s + ROWS] for f in features], mean[s : s + ROWS]) for s in starts]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _part(self, features: Sequence[Floats], mean: Floats) -> tuple[Floats, Floats]:
        lines, target = self.lines, self.target
        shared = lines.scales if target is None else lines.shared[target]
        itself = 1.0 if target is None else shared[target]
        offset, scale = (0.0, 1.0) if target is None else (lines.offsets[target], lines.scales[target])
        across = shared[self.groups] * covariances(features, self.features, self.kernels, self.setting)
        explained = (solve_triangular(self._factor, across.T, lower=True) ** 2).sum(axis=0)
        alone = [k.diagonal(f) * a for k, f, a in zip(self.kernels, features, self.setting.amplitudes, strict=True)]
        variance = itself * (np.sum(alone, axis=0) + self.setting.constant) - explained
        return offset + scale * self.setting.weight * mean + across @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))


def within(values: Floats, groups: Codes) -> Floats:
    """``(n,)`` normal scores of the ranks that values have within their groups ``(n,)``, counted from 0."""
    scores = np.zeros(len(values))
    for g in np.unique(groups):
        rows = groups == g
        scores[rows] = normal_scores(values[rows])
    return scores


def fit_groups(
    features: Sequence[Floats],
    mean: Floats,
    values: Floats,
    groups: Codes,
    *,
    kernels: Sequence[Kernel] | None = None,
    target: int | None = None,
    n_iterations: int = 60,
    rows: Codes | None = None,
) -> Grouped:
    """The process and the lines of highest posterior probability; with one group, those of :func:`fit`.

    Args:
        features: one ``(n, p)`` matrix a kernel, as for :func:`fit`.
        mean: ``(n,)`` the prior mean of the common process.
        values: ``(n,)`` labels, of which only the order within a group counts.
        groups: ``(n,)`` the group of each label, counted from 0.
        kernels: one for each matrix; a Matérn-3/2 of one length where not given.
        target: the group that is predicted, whose offset is 0 and scale 1; None: what the groups have in common.
        n_iterations: at most so many steps of L-BFGS.
        rows: of the labels that hyperparameters and lines are fitted to; all where not given. A step takes n^3.
    """
    kernels = [NEAR] * len(features) if kernels is None else kernels
    y, n_groups = within(values, groups), int(groups.max()) + 1
    chosen = np.arange(len(y)) if rows is None else rows
    seen = [part[chosen] for part in features]
    if n_groups == 1:
        setting = fit(seen, mean[chosen], y[chosen], kernels=kernels, n_iterations=n_iterations).setting
        found = setting, Lines(np.zeros(1), np.ones(1), np.zeros(1), np.array([setting.noise]))
    else:
        found = _best(seen, kernels, mean[chosen], y[chosen], groups[chosen], (n_groups, target, n_iterations))
    return Grouped.of(features, kernels, found, mean, y, groups, target)


def _best(
    features: Sequence[Floats], kernels: Sequence[Kernel], mean: Floats, y: Floats, groups: Codes,
    shape: tuple[int, int | None, int],
) -> tuple[Hyperparameters, Lines]:  # fmt: skip
    """Hyperparameters and lines; what is optimised are those of the process, then each kind of the lines' numbers."""
    n_groups, target, n_iterations = shape
    prepared = [kernel.prepare(part) for kernel, part in zip(kernels, features, strict=True)]
    before = prior_of(kernels)
    q = len(before)
    prior = np.array([*before, *[OFFSET] * n_groups, *[SCALE] * n_groups, *[OWN] * n_groups, *[NOISE] * n_groups])
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * len(prior)
    bounds[q + n_groups : q + 2 * n_groups] = [(0.0, None)] * n_groups
    bounds[q - 2] = (float(NOISE[0]),) * 2  # the groups have noises of their own
    if target is None:  # what is common would be any group's own
        bounds[q + 2 * n_groups : q + 3 * n_groups] = [(NOTHING, NOTHING)] * n_groups
        prior[q + 2 * n_groups : q + 3 * n_groups, 0] = NOTHING
    else:
        bounds[q + target], bounds[q + n_groups + target] = (0.0, 0.0), (1.0, 1.0)
    member = np.eye(n_groups)[:, groups]  # (g, n)

    def objective(theta: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient; as in :mod:`searchkit.surrogates.gaussian_process`."""
        setting, lines = setting_of(theta[:q], kernels), _lines(theta[q:])
        parts = [made(lengths) for made, lengths in zip(prepared, setting.lengths, strict=True)]
        common = np.sum([a * k for a, (k, _) in zip(setting.amplitudes, parts, strict=True)], axis=0) + setting.constant
        shared = lines.shared[np.ix_(groups, groups)]
        factor = np.linalg.cholesky(shared * common + np.diag(lines.noises[groups] + JITTER))
        residual = y - lines.offsets[groups] - lines.scales[groups] * setting.weight * mean
        alpha = cho_solve((factor, True), residual)
        slope = 0.5 * (np.outer(alpha, alpha) - cho_solve((factor, True), np.eye(len(y))))
        by_common, by_shared = slope * shared, member @ (slope * common) @ member.T
        gradient = [a * (by_common * k).sum() for a, (k, _) in zip(setting.amplitudes, parts, strict=True)]
        for a, (_, by_lengths) in zip(setting.amplitudes, parts, strict=True):
            gradient += list(a * by_lengths(by_common))
        gradient += [setting.constant * by_common.sum(), 0.0, (lines.scales[groups] * mean) @ alpha]
        gradient += list(member @ alpha)
        gradient += list(2 * by_shared @ lines.scales + setting.weight * (member @ (mean * alpha)))
        gradient += [*(lines.own * np.diag(by_shared)), *(lines.noises * (member @ np.diag(slope)))]
        likelihood = -0.5 * residual @ alpha - np.log(np.diag(factor)).sum()
        away = (theta - prior[:, 0]) / prior[:, 1]
        return 0.5 * (away**2).sum() - likelihood, away / prior[:, 1] - np.array(gradient)

    settings = {"maxiter": n_iterations}
    found: Any = minimize(objective, prior[:, 0], jac=True, method="L-BFGS-B", bounds=bounds, options=settings)
    return setting_of(found.x[:q], kernels), _lines(found.x[q:])


def _lines(theta: Floats) -> Lines:
    offsets, scales, own, noises = theta.reshape(4, -1)
    return Lines(offsets, scales, np.exp(np.clip(own, -15, 15)), np.exp(np.clip(noises, -15, 15)))
