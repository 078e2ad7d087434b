"""Block values from evaluated networks: regularised least squares on what a network is made of.

MathNAS (arXiv 2311.04943) switches one block at a time around one network; re-measured, that is too noisy to rank a
space, and least squares on a few dozen random networks does better. The model is

    value = base + trend + (mean MACs / MACs)^exponent * (sum of block values + pairwise terms)

in its dual form, a Gaussian process: with x a network's block features and s = <x, x'>, the blocks have covariance s
and the pairs w s^2. The penalty, w, the exponent, and whether values or ranks are fitted are those of the least
leave-one-out error, which is known in closed form (Golub, Heath and Wahba, Technometrics 21, 1979). MathNAS takes the
exponent 1; here 0, a plain sum, wins more often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from searchkit.additive import Additive, Blocks
from searchkit.ranks import normal_scores, rank_correlation
from searchkit.space import Codes, Floats

PENALTIES = np.logspace(-4, 1.5, 23)  # of the squared block values, in units of the targets' variance
PAIRWISE = (0.1, 0.3, 1.0, 3.0)  # weights of the pairwise terms that are tried beside 0
EXPONENTS = (0.25, 0.5, 1.0)  # of the MACs ratio, tried beside 0
ENOUGH = 20  # networks from which pairwise terms and an exponent are tried
MOST = 500  # networks on which these are chosen
FREE = 100.0  # prior variance of the base and of the trend: next to no penalty


@dataclass(frozen=True)
class BlockFit:
    """A fitted model, and how sure it is; to be minimised or not, as what was fitted.

    Attributes:
        model: its purely additive form, which :mod:`searchkit.exact` takes; fitted by itself.
        on_ranks: everything is in normal scores, which fitted the order better than the values.
        pairwise, exponent, penalty: what was chosen; 0 where the model is additive.
        left_out: ``(n,)`` leave-one-out predictions of what was fitted.
        error: their root mean square error.
        residuals: ``(n,)`` leave-one-out errors over their predicted deviations.
    """

    model: Additive
    on_ranks: bool
    pairwise: float
    exponent: float
    penalty: float
    left_out: Floats
    error: float
    residuals: Floats
    _blocks: Blocks
    _full: _Process
    _trend: Additive | None

    def predict(self, picked: Codes, macs: Floats | None = None, beside: Floats | None = None) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n,)`` of networks ``(n, m)``, the noise of one evaluation not included.

        Args:
            macs, beside: as in :func:`fit_blocks`; needed where the model was fitted with them.
        """
        inputs = _inputs(self._blocks, picked, macs, self._full.inputs.mean_macs, self._trend, beside)
        return self._full.predict(inputs)

    def std(self, picked: Codes, macs: Floats | None = None) -> Floats:
        """``(n,)`` standard deviation of the prediction, the noise of one evaluation not included."""
        return self.predict(picked, macs)[1]

    def with_noise(self, std: Floats) -> Floats:
        """The deviation of one evaluation around the mean, from the deviation of the mean."""
        noisy: Floats = np.sqrt(std**2 + self._full.variance * self.penalty)
        return noisy


def fit_blocks(
    blocks: Blocks,
    codes: Codes,
    y: Floats,
    *,
    macs: Floats | None = None,
    trend: Additive | None = None,
    beside: Floats | None = None,
) -> BlockFit:
    """Fit values ``(n,)`` of candidates ``(n, d)``; n of 3 or more, finite.

    Args:
        macs: ``(n,)`` of the candidates, for the MACs ratio; no ratio is tried without.
        trend: block values that are known beforehand (a published table, ratings); they enter with a fitted factor.
        beside: ``(n, e)`` of 0 and 1, what blocks alone do not say, such as which of them carry a signal where others
            cut the network; the additive ``model`` is without it.
    """
    picked = blocks.choose(codes)
    mean_macs = 1.0 if macs is None else float(np.mean(macs))
    inputs = _inputs(blocks, picked, macs, mean_macs, trend, beside)
    targets = np.stack([(y - y.mean()) / (y.std() or 1.0), normal_scores(y)])
    choice = _chosen(inputs, targets, y, ratio=macs is not None)
    on_ranks = choice.target == 1
    shift, scale = (0.0, 1.0) if on_ranks else (float(y.mean()), float(y.std() or 1.0))
    t = targets[choice.target]
    full = _process(inputs, t, choice.pairwise, choice.exponent, choice.penalty).scaled(shift, scale)
    sums = full
    if choice.pairwise or choice.exponent:
        sums = _process(inputs, t, 0.0, 0.0, choice.additive_penalty).scaled(shift, scale)
    return BlockFit(
        model=_tables(blocks, sums, trend),
        on_ranks=on_ranks,
        pairwise=choice.pairwise,
        exponent=choice.exponent,
        penalty=choice.penalty,
        left_out=full.left_out,
        error=float(np.sqrt(np.mean((full.left_out - full.targets) ** 2))),
        residuals=full.residuals,
        _blocks=blocks,
        _full=full,
        _trend=trend,
    )


