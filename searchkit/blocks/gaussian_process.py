"""The Gaussian process behind block values: a sum over blocks, their pairs, and a base that costs nothing.

With x a network's block features and s = <x, x'>, the blocks have covariance s and the pairs w s^2. The penalty, w, the
exponent of the MACs ratio, and whether values or ranks are fitted are those of the least leave-one-out error, which is
known in closed form (Golub, Heath and Wahba, Technometrics 21, 1979; Rasmussen and Williams 2006, equation 5.12).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from searchkit.problem.ranks import rank_correlation
from searchkit.types import Codes, Floats

PENALTIES = np.logspace(-4, 1.5, 23)  # of the squared block values, in units of the targets' variance
PAIRWISE = (0.1, 0.3, 1.0, 3.0)  # weights of the pairwise terms that are tried beside 0
EXPONENTS = (0.25, 0.5, 1.0)  # of the MACs ratio, tried beside 0
ENOUGH = 20  # networks from which pairwise terms and an exponent are tried
MOST = 500  # networks on which these are chosen
FREE = 100.0  # prior variance of the base and of the trend: next to no penalty


@dataclass(frozen=True)
class Inputs:
    """What covariances are made of: features ``(n, p)``, MACs ratio ``(n,)``, and base and trend ``(n, 1 or 2)``."""

    x: Floats
    ratio: Floats
    free: Floats
    mean_macs: float

    def rows(self, which: Codes) -> Inputs:
        return Inputs(self.x[which], self.ratio[which], self.free[which], self.mean_macs)


def _covariance(a: Inputs, b: Inputs, pairwise: float, exponent: float, unit: float) -> Floats:
    s = a.x @ b.x.T
    covariance = (s + pairwise * s * s) / unit
    if exponent:
        covariance *= np.outer(a.ratio**exponent, b.ratio**exponent)
    total: Floats = covariance + FREE * (a.free @ b.free.T)
    return total


def _unit(inputs: Inputs, pairwise: float) -> float:
    """The mean variance that the blocks give, the base apart: penalties are then alike in all spaces."""
    s = inputs.x @ inputs.x.T
    k = s + pairwise * s * s
    return float(np.mean(np.diag(k)) - k.mean()) or 1.0


@dataclass(frozen=True)
class Chosen:
    target: int
    pairwise: float
    exponent: float
    penalty: float
    additive_penalty: float


def chosen(inputs: Inputs, targets: Floats, y: Floats, *, ratio: bool) -> Chosen:
    """The hyperparameters of the least leave-one-out error; of the two targets the one that orders better."""
    if len(y) > MOST:
        rows = np.random.default_rng(0).permutation(len(y))[:MOST]
        inputs, targets, y = inputs.rows(rows), targets[:, rows], y[rows]
    found = {(0.0, 0.0): list(_left_out(inputs, targets, 0.0, 0.0))}
    if len(y) >= ENOUGH:
        for pairwise in PAIRWISE:
            found[pairwise, 0.0] = list(_left_out(inputs, targets, pairwise, 0.0))
        if ratio:
            for pairwise in {min(found, key=lambda key: found[key][t][0])[0] for t in range(len(targets))}:
                for exponent in EXPONENTS:
                    found[pairwise, exponent] = list(_left_out(inputs, targets, pairwise, exponent))
    best = [min(found, key=lambda key: found[key][t][0]) for t in range(len(targets))]
    orders = [rank_correlation(found[key][t][2], y) for t, key in enumerate(best)]
    target = int(np.argmax(orders))
    pairwise, exponent = best[target]
    return Chosen(target, pairwise, exponent, found[best[target]][target][1], found[0.0, 0.0][target][1])


def _left_out(
    inputs: Inputs, targets: Floats, pairwise: float, exponent: float
) -> Iterator[tuple[float, float, Floats]]:
    """For each target: mean square leave-one-out error, the penalty where it is least, and the predictions."""
    covariance = _covariance(inputs, inputs, pairwise, exponent, _unit(inputs, pairwise))
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    squared = vectors**2
    for t in targets:
        projected = vectors.T @ t
        best: tuple[float, float, Floats] | None = None
        for penalty in PENALTIES:
            inverse = 1 / (values + penalty)
            left_out = t - (vectors @ (inverse * projected)) / (squared @ inverse)
            error = float(np.mean((left_out - t) ** 2))
            if best is None or error < best[0]:
                best = error, float(penalty), left_out
        assert best is not None
        yield best


@dataclass(frozen=True)
class Process:
    """The posterior at chosen hyperparameters.

    Attributes:
        targets, left_out: ``(n,)`` what was fitted and its leave-one-out predictions.
        apart: ``(n,)`` the same with the base known. Where nothing was learned, left-out predictions are the means of
            the others, which order networks the wrong way round; these are then equal.
        residuals: ``(n,)`` leave-one-out errors over their predicted deviations.
        variance: of the process, in squared units of the targets.
    """

    inputs: Inputs
    targets: Floats
    left_out: Floats
    apart: Floats
    residuals: Floats
    variance: float
    pairwise: float
    exponent: float
    unit: float
    shift: float
    scale: float
    alpha: Floats
    inverse: Floats

    def scaled(self, shift: float, scale: float) -> Process:
        """The same of ``shift + scale * targets``."""
        targets, left_out, apart = (shift + scale * values for values in (self.targets, self.left_out, self.apart))
        variance = scale**2 * self.variance
        return replace(
            self, targets=targets, left_out=left_out, apart=apart, variance=variance, shift=shift, scale=scale
        )

    def predict(self, new: Inputs) -> tuple[Floats, Floats]:
        parts = [self._part(new.rows(np.arange(i, min(i + 4096, len(new.x))))) for i in range(0, len(new.x), 4096)]
        if not parts:
            return np.empty(0), np.empty(0)
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])

    def _part(self, new: Inputs) -> tuple[Floats, Floats]:
        between = _covariance(new, self.inputs, self.pairwise, self.exponent, self.unit)
        s = (new.x * new.x).sum(axis=1)
        own = (s + self.pairwise * s * s) / self.unit * new.ratio ** (2 * self.exponent)
        own += FREE * (new.free**2).sum(axis=1)
        left = np.maximum(own - ((between @ self.inverse) * between).sum(axis=1), 0.0)
        return self.shift + self.scale * (between @ self.alpha), np.sqrt(self.variance * left)


def process(inputs: Inputs, t: Floats, pairwise: float, exponent: float, penalty: float) -> Process:
    unit = _unit(inputs, pairwise)
    covariance = _covariance(inputs, inputs, pairwise, exponent, unit)
    inverse = _inverse(covariance, penalty)
    alpha = inverse @ t
    spread = 1 / np.diag(inverse)  # variance of a left-out target, in units of the process
    errors = alpha * spread
    known = _inverse(covariance - FREE, penalty)  # the base, which is the first of what is free, taken as known
    base = FREE * float(inputs.free[:, 0] @ alpha)
    apart = t - (known @ (t - base)) / np.diag(known)
    variance = float(np.mean(errors**2 / spread)) or 1e-12
    residuals = errors / np.sqrt(variance * spread)
    return Process(
        inputs, t, t - errors, apart, residuals, variance, pairwise, exponent, unit, 0.0, 1.0, alpha, inverse
    )  # fmt: skip


def _inverse(covariance: Floats, penalty: float) -> Floats:
    return np.asarray(np.linalg.inv(covariance + penalty * np.eye(len(covariance))), dtype=np.float64)
