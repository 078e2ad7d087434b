"""A cost that a target could not measure, predicted from the candidates whose cost it has measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.types import Codes, Floats

LEAST = 5  # measured candidates that a model is fitted to
NO_MODEL = 3.0  # standard error of the logarithm where there is no model: a factor of 20, which decides no bound
SURE = 2.0  # standard errors from a prediction to the end of the range in which the value is believed to be
PENALTIES = 10.0 ** np.arange(-3, 4)


@dataclass(frozen=True)
class Measurement:
    """A candidate with a measured cost: its code ``(d,)``, its params and macs, and the value, above 0."""

    code: Codes
    params: float
    macs: float
    value: float


@dataclass(frozen=True)
class Prediction:
    """A predicted cost.

    Attributes:
        value: in the unit of the measurements.
        error: standard error of its logarithm, about the relative error.
        n: measured candidates that it was made from.
    """

    value: float
    error: float
    n: int


def predict(measured: Sequence[Measurement], code: Codes, params: float, macs: float) -> Prediction:
    """Predict the cost of a candidate: ridge regression of its logarithm on those of params and macs and the choices.

    The penalty is the one with the smallest error when each measured candidate is left out in turn. The standard error
    is a little larger than that error, since it is told by few: by sqrt((n + 1) / (n - 2)). On the published latencies
    of NAS-Bench-201 on eight devices 6 to 9 % of values are then more than two standard errors off, from 5, 8, 15 or 40
    measured ones. With fewer than :data:`LEAST` there is no model: the value is their geometric mean.

    Args:
        measured: at least one.
        code: ``(d,)``, of the candidate to predict.
    """
    y = np.log([one.value for one in measured])
    if len(measured) < LEAST:
        return Prediction(float(np.exp(y.mean())), NO_MODEL, len(measured))
    codes = np.stack([*(one.code for one in measured), code])
    counts = np.array([*((one.params, one.macs) for one in measured), (params, macs)], dtype=np.float64)
    x = _features(codes, counts)
    centre = y.mean()
    best, weights = np.inf, np.zeros(x.shape[1])
    for penalty in PENALTIES:
        fitted, error = _ridge(x[:-1], y - centre, float(penalty))
        if error < best:
            best, weights = error, fitted
    n = len(measured)
    error = best * np.sqrt((n + 1) / (n - 2))
    return Prediction(float(np.exp(centre + x[-1] @ weights)), float(error), n)


def _features(codes: Codes, counts: Floats) -> Floats:
    """``(n, f)``, standardised by all rows but the last, which is the one to predict; constant columns are left out."""
    options = [(codes[:, j] == option) for j in range(codes.shape[1]) for option in np.unique(codes[:-1, j])]
    columns = np.column_stack([np.log1p(np.nan_to_num(counts)), *(column.astype(np.float64) for column in options)])
    centre, spread = columns[:-1].mean(axis=0), columns[:-1].std(axis=0)
    varies = spread > 1e-12
    standard: Floats = (columns[:, varies] - centre[varies]) / spread[varies]
    standard[:, 2:] /= np.sqrt(max(1, codes.shape[1]))  # together, the choices weigh as much as the counts
    return standard


def _ridge(x: Floats, y: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights of a ridge regression, and its root mean square error when each row is left out in turn."""
    inverse = np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1]))
    weights: Floats = inverse @ (x.T @ y)
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x) + 1 / len(y)  # the mean is fitted as well
    left_out = (y - x @ weights) / np.maximum(1 - leverage, 1e-6)
    return weights, float(np.sqrt(np.mean(left_out**2)))