@dataclass(frozen=True)
class _Inputs:
    """What covariances are made of: features ``(n, p)``, MACs ratio ``(n,)``, and base and trend ``(n, 1 or 2)``."""

    x: Floats
    ratio: Floats
    free: Floats
    mean_macs: float

    def rows(self, which: Codes) -> _Inputs:
        return _Inputs(self.x[which], self.ratio[which], self.free[which], self.mean_macs)


def _inputs(
    blocks: Blocks,
    picked: Codes,
    macs: Floats | None,
    mean_macs: float,
    trend: Additive | None,
    beside: Floats | None,
) -> _Inputs:
    ratio = np.ones(len(picked)) if macs is None else mean_macs / np.maximum(macs, 1e-12)
    free = [np.ones(len(picked))]
    if trend is not None:
        centre, spread = _moments(trend)
        free.append((trend(picked) - centre) / spread)
    x = blocks.encode(picked)
    if beside is not None:
        x = np.concatenate([x, beside], axis=1)
    return _Inputs(x / _scale(blocks), ratio, np.column_stack(free), mean_macs)


def _scale(blocks: Blocks) -> float:
    """Of features, so that <x, x> is about 1."""
    return float(np.sqrt(sum(len(labels) for labels in blocks.labels)))


def _moments(trend: Additive) -> tuple[float, float]:
    """Mean and deviation of the trend over the whole space."""
    mean = trend.base + sum(float(table.mean()) for table in trend.tables)
    return mean, float(np.sqrt(sum(float(table.var()) for table in trend.tables))) or 1.0


def _covariance(a: _Inputs, b: _Inputs, pairwise: float, exponent: float, unit: float) -> Floats:
    s = a.x @ b.x.T
    covariance = (s + pairwise * s * s) / unit
    if exponent:
        covariance *= np.outer(a.ratio**exponent, b.ratio**exponent)
    total: Floats = covariance + FREE * (a.free @ b.free.T)
    return total


def _unit(inputs: _Inputs, pairwise: float) -> float:
    """The mean variance that the blocks give, the base apart: penalties are then alike in all spaces."""
    s = inputs.x @ inputs.x.T
    k = s + pairwise * s * s
    return float(np.mean(np.diag(k)) - k.mean()) or 1.0


@dataclass(frozen=True)
class _Choice:
    target: int
    pairwise: float
    exponent: float
    penalty: float
    additive_penalty: float


def _chosen(inputs: _Inputs, targets: Floats, y: Floats, *, ratio: bool) -> _Choice:
    """The hyperparameters of the least leave-one-out error; of the two targets the one that orders better."""
    if len(y) > MOST:
        rows = np.random.default_rng(0).permutation(len(y))[:MOST]
        inputs, targets, y = inputs.rows(rows), targets[:, rows], y[rows]
    found = {(0.0, 0.0): list(_left_out(inputs, targets, 0.0, 0.0))}
    if len(y) >= ENOUGH:
        for pairwise in PAIRWISE:
            found[pairwise, 0.0] = list(_left_out(inputs, targets, pairwise, 0.0))
        if ratio:
            for pairwise in {min(found, key=lambda key: found[key][t][0])[0] for t in range(2)}:
                for exponent in EXPONENTS:
                    found[pairwise, exponent] = list(_left_out(inputs, targets, pairwise, exponent))
    best = [min(found, key=lambda key: found[key][t][0]) for t in range(2)]
    orders = [rank_correlation(found[best[t]][t][2], y) for t in range(2)]
    target = int(orders[1] > orders[0])
    pairwise, exponent = best[target]
    return _Choice(target, pairwise, exponent, found[best[target]][target][1], found[0.0, 0.0][target][1])


