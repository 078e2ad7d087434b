"""Numbers with steps in TPE's density model: the probabilities of their few values are kept between suggestions.

Where a value's probability under a kernel was computed once, it is looked up. All values are Optuna's to the last bit.
"""

from __future__ import annotations

import itertools

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.strategies.tpe_axes import Axis, Categories, Number, grown, unique_pairs
from searchkit.strategies.tpe_normal import LARGE, central, log_mass
from searchkit.types import Codes, Floats

MOST = 1024  # values of integers of which distances are kept
EXACT = 2**50  # integers below it have exact halves and distances
KEPT = 2**20  # logarithms kept of a parameter with steps: of kernels x values


def axis_of(distribution: BaseDistribution) -> Axis:
    """The axis of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return Categories(distribution)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        return Number(distribution)
    n_values = (distribution.high - distribution.low) / distribution.step + 1
    small = n_values <= MOST and max(abs(distribution.low), abs(distribution.high)) < EXACT
    if isinstance(distribution, IntDistribution) and not distribution.log and small:
        return Integers(distribution)
    return Steps(distribution)


class Remembered(Number):
    """A number with steps, of which something is kept between suggestions.

    Attributes:
        n_values: how many values it has.
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
        """Keep nothing."""
        raise NotImplementedError


class Steps(Remembered):
    """A number with steps: a candidate's probability under each kernel is kept by kernel and value.

    Many trials share a kernel, so that kernels are numbered; a trial's number is kept with the width it is for.
    """

    def _forget(self) -> None:
        """Keep no kernels."""
        self._numbers: dict[tuple[float, float], int] = {}
        self._kernels = np.empty((0, 2))
        self._cells = np.empty(0, dtype=np.int64)  # of the kernels' middles
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
        if 2 * len(middles) * self.n_values > KEPT:
            return self._computed(x, middles, widths)
        numbers = self._numbered(rows, middles, widths)
        different, of_kernel = _distinct(numbers, len(self._numbers))
        middles, widths = self._kernels[different].T
        columns = self._cell(x)
        at_most = np.bincount(self._cells[different], minlength=self.n_values)[columns].sum()  # with zero inside
        large = at_most >= LARGE and many_central(*self._bounds(x[:, None], middles, widths))
        kept = self._at[large].ravel()
        places = different * self.n_values + columns[:, None]
        block = kept[places]
        missing = np.nonzero(np.isnan(block))
        if len(missing[0]):
            a, b = self._bounds(x[missing[0]], middles[missing[1]], widths[missing[1]])
            block[missing] = kept[places[missing]] = log_mass(a, b, large)
        large = len(different) >= LARGE and self.n_central(middles) >= LARGE
        inside = self._inside[large][different]
        missing = np.nonzero(np.isnan(inside))
        if len(missing[0]):
            found = log_mass(*self.inside(middles[missing], widths[missing]), large)
            inside[missing] = self._inside[large][different[missing]] = found
        return block.take(of_kernel, axis=1), inside[of_kernel]

    def _computed(self, x: Floats, middles: Floats, widths: Floats) -> tuple[Floats, Floats]:
        """The same, with nothing kept."""
        points, which = np.unique(x, return_inverse=True)
        different, of_kernel = unique_pairs(middles, widths)
        middles, widths = middles[different], widths[different]
        a, b = self._bounds(points[:, None], middles, widths)
        block = log_mass(a, b, many_central(a, b))[which]
        return block.take(of_kernel, axis=1), log_mass(*self.inside(middles, widths))[of_kernel]

    def _cell(self, x: Floats) -> Codes:
        """Numbers of values, from 0 on."""
        cells = np.rint((x - self.least) / self.step)
        return np.clip(cells, 0, self.n_values - 1).astype(np.int64)

    def _numbered(self, rows: Codes, middles: Floats, widths: Floats) -> Codes:
        """``(m,)`` the number of each kernel."""
        if (len(self._numbers) + len(middles)) * self.n_values > KEPT:
            self._forget()
        n, known = len(rows), self._numbers
        self._of_row = grown(self._of_row, len(self.values), np.nan)
        of_row = self._of_row[rows]
        found = np.empty(len(middles), dtype=np.int64)
        fresh = np.ones(len(middles), dtype=bool)
        np.not_equal(of_row[:, 0], widths[:n], out=fresh[:n])
        with np.errstate(invalid="ignore"):  # of those that have no number yet
            found[:n] = of_row[:, 1]
        new = np.flatnonzero(fresh)
        pairs = list(zip(middles[new].tolist(), widths[new].tolist(), strict=True))
        n_before = len(known)
        found[new] = [known.setdefault(pair, len(known)) for pair in pairs]
        n_changed = int(np.searchsorted(new, n))
        changed = rows[new[:n_changed]]
        self._of_row[changed, 0], self._of_row[changed, 1] = widths[new[:n_changed]], found[new[:n_changed]]
        if len(known) > n_before:
            newest = itertools.islice(reversed(known), len(known) - n_before)
            self._name(list(newest)[::-1], n_before)
        return found

    def _name(self, pairs: list[tuple[float, float]], n_before: int) -> None:
        """Make room for new kernels."""
        n = n_before + len(pairs)
        self._kernels = grown(self._kernels, n, np.nan)
        self._kernels[n_before:n] = pairs
        middles = self._kernels[n_before:n, 0]
        self._cells = grown(self._cells, n, 0)
        self._cells[n_before:n] = self._cell(np.exp(middles) if self.is_log else middles)
        for large in (False, True):
            self._inside[large] = grown(self._inside[large], n, np.nan)
            self._at[large] = grown(self._at[large], n, np.nan)


