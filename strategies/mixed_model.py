"""The processes of a search of mixed spaces: their scale, when they are fitted, and to which observations.

Hyperparameters are fitted as :mod:`searchkit.surrogates.refitting` says, the scale of the losses is chosen anew when
the observations have grown by a fifth, and in between the factor of the covariance grows by a row for each new
observation. All this is a function of what was told, in whatever batches, so that a continued search has the same
models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searchkit.problem.pareto import beaten_by
from searchkit.surrogates.mixed_fit import fit
from searchkit.surrogates.mixed_kernel import Columns, Setting
from searchkit.surrogates.mixed_process import MixedProcess
from searchkit.surrogates.output_scales import SCALES, Excess, Scale
from searchkit.surrogates.refitting import ALL, GROWTH, fitted_at, informative
from searchkit.types import Codes, Floats

SCALE_GROWTH = 1.2  # the same of the choice of a scale
FITTED = 150  # most observations that hyperparameters are fitted to
COMPARED = 80  # the same of the choice of a scale
NEAR = 3e-4  # ranges in every column within which candidates are nearly the same: a cluster of them would set the scale
KEPT = 300  # most observations, beside those since the last fit, that predictions are made from


@dataclass(frozen=True)
class Modelled:
    """A process, the rows of what was told that it knows, and the scale of its losses."""

    process: MixedProcess
    rows: Codes
    scale: Scale | Excess


class MixedModel:
    """Processes of columns of losses by name.

    Args:
        columns: what the positions are.
        scales: among which that of the losses is chosen.
        n_iterations: at most so many steps of a fit.
    """

    def __init__(self, columns: Columns, scales: tuple[Scale | Excess, ...] = SCALES, n_iterations: int = 50) -> None:
        self.columns, self.scales, self.n_iterations = columns, scales, n_iterations
        self._chosen: dict[tuple[str, int], Scale | Excess] = {}
        self._settings: dict[tuple[str, int, Scale | Excess], Setting] = {}
        self._apart: dict[str, tuple[int, Codes]] = {}
        self._grown: dict[str, tuple[int, int, MixedProcess]] = {}

    def modelled(self, name: str, positions: Floats, losses: Floats, every: Floats | None = None) -> Modelled:
        """The process of losses ``(n,)`` at positions ``(n, d)``: those of earlier calls with new ones appended.

        Args:
            name: under which fits are kept.
            every: ``(n, k)`` losses of all objectives, by which observations are kept where there are many.
        """
        n, every = len(losses), losses[:, None] if every is None else every
        due = fitted_at(n, ALL, GROWTH)
        ranking = standing(every[:due])
        scale = self._scale(name, positions, losses, every)
        if (name, due, scale) not in self._settings:
            rows = apart(positions[:due], ranking, FITTED)
            y = scale(losses[rows])[0]
            self._settings[name, due, scale] = fit(self.columns, positions[rows], y, n_iterations=self.n_iterations)[0]
        kept = informative(ranking, KEPT)
        rows = np.concatenate([kept, np.arange(due, n)])
        process = self._process(name, due, self._settings[name, due, scale], positions, kept, n)
        typical = self._typical(name, due, positions, every, kept, rows)
        return Modelled(process.observing(scale(losses[rows], typical)[0]), rows, scale)

    def _typical(self, name: str, due: int, positions: Floats, every: Floats, kept: Codes, rows: Codes) -> Codes:
        """Those of the rows that set the scale: of all up to :data:`ALL`; then of the kept, and all newer ones."""
        if len(rows) <= ALL:
            return apart(positions[rows], standing(every[rows]), FITTED)
        known = self._apart.get(name)
        if known is None or known[0] != due:
            known = self._apart[name] = (due, apart(positions[kept], standing(every[kept]), FITTED))
        return np.concatenate([known[1], np.arange(len(kept), len(rows))])

    def _process(self, name: str, due: int, setting: Setting, positions: Floats, kept: Codes, n: int) -> MixedProcess:
        """The process that knows the rows kept and those from ``due`` to n, one row at a time."""
        known = self._grown.get(name)
        if known is None or known[0] != due or known[1] > n or known[2].setting is not setting:
            known = (due, due, MixedProcess.of(self.columns, setting, positions[kept], np.zeros(len(kept))))
        process = known[2]
        for row in range(known[1], n):
            process = process.grown(positions[row])
        self._grown[name] = (due, n, process)
        return process

    def _scale(self, name: str, positions: Floats, losses: Floats, every: Floats) -> Scale | Excess:
        """The scale under which the losses are most likely; the first while there are few."""
        if len(self.scales) == 1:
            return self.scales[0]
        at = fitted_at(len(losses), 1, SCALE_GROWTH)
        if (name, at) not in self._chosen:
            rows = apart(positions[:at], standing(every[:at]), COMPARED)
            worth = []
            for scale in self.scales:
                y, slopes = scale(losses[rows])
                worth.append(fit(self.columns, positions[rows], y, n_iterations=self.n_iterations)[1] + slopes)
            self._chosen[name, at] = self.scales[int(np.argmax(worth))]
        return self._chosen[name, at]


def standing(losses: Floats) -> Floats:
    """``(n,)`` how good candidates of losses ``(n, k)`` are among themselves, lower is better.

    The loss itself of one objective; else how many others are better in all, and among equals the mean rank.
    """
    if losses.shape[1] == 1:
        return losses[:, 0]
    ranks = losses.argsort(axis=0).argsort(axis=0).mean(axis=1) / len(losses)
    found: Floats = beaten_by(losses) + ranks / 2
    return found


def apart(positions: Floats, ranking: Floats, n: int) -> Codes:
    """At most n informative rows of which no two are nearly the same candidate: of those, the best."""
    order = np.argsort(ranking, kind="stable")
    filled = np.where(np.isnan(positions), -1.0, positions)[order]
    near = np.ones((len(order), len(order)), dtype=bool)
    for values in filled.T:
        near &= np.abs(values[:, None] - values) < NEAR
    kept = np.ones(len(order), dtype=bool)
    for i in np.flatnonzero(np.tril(near, -1).any(axis=1)):
        kept[i] = not (near[i, :i] & kept[:i]).any()
    rows = np.sort(order[kept])
    return rows[informative(ranking[rows], n)]
