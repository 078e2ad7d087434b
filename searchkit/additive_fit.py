"""Block values from evaluated networks: regularised least squares on which alternative each node takes.

MathNAS switches one block at a time around one network; re-measured, that is too noisy to rank a space, and least
squares on a few dozen random networks does better. The penalty is chosen by leave-one-out error, which ridge regression
has in closed form (Golub, Heath and Wahba, Technometrics 21, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searchkit.additive import Additive, Blocks
from searchkit.ranks import normal_scores, rank_correlation
from searchkit.space import Codes, Floats

PENALTIES = np.logspace(-3, 2.5, 23)


@dataclass(frozen=True)
class BlockFit:
    """A fitted additive model, and how sure it is.

    Attributes:
        model: to be minimised or not, as what was fitted.
        error: root mean square leave-one-out error, in units of what was fitted.
        on_ranks: the model is of normal scores, which fitted the order better than the values.
    """

    model: Additive
    error: float
    on_ranks: bool
    _blocks: Blocks
    _covariance: Floats

    def std(self, picked: Codes) -> Floats:
        """``(n,)`` standard deviation of the prediction, the noise of one evaluation not included."""
        x = self._blocks.encode(picked)
        deviations: Floats = self.error * np.sqrt(np.maximum(((x @ self._covariance) * x).sum(axis=1), 0.0))
        return deviations


def fit_blocks(blocks: Blocks, codes: Codes, y: Floats) -> BlockFit:
    """Fit values ``(n,)`` of candidates ``(n, d)``; n of 3 or more, finite.

    Values or ranks, whichever leave-one-out predictions order better.
    """
    x = blocks.encode(blocks.choose(codes))
    targets = (y, normal_scores(y))
    fits = [_ridge(x, target) for target in targets]
    orders = [rank_correlation(left_out, y) for *_, left_out in fits]
    on_ranks = orders[1] > orders[0]
    weights, base, covariance, left_out = fits[int(on_ranks)]
    ends = np.cumsum([table.shape[1] for table in blocks.features])[:-1]
    error = float(np.sqrt(np.mean((left_out - targets[int(on_ranks)]) ** 2)))
    tables = (table @ part for table, part in zip(blocks.features, np.split(weights, ends), strict=True))
    return BlockFit(Additive(base, tuple(tables)), error, bool(on_ranks), blocks, covariance)


def _ridge(x: Floats, y: Floats) -> tuple[Floats, float, Floats, Floats]:
    """Weights, base, unit covariance, and leave-one-out predictions, at the penalty where these are best."""
    mean = x.mean(axis=0)
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    centre = float(y.mean())
    projected = u.T @ (y - centre)
    best: tuple[float, float, Floats] | None = None
    for penalty in PENALTIES:
        shrink = s**2 / (s**2 + penalty)
        fitted = centre + u @ (shrink * projected)
        leverage = (u**2 * shrink).sum(axis=1) + 1 / len(y)
        left_out = y - (y - fitted) / np.maximum(1 - leverage, 1e-3)
        error = float(np.mean((left_out - y) ** 2))
        if best is None or error < best[0]:
            best = error, float(penalty), left_out
    assert best is not None
    _, penalty, left_out = best
    weights = vt.T @ (s / (s**2 + penalty) * projected)
    n_columns = x.shape[1]
    spread = vt.T @ np.diag(1 / (s**2 + penalty) - 1 / penalty) @ vt + np.eye(n_columns) / penalty
    return weights, centre - float(mean @ weights), spread, left_out
