"""The Gaussian process behind block values: a sum over blocks, their pairs, and a base that costs nothing.

With x a network's block features and s = <x, x'>, the blocks have covariance s and the pairs w s^2. Of what ordered
choices vary by, a share is for where their options stand on the scale, the rest for indicators: smooth effects, and
deviations from them. The penalty, w, the share, the exponent of the MACs ratio, and whether values or ranks are fitted
are those of the least leave-one-out error, which is known in closed form (Golub, Heath and Wahba, Technometrics 21,
1979; Rasmussen and Williams 2006, section 5.4.2).
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
SHARES = (0.0, 0.9, 0.99)  # of the variance due to ordered choices, for their smooth features
WEIGHTIEST = 1.0  # pairwise terms of smooth features: of a few dozen networks, 3 fitted noise
ENOUGH = 20  # networks from which pairwise terms and an exponent are tried
MOST = 500  # networks on which the hyperparameters are chosen
HELD = 1500  # networks that the posterior is of: it takes n^3, with 5,000 half a minute
FREE = 100.0  # prior variance of the base and of the trend: next to no penalty


@dataclass(frozen=True)
class BlockFeatures:
    """What covariances are computed from: features ``(n, p)``, MACs ratio ``(n,)``, base and trend ``(n, 1 or 2)``.

    Smooth features ``(n, q)`` of ordered choices, and which of the others ``(p,)`` are of these, enter by ``blended``.
    """

    x: Floats
    ratio: Floats
    free: Floats
    mean_macs: float
    smooth: Floats
    ordered: Floats

    def rows(self, which: Codes) -> BlockFeatures:
        x, smooth = self.x[which], self.smooth[which]
        return replace(self, x=x, ratio=self.ratio[which], free=self.free[which], smooth=smooth)

    def blended(self, share: float) -> BlockFeatures:
        """The same with smooth features after the others, which are of ordered choices ``1 - share`` in variance."""
        if not share:
            return self
        x = [self.x * np.sqrt(1 - share * self.ordered), self.smooth * np.sqrt(share)]
        return replace(self, x=np.concatenate(x, axis=1))


def _covariance(a: BlockFeatures, b: BlockFeatures, pairwise: float, exponent: float, unit: float) -> Floats:
    s = a.x @ b.x.T
    covariance = (s + pairwise * s * s) / unit  # blocks s and pairs w s^2, see the module
    if exponent:
        covariance *= np.outer(a.ratio**exponent, b.ratio**exponent)
    total: Floats = covariance + FREE * (a.free @ b.free.T)
    return total


def _unit(inputs: BlockFeatures, pairwise: float) -> float:
    """The mean variance due to the blocks, without the base: divided by it, penalties mean the same in every space."""
    s = inputs.x @ inputs.x.T
    k = s + pairwise * s * s
    return float(np.mean(np.diag(k)) - k.mean()) or 1.0


@dataclass(frozen=True)
class Chosen:
    """Hyperparameters, and which of the targets they are for (0 values, 1 ranks)."""

    target: int
    share: float
    pairwise: float
    exponent: float
    penalty: float
    additive_share: float
    additive_penalty: float


def chosen(inputs: BlockFeatures, targets: Floats, y: Floats, *, ratio: bool) -> Chosen:
    """The hyperparameters of least leave-one-out error, for the target whose predictions rank networks better."""
    if len(y) > MOST:
        rows = np.random.default_rng(0).permutation(len(y))[:MOST]
        inputs, targets, y = inputs.rows(rows), targets[:, rows], y[rows]
    shares = SHARES if inputs.smooth.shape[1] else SHARES[:1]
    found: dict[tuple[float, float, float], list[tuple[float, float, Floats]]] = {}
    for share in shares:
        blended = inputs.blended(share)
        for pairwise in (0.0, *PAIRWISE) if len(y) >= ENOUGH else (0.0,):
            if not share or pairwise <= WEIGHTIEST:
                found[pairwise, 0.0, share] = list(_left_out(blended, targets, pairwise, 0.0))
    if len(y) >= ENOUGH and ratio:
        for pairwise, _, share in [min(found, key=lambda key: found[key][t][0]) for t in range(len(targets))]:
            for exponent in EXPONENTS:
                if (pairwise, exponent, share) not in found:
                    inside = _left_out(inputs.blended(share), targets, pairwise, exponent)
                    found[pairwise, exponent, share] = list(inside)
    best = [min(found, key=lambda key: found[key][t][0]) for t in range(len(targets))]
    orders = [rank_correlation(found[key][t][2], y) for t, key in enumerate(best)]
    target = int(np.argmax(orders))
    pairwise, exponent, share = best[target]
    sums = min(shares, key=lambda one: found[0.0, 0.0, one][target][0])
    return Chosen(
        target, share, pairwise, exponent, found[best[target]][target][1], sums, found[0.0, 0.0, sums][target][1]
    )  # fmt: skip


def _left_out(
    inputs: BlockFeatures, targets: Floats, pairwise: float, exponent: float
) -> Iterator[tuple[float, float, Floats]]:
    """For each target: mean square leave-one-out error, the penalty where it is least, and the predictions."""
    covariance = _covariance(inputs, inputs, pairwise, exponent, _unit(inputs, pairwise))
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    inverse = 1 / (values + PENALTIES[:, None])
    spreads = inverse @ (vectors**2).T
    for t in targets:
        left_out = t - (inverse * (vectors.T @ t)) @ vectors.T / spreads  # Rasmussen and Williams, eq. 5.12
        errors = np.mean((left_out - t) ** 2, axis=1)
        best = int(np.argmin(errors))
        yield float(errors[best]), float(PENALTIES[best]), left_out[best]


@dataclass(frozen=True)
class BlockProcess:
    """The posterior at chosen hyperparameters.

    Attributes:
        targets, left_out: ``(n,)`` what was fitted and its leave-one-out predictions.
        apart: ``(n,)`` the same with the base taken as known. Where nothing was learned, these are all equal, while
            ``left_out`` are the means of the other networks, which rank networks in reverse.
        variance: of the process, in squared units of the targets.
    """

    inputs: BlockFeatures
    targets: Floats
    left_out: Floats
    apart: Floats
    variance: float
    pairwise: float
    exponent: float
    unit: float
    shift: float
    scale: float
    alpha: Floats
    inverse: Floats

    def scaled(self, shift: float, scale: float) -> BlockProcess:
        """The same process for ``shift + scale * targets``."""
        targets, left_out, apart = (shift + scale * values for values in (self.targets, self.left_out, self.apart))
        variance = scale**2 * self.variance
        return replace(
            self, targets=targets, left_out=left_out, apart=apart, variance=variance, shift=shift, scale=scale
        )

    def means(self, new: BlockFeatures) -> Floats:
        """``(n,)`` means of new networks."""
        parts = [self._mean(part) for part in _parts(new)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _mean(self, new: BlockFeatures) -> Floats:
        between = _covariance(new, self.inputs, self.pairwise, self.exponent, self.unit)
        mean: Floats = self.shift + self.scale * (between @ self.alpha)
        return mean

    def predict(self, new: BlockFeatures) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n,)`` of new networks, noise not included."""
        parts = [self._part(part) for part in _parts(new)]
        if not parts:
            return np.empty(0), np.empty(0)
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])

    def _part(self, new: BlockFeatures) -> tuple[Floats, Floats]:
        between = _covariance(new, self.inputs, self.pairwise, self.exponent, self.unit)
        s = (new.x * new.x).sum(axis=1)
        own = (s + self.pairwise * s * s) / self.unit * new.ratio ** (2 * self.exponent)
        own += FREE * (new.free**2).sum(axis=1)
        left = np.maximum(own - ((between @ self.inverse) * between).sum(axis=1), 0.0)
        return self.shift + self.scale * (between @ self.alpha), np.sqrt(self.variance * left)


