"""Intervals that hold: how far networks were off from fits that did not know them says how far a new one may be.

Such fits choose their pairwise terms, shares and penalties by themselves: leave-one-out errors of one fit, which had
the least of them chosen, are too small. Errors are divided by the predicted deviation and ranked among n + 1, as in
conformal prediction (Lei et al., Journal of the American Statistical Association 113, 2018; with folds: Barber et al.,
Annals of Statistics 49, 2021). An interval is the median of those of the fits, since of a few networks a fit now and
then chooses badly; nothing proves its level, which is measured in ``benchmarks.blocks``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from searchkit.blocks.additive import Additive, Blocks
from searchkit.blocks.fit import BlockFit, fit_blocks
from searchkit.problem.ranks import scores_beyond, values_of
from searchkit.types import Codes, Floats

ALONE = 60  # networks up to which each is left out by itself
PARTS = ((200, 20), (math.inf, 10))  # networks, and how many parts are left out in turn up to so many
ROWS = 50_000  # networks whose intervals are computed at a time


@dataclass(frozen=True)
class LeftOut:
    """Fits without one part of the networks each, and how far each network was from the fit without it.

    Attributes:
        fits: one for each part.
        known: for each fit the values ``(k,)`` that it was fitted to.
        errors: ``(n,)`` rising, over predicted deviations, noise included; in normal scores where ranks were fitted.
    """

    fits: tuple[BlockFit, ...]
    known: tuple[Floats, ...]
    errors: Floats

    def interval(self, picked: Codes, macs: Floats | None, level: float) -> tuple[Floats, Floats]:
        """Ends ``(q,)``, in units of the values, of what holds new evaluations of networks ``(q, m)`` at that level.

        Args:
            macs: ``(q,)`` where the fits were given them.
            level: in (0, 1). With fewer networks than ``level / (1 - level)`` none of them is that rare: the largest
                error is taken, and fewer evaluations are inside.
        """
        n = len(self.errors)
        times = float(self.errors[min(math.ceil(level * (n + 1) - 1e-9), n) - 1])
        found = []
        for start in range(0, len(picked), ROWS):
            rows = slice(start, start + ROWS)
            found.append(self._ends(picked[rows], None if macs is None else macs[rows], times))
        low, high = np.concatenate(found, axis=1) if found else np.empty((2, 0))
        return low, high

    def _ends(self, picked: Codes, macs: Floats | None, times: float) -> Floats:
        ends = np.empty((len(self.fits), 2, len(picked)))
        for i, (fit, known) in enumerate(zip(self.fits, self.known, strict=True)):
            mean, std = fit.predict(picked, macs)
            reach = times * fit.with_noise(std)
            for side, end in enumerate((mean - reach, mean + reach)):
                ends[i, side] = values_of(end, known) if fit.on_ranks else end
        middle: Floats = np.median(ends, axis=0)
        return middle


def leave_out(
    blocks: Blocks, codes: Codes, y: Floats, *, macs: Floats | None, trend: Additive | None, on_ranks: bool
) -> LeftOut:
    """Fit values ``(n,)`` of networks ``(n, d)`` without one part of these after the other; n of 4 or more.

    Args:
        on_ranks: whether ranks are fitted, as in the fit to all networks, or values.
        macs, trend: as in :func:`searchkit.blocks.fit.fit_blocks`.
    """
    n = len(y)
    parts = n if n <= ALONE else next(parts for most, parts in PARTS if n <= most)
    part = np.empty(n, dtype=np.int64)
    part[np.random.default_rng(0).permutation(n)] = np.arange(n) % parts
    picked, errors, fits, known = blocks.choose(codes), np.empty(n), [], []
    for i in range(parts):
        out, others = np.flatnonzero(part == i), np.flatnonzero(part != i)
        theirs, own = (None, None) if macs is None else (macs[others], macs[out])
        fit = fit_blocks(
            blocks, codes[others], y[others], macs=theirs, trend=trend, ranks="only" if on_ranks else False
        )
        mean, std = fit.predict(picked[out], own)
        true = scores_beyond(y[out], y[others]) if on_ranks else y[out]
        errors[out] = np.abs(true - mean) / np.maximum(fit.with_noise(std), np.finfo(np.float64).tiny)
        fits.append(fit)
        known.append(y[others])
    return LeftOut(tuple(fits), tuple(known), np.sort(errors))
