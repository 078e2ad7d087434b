"""Parameters of TPE's density model: what of their kernels depends on the parameter alone, computed once.

A kernel is a trial's value with a width. Logarithms of the probabilities of kernels are kept by trial, and computed
anew where the width has changed, that is for the neighbours of what is new. All values are Optuna's to the last bit.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.strategies.tpe_normal import LARGE
from searchkit.types import Codes, Floats

FEW = 64  # options of which each has a row, whether it occurs or not
Kind = TypeVar("Kind", np.float64, np.int64)


def grown(array: npt.NDArray[Kind], n: int, filling: float) -> npt.NDArray[Kind]:
    """The array, with room for n rows at least; new rows are filled."""
    if n <= len(array):
        return array
    room = np.full((max(2 * len(array), n, 64), *array.shape[1:]), filling, dtype=array.dtype)
    room[: len(array)] = array
    return room


class Categories:
    """A parameter with categories; values are their indices.

    Args:
        distribution: as recorded.
    """

    def __init__(self, distribution: CategoricalDistribution) -> None:
        self.distribution: BaseDistribution = distribution
        self.n_options = len(distribution.choices)
        self.values = np.empty(0)

    def hold(self, row: int, value: float) -> None:
        """Keep the value of a trial."""
        self.values = grown(self.values, row + 1, np.nan)
        self.values[row] = value

    def keep(self, rows: Codes) -> None:
        """Keep these trials only."""
        self.values = self.values[rows]

    def weights(self, values: Floats, prior: float) -> tuple[Floats, Codes]:
        """``(m, options)`` what kernels give every option, and ``(n + 1,)`` the row of each; the last is the prior's.

        Args:
            values: ``(n,)`` indices of the trials' options.
            prior: its weight.
        """
        n = len(values)
        options, rows = values.astype(np.int64), np.arange(self.n_options)
        if self.n_options > FEW:  # a row for each that occurs: a row for each of thousands would not fit
            rows, options = np.unique(options, return_inverse=True)
        table = np.full((len(rows) + 1, self.n_options), prior / (n + 1))
        table[np.arange(len(rows)), rows] += 1
        totals = table.sum(axis=1, keepdims=True)
        table /= np.where(totals == 0, 1, totals)
        if n == 0:
            table[-1] = 1.0 / self.n_options
        return table, np.append(options, len(rows))


class Number:
    """A number; values are on its scale, that is logarithms where the distribution is logarithmic.

    Args:
        distribution: as recorded.

    Attributes:
        low, high: of values, half a step more on each side where there are steps: where widths of kernels end.
        ends: the same as Optuna computes it for probabilities, which is a rounding error apart for logarithms.
        step: 0 without.
    """

    def __init__(self, distribution: FloatDistribution | IntDistribution) -> None:
        self.distribution: BaseDistribution = distribution
        self.is_log, self.step = distribution.log, float(distribution.step or 0.0)
        self.least, self.most = distribution.low, distribution.high
        low, high = float(self.least), float(self.most)
        if distribution.step is not None:
            low, high = low - distribution.step / 2, high + distribution.step / 2
        self.ends = (math.log(low), math.log(high)) if self.is_log else (low, high)
        scaled: tuple[float, float] = (np.log(low), np.log(high)) if self.is_log else (low, high)
        self.low, self.high = scaled
        self.values = np.empty(0)
        self._masses = {large: np.empty((0, 2)) for large in (False, True)}  # of trials: width, logarithm

    def hold(self, row: int, value: float) -> None:
        """Keep the value of a trial."""
        self.values = grown(self.values, row + 1, np.nan)
        self.values[row] = np.log(value) if self.is_log else value

    def keep(self, rows: Codes) -> None:
        """Keep these trials only."""
        self.values = self.values[rows]
        self._masses = {large: np.empty((0, 2)) for large in (False, True)}

    def known_masses(self, rows: Codes, widths: Floats, large: bool) -> tuple[Floats, Codes]:
        """``(m,)`` the logarithm of each kernel's probability inside the bounds, and which are not known.

        Args:
            rows: ``(n,)`` the trials of the first n kernels; n <= m.
            widths: ``(m,)`` of the kernels.
            large: which error function.
        """
        n = len(rows)
        values, unknown = np.empty(len(widths)), np.ones(len(widths), dtype=bool)
        kept = self._masses[large] = grown(self._masses[large], len(self.values), np.nan)
        of_row = kept[rows]
        values[:n] = of_row[:, 1]
        np.not_equal(of_row[:, 0], widths[:n], out=unknown[:n])
        return values, np.flatnonzero(unknown)

    def keep_masses(self, rows: Codes, widths: Floats, masses: Floats, large: bool) -> None:
        """Keep ``(n,)`` values of trials for the next call."""
        kept = self._masses[large]
        kept[rows, 0], kept[rows, 1] = widths, masses

    def _bounds(self, x: Floats, middles: Floats, widths: Floats) -> tuple[Floats, Floats]:
        """Half a step below and above values, as kernels see them."""
        left, right = x - self.step / 2, x + self.step / 2
        if self.is_log:
            left, right = np.log(left), np.log(right)
        return (left - middles) / widths, (right - middles) / widths

    def takes_polynomials(self, middles: Floats, widths: Floats) -> bool:
        """Whether Optuna takes polynomials for what kernels with steps have inside the bounds: for many different."""
        if len(middles) < LARGE:
            return False
        pairs, _ = unique_pairs(middles, widths)
        return self.n_central(middles[pairs]) >= LARGE

    def inside(self, middles: Floats, widths: Floats) -> tuple[Floats, Floats]:
        """The bounds as each kernel sees them, in its widths from its middle."""
        return (self.ends[0] - middles) / widths, (self.ends[1] - middles) / widths

    def n_central(self, middles: Floats) -> int:
        """Number of kernels with a middle between the bounds, by which Optuna chooses its error function."""
        return int(np.count_nonzero((middles >= self.ends[0]) & (middles < self.ends[1])))


Axis = Categories | Number


def unique_pairs(first: Floats, second: Floats) -> tuple[Codes, Codes]:
    """``(m,)`` a row of each different pair, and ``(n,)`` the place of every row's pair among them."""
    order = np.lexsort((second, first))
    a, b = first[order], second[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.cumsum(new) - 1
    return order[new], places