def _parts(new: BlockFeatures) -> Iterator[BlockFeatures]:
    """Networks 4,096 at a time, so that covariances of many take little memory."""
    for i in range(0, len(new.x), 4096):
        yield new.rows(np.arange(i, min(i + 4096, len(new.x))))


def held(n: int) -> Codes:
    """``(m,)`` rows of n networks that the posterior is of: all up to 1,500, else the last 750 and as many before."""
    if n <= HELD:
        return np.arange(n)
    newest = HELD // 2
    older = np.random.default_rng(0).permutation(n - newest)[: HELD - newest]
    return np.concatenate([np.sort(older), np.arange(n - newest, n)])


def fit_process(inputs: BlockFeatures, t: Floats, pairwise: float, exponent: float, penalty: float) -> BlockProcess:
    """The posterior given targets ``t`` ``(n,)`` at these hyperparameters."""
    unit = _unit(inputs, pairwise)
    covariance = _covariance(inputs, inputs, pairwise, exponent, unit)
    inverse = _inverse(covariance, penalty)
    alpha = inverse @ t
    spread = 1 / np.diag(inverse)  # variance of a left-out target, in units of the process
    errors = alpha * spread  # of leave-one-out predictions: Rasmussen and Williams, eq. 5.12
    known = _inverse(covariance - FREE, penalty)  # without the base, the first of the free columns
    base = FREE * float(inputs.free[:, 0] @ alpha)
    apart = t - (known @ (t - base)) / np.diag(known)
    variance = float(np.mean(errors**2 / spread)) or 1e-12
    return BlockProcess(
        inputs, t, t - errors, apart, variance, pairwise, exponent, unit, 0.0, 1.0, alpha, inverse
    )  # fmt: skip


def _inverse(covariance: Floats, penalty: float) -> Floats:
    penalised = covariance + penalty * np.eye(len(covariance))
    try:
        return np.asarray(np.linalg.inv(penalised), dtype=np.float64)
    except np.linalg.LinAlgError:  # one network, evaluated many times
        return np.asarray(np.linalg.pinv(penalised, hermitian=True), dtype=np.float64)
