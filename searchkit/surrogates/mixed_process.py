"""A Gaussian process on positions of mixed columns, with the gradients of its posterior.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1; the covariance is that of
:mod:`searchkit.surrogates.mixed_kernel`. Losses: lower is better. :mod:`searchkit.surrogates.mixed_fit` finds the
hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dtrtri

from searchkit.surrogates.mixed_kernel import Columns, Encoded, Setting, covariances, covariances_and_slopes
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class MixedProcess:
    """The posterior of a process, given n observations.

    Attributes:
        setting: hyperparameters.
        known: the candidates that were observed.
        y: ``(n,)`` what was observed, near zero mean and unit variance.
        mean: the constant prior mean.
    """

    columns: Columns
    setting: Setting
    known: Encoded
    y: Floats
    mean: float
    factor: Floats
    alpha: Floats

    @classmethod
    def of(cls, columns: Columns, setting: Setting, positions: Floats, y: Floats) -> MixedProcess:
        """The posterior with given hyperparameters; positions ``(n, d)`` with NaN where inactive.

        Raises:
            numpy.linalg.LinAlgError: the covariance is not positive definite.
        """
        known = columns.encoded(positions)
        covariance = covariances(columns, setting, known, known)
        covariance[np.diag_indices(len(y))] = setting.variance + setting.noise
        factor = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        return cls(columns, setting, known, y, 0.0, factor, y).observing(y)

    def observing(self, y: Floats) -> MixedProcess:
        """The same candidates with other observations ``(n,)``; the prior mean is the most likely one."""
        solved = cho_solve((self.factor, True), np.column_stack([y, np.ones(len(y))]), check_finite=False)
        mean = float(solved[:, 0].sum() / solved[:, 1].sum())
        return replace(self, y=y, mean=mean, alpha=solved[:, 0] - mean * solved[:, 1])

    def grown(self, positions: Floats) -> MixedProcess:
        """With one more candidate ``(d,)``, which is taken to be observed as it is predicted.

        The factor gets one row more, which takes n^2. After all have been added, :meth:`observing` says what they were.
        """
        one = self.columns.encoded(positions[None])
        across = self._covariances(one)[0]
        row = solve_triangular(self.factor, across, lower=True, check_finite=False)
        corner = self.setting.variance + self.setting.noise - float(row @ row)
        n = len(row)
        factor = np.zeros((n + 1, n + 1))
        factor[:n, :n], factor[n, :n], factor[n, n] = self.factor, row, np.sqrt(max(corner, 0.5 * self.setting.noise))
        predicted = self.mean + float(across @ self.alpha)
        return replace(
            self, known=self.known + one, factor=factor, y=np.append(self.y, predicted),
            alpha=np.append(self.alpha, 0.0),
        )  # fmt: skip

    def _covariances(self, new: Encoded) -> Floats:
        return covariances(self.columns, self.setting, new, self.known)

    def predict(self, positions: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of candidates ``(m, d)``, noise not included."""
        across = self._covariances(self.columns.encoded(positions))
        half = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        variance = self.setting.variance - np.einsum("ij,ij->j", half, half)
        return self.mean + across @ self.alpha, np.sqrt(np.maximum(variance, 1e-10 * self.setting.variance))

    def at_known(self) -> Floats:
        """``(n,)`` the posterior mean, noise not included, of the observed candidates."""
        found: Floats = self.y - self.setting.noise * self.alpha  # K alpha = y - mean - noise alpha
        return found

    def gradients(self, positions: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Mean and deviation ``(m,)`` of candidates ``(m, d)``, and the derivatives of both by positions ``(m, d)``.

        Derivatives by categories and by inactive columns are 0.
        """
        new = self.columns.encoded(positions)
        across, slope = covariances_and_slopes(self.columns, self.setting, new, self.known)
        half = across @ self._inverse.T
        solved = half @ self._inverse
        variance = np.maximum(self.setting.variance - (half**2).sum(axis=1), 1e-10 * self.setting.variance)
        std = np.sqrt(variance)
        by_mean = self._chained(new, slope * self.alpha, positions)
        by_variance = -2.0 * self._chained(new, slope * solved, positions)
        return self.mean + across @ self.alpha, std, by_mean, by_variance / (2.0 * std[:, None])

    @cached_property
    def _inverse(self) -> Floats:
        """``(n, n)`` the inverse of the factor: gradients are asked for some dozen times, a few candidates each."""
        found: Floats = dtrtri(self.factor, lower=1)[0]
        return found

    def _chained(self, new: Encoded, coefficients: Floats, positions: Floats) -> Floats:
        """``(m, d)`` sums over observations of coefficients ``(m, n)`` times scale d(squared distance) / d(x)."""
        numbers = ~self.columns.category
        p = int(numbers.sum())
        x, known = new.numbers[:, :p], self.known.numbers[:, :p]
        found = np.zeros(positions.shape)
        differences = x * coefficients.sum(axis=1)[:, None] - coefficients @ known
        found[:, numbers] = 2.0 * self.setting.scale * self.setting.weights[numbers] * differences
        found[np.isnan(positions)] = 0.0
        return found

    def left_out(self) -> tuple[Floats, Floats]:
        """Leave-one-out means and deviations ``(n,)``, noise included (Rasmussen and Williams, eq. 5.12)."""
        half = solve_triangular(self.factor, np.eye(len(self.y)), lower=True, check_finite=False)
        precision = (half**2).sum(axis=0)
        return self.y - self.alpha / precision, 1.0 / np.sqrt(precision)

    def joint(self, rows: Codes) -> tuple[Floats, Floats]:
        """Posterior mean ``(r,)`` and covariance ``(r, r)``, noise not included, of some observed candidates."""
        some = Encoded(self.known.numbers[rows], self.known.categories[rows])
        across = self._covariances(some)
        half = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        among = covariances(self.columns, self.setting, some, some)
        return self.mean + across @ self.alpha, among - half.T @ half
