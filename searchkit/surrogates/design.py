"""Which candidates to measure: those whose measurement tells most about all the others."""

from __future__ import annotations

import numpy as np

from searchkit.surrogates.gaussian_process import WEIGHT, Hyperparameters, covariances
from searchkit.surrogates.known_devices import Inputs
from searchkit.types import Bools, Codes, Floats


def most_telling(
    inputs: Inputs, setting: Hyperparameters, n: int, judged: Codes, free: Bools, measured: int = 0
) -> list[int]:
    """Rows that are chosen one after the other; each lowers the mean variance of the judged ones as far as it can.

    The variances are those of a Gaussian process, which do not depend on what is measured: active learning by expected
    variance, Cohn, Ghahramani and Jordan, Active Learning with Statistical Models (1996), for a process as in Seo et
    al., Gaussian Process Regression: Active Data Selection and Test Point Rejection (2000).

    Args:
        inputs: of N candidates.
        setting: the hyperparameters of the process.
        n: how many to choose.
        judged: ``(m,)`` rows whose variance counts.
        free: ``(N,)`` which rows may be chosen, at least n.
        measured: so many of the first rows are known already.
    """
    noise, scale = setting.noise + 1e-9, WEIGHT[1] ** 2  # the weight of the known mean is uncertain as well

    def prior(rows: Codes) -> Floats:
        seen = inputs[rows]
        product: Floats = covariances(inputs.groups, seen.groups, inputs.kernels, setting)
        return product + scale * np.outer(inputs.mean, seen.mean)

    shared = prior(judged)
    diagonals = [kernel.diagonal(group) for kernel, group in zip(inputs.kernels, inputs.groups, strict=True)]
    variance = sum((a * d for a, d in zip(setting.amplitudes, diagonals, strict=True)), start=np.zeros(len(free)))
    variance = variance + setting.constant + scale * inputs.mean**2
    free = free.copy()
    told = np.empty((len(free), 0))  # half of what the chosen ones explain: told @ told.T
    chosen: list[int] = []
    for step in range(measured + n):
        if step < measured:
            best = step
        else:
            gain = np.where(free, (shared**2).sum(axis=1) / (np.maximum(variance, 0.0) + noise), -np.inf)
            best = int(gain.argmax())
            chosen.append(best)
            free[best] = False
        column = prior(np.array([best]))[:, 0] - told @ told[best]
        column /= np.sqrt(max(column[best], 0.0) + noise)
        shared = shared - np.outer(column, column[judged])
        variance = variance - column**2
        told = np.concatenate([told, column[:, None]], axis=1)
    return chosen