def _left_out(
    inputs: _Inputs, targets: Floats, pairwise: float, exponent: float
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
class _Process:
    """The posterior at chosen hyperparameters.

    Attributes:
        targets, left_out: ``(n,)`` what was fitted and its leave-one-out predictions.
        residuals: ``(n,)`` leave-one-out errors over their predicted deviations.
        variance: of the process, in squared units of the targets.
    """

    inputs: _Inputs
    targets: Floats
    left_out: Floats
    residuals: Floats
    variance: float
    pairwise: float
    exponent: float
    unit: float
    shift: float
    scale: float
    alpha: Floats
    inverse: Floats

    def scaled(self, shift: float, scale: float) -> _Process:
        """The same of ``shift + scale * targets``."""
        return _Process(
            self.inputs, shift + scale * self.targets, shift + scale * self.left_out, self.residuals,
            scale**2 * self.variance, self.pairwise, self.exponent, self.unit, shift, scale, self.alpha, self.inverse,
        )  # fmt: skip

    def predict(self, new: _Inputs) -> tuple[Floats, Floats]:
        parts = [self._part(new.rows(np.arange(i, min(i + 4096, len(new.x))))) for i in range(0, len(new.x), 4096)]
        if not parts:
            return np.empty(0), np.empty(0)
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])

    def _part(self, new: _Inputs) -> tuple[Floats, Floats]:
        between = _covariance(new, self.inputs, self.pairwise, self.exponent, self.unit)
        s = (new.x * new.x).sum(axis=1)
        own = (s + self.pairwise * s * s) / self.unit * new.ratio ** (2 * self.exponent)
        own += FREE * (new.free**2).sum(axis=1)
        left = np.maximum(own - ((between @ self.inverse) * between).sum(axis=1), 0.0)
        return self.shift + self.scale * (between @ self.alpha), np.sqrt(self.variance * left)


def _process(inputs: _Inputs, t: Floats, pairwise: float, exponent: float, penalty: float) -> _Process:
    unit = _unit(inputs, pairwise)
    covariance = _covariance(inputs, inputs, pairwise, exponent, unit)
    inverse = np.asarray(np.linalg.inv(covariance + penalty * np.eye(len(t))), dtype=np.float64)
    alpha = inverse @ t
    spread = 1 / np.diag(inverse)  # variance of a left-out target, in units of the process
    errors = alpha * spread
    variance = float(np.mean(errors**2 / spread)) or 1e-12
    residuals = errors / np.sqrt(variance * spread)
    return _Process(
        inputs, t, t - errors, residuals, variance, pairwise, exponent, unit, 0.0, 1.0, alpha, inverse
    )  # fmt: skip


def _tables(blocks: Blocks, process: _Process, trend: Additive | None) -> Additive:
    """The block values of a purely additive process."""
    per_feature = process.inputs.x.T @ process.alpha / process.unit
    per_feature *= process.scale / _scale(blocks)
    ends = np.cumsum([table.shape[1] for table in blocks.features])
    parts = np.split(per_feature, ends)[: len(ends)]  # without what stood beside
    tables = [table @ part for table, part in zip(blocks.features, parts, strict=True)]
    free = FREE * process.scale * (process.inputs.free.T @ process.alpha)
    base = process.shift + float(free[0])
    if trend is not None:
        centre, spread = _moments(trend)
        base += float(free[1]) * (trend.base - centre) / spread
        tables = [own + float(free[1]) / spread * known for own, known in zip(tables, trend.tables, strict=True)]
    return Additive(base, tuple(tables))
