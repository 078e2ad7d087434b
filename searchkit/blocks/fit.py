"""Block values from evaluated networks: regularised least squares on what a network is made of.

MathNAS (arXiv 2311.04943) switches one block at a time around one network. Measured again here, that is too noisy to
rank a space, and least squares on a few dozen random networks does better. The model is

    value = base + trend + (mean MACs / MACs)^exponent * (sum of block values + pairwise terms)

fitted in its dual form (:mod:`searchkit.blocks.gaussian_process`). MathNAS takes the exponent 1; here 0, a plain sum,
wins more often. Choices that the space calls ordered have smooth effects beside those of their single options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from searchkit.blocks.additive import Additive, Blocks
from searchkit.blocks.gaussian_process import FREE, BlockFeatures, BlockProcess, chosen, fit_process, held
from searchkit.problem.ranks import normal_scores
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class BlockFit:
    """A fitted model with its uncertainty. Lower is better where the fitted values were losses, higher where gains.

    Attributes:
        model: its purely additive form, which :mod:`searchkit.blocks.exact` takes; fitted by itself.
        on_ranks: everything is in normal scores, which fitted the order better than the values.
        smooth: the share of smooth effects in what ordered choices vary by; 0 where single options fitted better.
        pairwise, exponent, penalty: what was chosen; 0 where the model is additive.
        left_out: ``(n,)`` leave-one-out predictions of what was fitted. Of more than 1,500 networks so many are fitted
            (:func:`~searchkit.blocks.gaussian_process.held`), and the others are left out anyway.
        apart: ``(n,)`` the same with the base taken as known: use these to rank networks, since in ``left_out`` the
            mean of the others falls where a network's own value is high.
        error: their root mean square error.
    """

    model: Additive
    on_ranks: bool
    smooth: float
    pairwise: float
    exponent: float
    penalty: float
    left_out: Floats
    apart: Floats
    error: float
    _blocks: Blocks
    _full: BlockProcess
    _trend: Additive | None

    def predict(self, picked: Codes, macs: Floats | None = None, beside: Floats | None = None) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n,)`` of networks ``(n, m)``, the noise of one evaluation not included.

        Args:
            macs, beside: as in :func:`fit_blocks`; needed where the model was fitted with them.
        """
        inputs = _inputs(self._blocks, picked, macs, self._full.inputs.mean_macs, self._trend, beside)
        return self._full.predict(inputs.blended(self.smooth))

    def means(self, picked: Codes) -> Floats:
        """``(n,)`` means of networks ``(n, m)``, where the model was fitted without MACs and further features."""
        inputs = _inputs(self._blocks, picked, None, self._full.inputs.mean_macs, self._trend, None)
        return self._full.means(inputs.blended(self.smooth))

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
    ranks: bool | Literal["only"] = True,
) -> BlockFit:
    """Fit values ``(n,)`` of candidates ``(n, d)``; n of 3 or more, finite.

    Args:
        macs: ``(n,)`` of the candidates, for the MACs ratio; no ratio is tried without.
        trend: block values that are known beforehand (a published table, ratings); they enter with a fitted factor.
        beside: ``(n, e)`` of 0 and 1, further features that are no sum over blocks, such as which blocks still carry a
            signal where others cut the network; the additive ``model`` leaves them out.
        ranks: whether ranks may be fitted in the place of values; "only": they are.
    """
    picked = blocks.choose(codes)
    mean_macs = 1.0 if macs is None else float(np.mean(macs))
    inputs = _inputs(blocks, picked, macs, mean_macs, trend, beside)
    scaled, scores = (y - y.mean()) / (y.std() or 1.0), normal_scores(y)
    targets = np.stack([scores] if ranks == "only" else [scaled, scores] if ranks else [scaled])
    choice = chosen(inputs, targets, y, ratio=macs is not None)
    on_ranks = ranks == "only" or choice.target == 1
    shift, scale = (0.0, 1.0) if on_ranks else (float(y.mean()), float(y.std() or 1.0))
    rows = held(len(y))
    t, fitted = targets[choice.target][rows], inputs.rows(rows)
    share = choice.share
    full = fit_process(fitted.blended(share), t, choice.pairwise, choice.exponent, choice.penalty).scaled(shift, scale)
    sums = full
    if choice.pairwise or choice.exponent:
        share = choice.additive_share
        sums = fit_process(fitted.blended(share), t, 0.0, 0.0, choice.additive_penalty).scaled(shift, scale)
    left_out, apart = full.left_out, full.apart
    if len(rows) < len(y):
        predicted = full.means(inputs.blended(choice.share))
        left_out, apart = predicted.copy(), predicted
        left_out[rows], apart[rows] = full.left_out, full.apart
    return BlockFit(
        model=_tables(blocks, sums, trend, share),
        on_ranks=on_ranks,
        smooth=choice.share,
        pairwise=choice.pairwise,
        exponent=choice.exponent,
        penalty=choice.penalty,
        left_out=left_out,
        apart=apart,
        error=float(np.sqrt(np.mean((full.left_out - full.targets) ** 2))),
        _blocks=blocks,
        _full=full,
        _trend=trend,
    )


