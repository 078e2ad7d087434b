"""Parameters of TPE's density model: what of their kernels depends on the parameter alone, computed once.

A kernel is a trial's value with a width. Logarithms of the probabilities of kernels are kept by trial, and computed
anew where the width has changed, that is for the neighbours of what is new. All values are Optuna's to the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.strategies.tpe_normal import LARGE, central, log_mass
from searchkit.types import Codes, Floats

KEPT = 2**20  # logarithms kept of a parameter with steps: of kernels x values


def grown(array: Floats, n: int, filling: float) -> Floats:
    """The array, with room for n rows at least; new rows are filled."""
    if n <= len(array):
        return array
    room = np.full((max(2 * len(array), n, 64), *array.shape[1:]), filling)
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

    def weights(self, n_kernels: int, prior: float) -> Floats:
        """``(options + 1, options)`` what a kernel at an option gives every option; the last row is the prior's.

        Args:
            n_kernels: the prior among them.
            prior: its weight.
        """
        table = np.full((self.n_options + 1, self.n_options), prior / n_kernels)
        table[np.arange(self.n_options), np.arange(self.n_options)] += 1
        totals = table.sum(axis=1, keepdims=True)
        table /= np.where(totals == 0, 1, totals)
        if n_kernels == 1:
            table[-1] = 1.0 / self.n_options
        return table


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
        low, high = self.least, self.most
        if distribution.step is not None:
            low, high = low - distribution.step / 2, high + distribution.step / 2
        self.ends = (math.log(low), math.log(high)) if self.is_log else (low, high)
        self.low, self.high = (np.log(low), np.log(high)) if self.is_log else (low, high)
        self.values = np.empty(0)
        self._widths = {large: np.empty(0) for large in (False, True)}
        self._masses = {large: np.empty(0) for large in (False, True)}

    def hold(self, row: int, value: float) -> None:
        """Keep the value of a trial."""
        self.values = grown(self.values, row + 1, np.nan)
        self.values[row] = np.log(value) if self.is_log else value

    def keep(self, rows: Codes) -> None:
        """Keep these trials only."""
        self.values = self.values[rows]
        self._widths = {large: np.empty(0) for large in (False, True)}

    def masses(self, rows: Codes, middles: Floats, widths: Floats, large: bool) -> Floats:
        """``(m,)`` the logarithm of each kernel's probability inside the bounds.

        Args:
            rows: ``(n,)`` the trials of the first n kernels; n <= m.
            middles, widths: ``(m,)`` of the kernels.
            large: which error function.
        """
        n = len(rows)
        self._widths[large] = grown(self._widths[large], len(self.values), np.nan)
        self._masses[large] = grown(self._masses[large], len(self.values), np.nan)
        kept, known = self._widths[large], self._masses[large]
        values, fresh = np.empty(len(middles)), np.ones(len(middles), dtype=bool)
        values[:n] = known[rows]
        np.not_equal(kept[rows], widths[:n], out=fresh[:n])
        a, b = self.inside(middles[fresh], widths[fresh])
        values[fresh] = log_mass(a, b, large)
        changed = np.flatnonzero(fresh[:n])
        kept[rows[changed]], known[rows[changed]] = widths[changed], values[changed]
        return values

    def inside(self, middles: Floats, widths: Floats) -> tuple[Floats, Floats]:
        """The bounds as each kernel sees them, in its widths from its middle."""
        return (self.ends[0] - middles) / widths, (self.ends[1] - middles) / widths

    def n_central(self, middles: Floats, widths: Floats) -> int:
        """Number of kernels with a middle between the bounds, by which Optuna chooses its error function."""
        return int(np.count_nonzero(central(*self.inside(middles, widths))))


class Steps(Number):
    """A number with steps: a candidate's probability under each kernel is kept by kernel and value.

    Many trials share a kernel, so that kernels are numbered; a trial's number is kept with the width it is for.
    """

    def __init__(self, distribution: FloatDistribution | IntDistribution) -> None:
        super().__init__(distribution)
        self.n_values = round((self.most - self.least) / self.step) + 1
        self._forget()

    def keep(self, rows: Codes) -> None:
        """Keep these trials only."""
        super().keep(rows)
        self._forget()

    def _forget(self) -> None:
        """Keep no kernels."""
        self._numbers: dict[tuple[float, float], int] = {}
        self._kernels = np.empty((0, 2))
        self._of_row = np.empty((0, 2))  # width and number
        self._inside = {large: np.empty(0) for large in (False, True)}
        self._at = {large: np.empty((0, self.n_values if self.n_values <= KEPT else 0)) for large in (False, True)}

    def log_probabilities(self, x: Floats, rows: Codes, middles: Floats, widths: Floats) -> tuple[Floats, Floats]:
        """``(candidates, m)`` the logarithm of candidates' probability, and ``(m,)`` of what is inside the bounds.

        Args:
            x: ``(candidates,)`` in the parameter's unit.
            rows: ``(n,)`` the trials of the first n kernels; n <= m.
            middles, widths: ``(m,)`` of the kernels.
        """
        points, which = np.unique(x, return_inverse=True)
        keeps = 2 * len(middles) * self.n_values <= KEPT
        if keeps:
            numbers = self._numbered(rows, middles, widths)
            different, of_kernel = np.unique(numbers, return_inverse=True)
            middles, widths = self._kernels[different].T
        else:
            different, of_kernel = unique_pairs(middles, widths)
            middles, widths = middles[different], widths[different]
        left, right = points - self.step / 2, points + self.step / 2
        if self.is_log:
            left, right = np.log(left), np.log(right)
        a, b = (left[:, None] - middles) / widths, (right[:, None] - middles) / widths
        low, high = self.inside(middles, widths)
        large = (many_central(a, b), len(low) >= LARGE and np.count_nonzero(central(low, high)) >= LARGE)
        if not keeps:
            block, inside = log_mass(a, b, large[0]), log_mass(low, high, large[1])
        else:
            columns = np.rint((points - self.least) / self.step).astype(np.int64)
            places = different[:, None] * self.n_values + columns
            block = _known(self._at[large[0]].ravel(), places, a.T, b.T, large[0]).T
            inside = _known(self._inside[large[1]], different, low, high, large[1])
        return block[which].take(of_kernel, axis=1), inside[of_kernel]

    def _numbered(self, rows: Codes, middles: Floats, widths: Floats) -> Codes:
        """``(m,)`` the number of each kernel."""
        if (len(self._numbers) + len(middles)) * self.n_values > KEPT:
            self._forget()
        n, known = len(rows), self._numbers
        self._of_row = grown(self._of_row, len(self.values), np.nan)
        found = np.empty(len(middles), dtype=np.int64)
        fresh = np.ones(len(middles), dtype=bool)
        of_row = self._of_row[rows]
        same = of_row[:, 0] == widths[:n]
        fresh[:n] = ~same
        found[:n][same] = of_row[same, 1]
        pairs = list(zip(middles[fresh].tolist(), widths[fresh].tolist(), strict=True))
        found[fresh] = [known.setdefault(pair, len(known)) for pair in pairs]
        changed = np.flatnonzero(fresh[:n])
        self._of_row[rows[changed]] = np.stack([widths[changed], found[changed]], axis=1)
        if pairs:
            n_known = len(known)
            self._kernels = grown(self._kernels, n_known, np.nan)
            self._kernels[found[fresh]] = pairs
            for large in (False, True):
                self._inside[large] = grown(self._inside[large], n_known, np.nan)
                self._at[large] = grown(self._at[large], n_known, np.nan)
        return found


def _known(kept: Floats, places: Codes, a: Floats, b: Floats, large: bool) -> Floats:
    """What is kept at places, computed where it is not yet."""
    values = kept[places]
    missing = np.isnan(values)
    if missing.any():
        values[missing] = log_mass(a[missing], b[missing], large)
        kept[places] = values
    return values


Axis = Categories | Number


def axis_of(distribution: BaseDistribution) -> Axis:
    """The axis of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return Categories(distribution)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return Number(distribution) if distribution.step is None else Steps(distribution)


def unique_pairs(first: Floats, second: Floats) -> tuple[Codes, Codes]:
    """``(m,)`` a row of each different pair, and ``(n,)`` the place of every row's pair among them."""
    order = np.lexsort((second, first))
    a, b = first[order], second[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.cumsum(new) - 1
    return order[new], places


def many_central(a: Floats, b: Floats) -> bool:
    """Whether at least 2,000 different intervals have zero inside, so that Optuna takes polynomials for them."""
    inside = central(a, b)
    if np.count_nonzero(inside) < LARGE:
        return False
    a, b = a[inside], b[inside]
    return len(np.unique(a)) >= LARGE or len(unique_pairs(a, b)[0]) >= LARGE