class Integers(Remembered):
    """Evenly spaced integers: a candidate's probability depends on its distance from the middle, and on the width.

    It is kept by the two, for every width that a kernel has had. Distances of integers have no rounding errors, so that
    equal distances mean equal values.
    """

    def _forget(self) -> None:
        """Keep no widths."""
        self._widths = np.array([np.inf])  # ascending
        self._numbers = np.array([-1])  # their rows in the table
        self._at = np.empty((0, 4 * self.n_values - 3))  # by distance in half steps, since that of the prior may be odd

    def log_probabilities(self, x: Floats, middles: Floats, widths: Floats) -> Floats:
        """``(candidates, m)`` the logarithm of candidates' probability, bounds not yet considered.

        Args:
            x: ``(candidates,)`` in the parameter's unit.
            middles, widths: ``(m,)`` of the kernels.
        """
        if len(middles) and not self.least <= middles.min() <= middles.max() <= self.most:
            low, high = self._bounds(x[:, None], middles, widths)  # of a trial that does not keep to its distribution
            return log_mass(low, high, many_central(low, high))
        numbers, half = self._numbered(widths), self.step / 2
        row, column = (x - self.least) / half + 2.0 * (self.n_values - 1), (middles - self.least) / half
        places = np.subtract(row[:, None], column).astype(np.int64)
        places += numbers * (4 * self.n_values - 3)
        kept = self._at.ravel()
        block = kept.take(places)
        missing = np.nonzero(np.isnan(block))
        if len(missing[0]):
            at, first = np.unique(places[missing], return_index=True)
            i, j = missing[0][first], missing[1][first]
            # zero is inside for the least distances only: never for so many that Optuna takes polynomials
            kept[at] = log_mass(*self._bounds(x[i], middles[j], widths[j]), False)
            block[missing] = kept[places[missing]]
        return block

    def _numbered(self, widths: Floats) -> Codes:
        """``(m,)`` the row of each width in the table."""
        places = np.searchsorted(self._widths, widths)
        new = self._widths[places] != widths
        if not new.any():
            return self._numbers[places]
        more = np.unique(widths[new])
        n = len(self._widths) - 1
        if n and (n + len(more)) * self._at.shape[1] > KEPT:
            self._forget()
            return self._numbered(widths)
        order = np.argsort(np.concatenate([self._widths, more]))
        self._widths = np.concatenate([self._widths, more])[order]
        self._numbers = np.concatenate([self._numbers, np.arange(n, n + len(more))])[order]
        self._at = grown(self._at, n + len(more), np.nan)
        return self._numbers[np.searchsorted(self._widths, widths)]


def _distinct(numbers: Codes, n: int) -> tuple[Codes, Codes]:
    """The different ones of numbers below n, ascending, and the place of each number among them."""
    there = np.zeros(n, dtype=bool)
    there[numbers] = True
    different = np.flatnonzero(there)
    places = np.empty(n, dtype=np.int64)
    places[different] = np.arange(len(different))
    return different, places[numbers]


def many_central(a: Floats, b: Floats) -> bool:
    """Whether at least 2,000 different intervals have zero inside, so that Optuna takes polynomials for them."""
    inside = central(a, b)
    if np.count_nonzero(inside) < LARGE:
        return False
    a, b = a[inside], b[inside]
    return len(np.unique(a)) >= LARGE or len(unique_pairs(a, b)[0]) >= LARGE
