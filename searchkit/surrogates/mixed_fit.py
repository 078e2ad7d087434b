"""The hyperparameters of a mixed process: those of highest posterior probability.

Length scales have a log-normal prior around one range. Priors that grow with the root of the number of columns
(Hvarfner, Hellsten and Nardi, Vanilla Bayesian optimization performs great in high dimensions, ICML 2024) were no
better on Hartmann's function and worse on Ackley's, Rosenbrock's and Levy's, in 4 to 12 dimensions (8 seeds each).
Those of categories are short. With the prior of numbers, made problems with categories came out a little better and a
network's conditional parameters worse (of 16 runs of 100 evaluations, 2 better and 9 worse than before categories had
effects; with the short one 4 and 7). Wider priors of effects and of what is shared made no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from searchkit.surrogates.mixed_kernel import Columns, Setting, matern_and_slope, parts
from searchkit.types import Floats

LEAST_NOISE = 1e-6  # of unit variance: a covariance of near candidates can still be factored
LOWEST, HIGHEST = math.log(5e-3), math.log(1e3)  # of length scales


@dataclass(frozen=True)
class Prior:
    """Means and deviations of the normal prior on logarithms.

    Attributes:
        length, category: length scales of numbers and of categories.
        scale, noise: variances of the function of all columns and of the noise.
        shared, effect: variances of the function of numbers alone, where there are both, and of a category's effect.
    """

    length: tuple[float, float] = (0.0, 1.0)
    category: tuple[float, float] = (-0.7, 0.5)
    scale: tuple[float, float] = (0.0, 1.0)
    noise: tuple[float, float] = (math.log(1e-3), 2.5)
    shared: tuple[float, float] = (-2.0, 1.5)
    effect: tuple[float, float] = (-2.0, 1.5)

    def of(self, columns: Columns) -> Floats:
        """``(k, 2)`` means and deviations of lengths, scale, noise, what is shared and effects, as far as they are."""
        lengths = [self.category if category else self.length for category in columns.category]
        shared, effects = [self.shared] * columns.mixed, [self.effect] * columns.n_effects
        return np.array([*lengths, self.scale, self.noise, *shared, *effects])


PRIOR = Prior()


def fit(
    columns: Columns, positions: Floats, y: Floats, *, prior: Prior = PRIOR, n_iterations: int = 50
) -> tuple[Setting, float]:
    """The most probable setting and the log of its posterior probability, up to a constant.

    Args:
        positions: ``(n, d)``, NaN where inactive.
        y: ``(n,)`` observations, near zero mean and unit variance.
        n_iterations: at most so many steps of L-BFGS.
    """
    d = positions.shape[1]
    belief = prior.of(columns)
    objective = Objective(columns, parts(columns, columns.encoded(positions)), y, belief)
    bounds = [(LOWEST, HIGHEST)] * d + [(-7.0, 7.0), (math.log(LEAST_NOISE), 3.0)]
    bounds += [(-12.0, 7.0)] * (len(belief) - len(bounds))
    start = np.clip(belief[:, 0], [low for low, _ in bounds], [high for _, high in bounds])
    found: Any = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": n_iterations}
    )
    return setting_of(columns, found.x), -float(found.fun)


def setting_of(columns: Columns, theta: Floats) -> Setting:
    """The hyperparameters whose logarithms are ``(k,)``, in the order of :meth:`Prior.of`."""
    d, positive = len(columns.category), np.exp(theta)
    shared = float(positive[d + 2]) if columns.mixed else 0.0
    return Setting(positive[:d], float(positive[d]), float(positive[d + 1]), shared, positive[d + 2 + columns.mixed :])


class Objective:
    """Negative log posterior of logarithms of hyperparameters, and its gradient.

    Args:
        distances: ``(d, p)`` of all pairs, as of :func:`searchkit.surrogates.mixed_kernel.parts`.
        y: ``(n,)`` observations.
        belief: as of :meth:`Prior.of`.
    """

    def __init__(self, columns: Columns, distances: Floats, y: Floats, belief: Floats) -> None:
        self._columns, self._y, self._belief = columns, y, belief
        self._numbers, self._categories = distances[~columns.category], distances[columns.category]
        self._ones = np.ones(len(y))
        self._pairs = np.tril_indices(len(y), -1)
        self._same = 1.0 - self._categories if columns.n_effects else self._categories[:0]

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        n, y = len(self._y), self._y
        setting = setting_of(self._columns, theta)
        numbers, categories = setting.weights[~self._columns.category], setting.weights[self._columns.category]
        alone, by_distance = matern_and_slope(numbers @ self._numbers)
        alike = np.exp(-0.5 * (categories @ self._categories))
        correlation, weighed = alone * alike, alike + setting.shared / setting.scale
        covariance = np.zeros((n, n), order="F")
        covariance[self._pairs] = setting.scale * (alone * weighed) + setting.effects @ self._same
        covariance[np.diag_indices(n)] = setting.variance + setting.noise
        factor, failed = dpotrf(covariance, lower=1, overwrite_a=1)  # the upper half is not looked at
        if failed:
            return 1e10, 0.0 * theta
        solved = cho_solve((factor, True), np.column_stack([y, self._ones]), check_finite=False)
        mean = solved[:, 0].sum() / solved[:, 1].sum()  # the most likely one, so that its derivative is 0
        alpha = solved[:, 0] - mean * solved[:, 1]
        # Rasmussen and Williams 2006, eq. 5.8 and 5.9; each pair stands in the covariance twice
        likelihood = -0.5 * (y - mean) @ alpha - np.log(np.diag(factor)).sum() - 0.5 * n * math.log(2 * math.pi)
        inverse, _ = dpotri(factor, lower=1)
        slope = alpha[self._pairs[0]] * alpha[self._pairs[1]] - inverse[self._pairs]
        diagonal = 0.5 * (alpha @ alpha - np.trace(inverse))
        by_lengths = np.empty(len(setting.lengths))
        by_numbers = self._numbers @ (slope * by_distance * weighed)
        by_lengths[~self._columns.category] = -2.0 * setting.scale * numbers * by_numbers
        by_lengths[self._columns.category] = setting.scale * categories * (self._categories @ (slope * correlation))
        gradient = np.concatenate([
            by_lengths,
            [setting.scale * (slope @ correlation + diagonal), setting.noise * diagonal],
            [setting.shared * (slope @ alone + diagonal)] * self._columns.mixed,
            setting.effects * (self._same @ slope + diagonal),
        ])  # fmt: skip
        away = (theta - self._belief[:, 0]) / self._belief[:, 1]
        return float(0.5 * (away**2).sum() - likelihood), away / self._belief[:, 1] - gradient