def _inputs(
    blocks: Blocks,
    picked: Codes,
    macs: Floats | None,
    mean_macs: float,
    trend: Additive | None,
    beside: Floats | None,
) -> BlockFeatures:
    ratio = np.ones(len(picked)) if macs is None else mean_macs / np.maximum(macs, 1e-12)  # see the module
    free = [np.ones(len(picked))]
    if trend is not None:
        centre, spread = _moments(trend)
        free.append((trend(picked) - centre) / spread)
    x = blocks.encode(picked)
    if beside is not None:
        x = np.concatenate([x, beside], axis=1)
    smooth = np.concatenate([table[picked[:, i]] for i, table in enumerate(blocks.smooth)], axis=1) / _scale(blocks)
    ordered = np.concatenate([*blocks.ordered, np.zeros(x.shape[1] - sum(map(len, blocks.ordered)))])
    return BlockFeatures(x / _scale(blocks), ratio, np.column_stack(free), mean_macs, smooth, ordered)


def _scale(blocks: Blocks) -> float:
    """Of features, so that <x, x> is about 1."""
    return float(np.sqrt(sum(len(labels) for labels in blocks.labels)))


def _moments(trend: Additive) -> tuple[float, float]:
    """Mean and deviation of the trend over the whole space."""
    mean = trend.base + sum(float(table.mean()) for table in trend.tables)
    return mean, float(np.sqrt(sum(float(table.var()) for table in trend.tables))) or 1.0


def _tables(blocks: Blocks, fitted: BlockProcess, trend: Additive | None, share: float) -> Additive:
    """The block values of a purely additive process."""
    per_feature = fitted.inputs.x.T @ fitted.alpha / fitted.unit
    per_feature *= fitted.scale / _scale(blocks)
    ends = np.cumsum([table.shape[1] for table in blocks.features])
    parts = np.split(per_feature, ends)[: len(ends)]  # features given as ``beside`` are dropped
    tables = [table @ part for table, part in zip(blocks.features, parts, strict=True)]
    if share:  # as in BlockFeatures.blended
        starts = np.cumsum([-sum(table.shape[1] for table in blocks.smooth), *(t.shape[1] for t in blocks.smooth)])
        of_smooth = np.split(per_feature, starts[:-1] + len(per_feature))[1:]
        tables = [
            features @ (np.sqrt(1 - share * ordered) * part) + smooth @ (np.sqrt(share) * own)
            for features, ordered, part, smooth, own in zip(
                blocks.features, blocks.ordered, parts, blocks.smooth, of_smooth, strict=True
            )
        ]
    free = FREE * fitted.scale * (fitted.inputs.free.T @ fitted.alpha)
    base = fitted.shift + float(free[0])
    if trend is not None:
        centre, spread = _moments(trend)
        base += float(free[1]) * (trend.base - centre) / spread
        tables = [own + float(free[1]) / spread * known for own, known in zip(tables, trend.tables, strict=True)]
    return Additive(base, tuple(tables))
