"""Latencies on a new device from a few measurements, by what is known of other devices.

    known = KnownDevices({"phone": phone_ms, "board": board_ms, "card": card_ms}, features=features)
    rows = known.choose(10)
    model = known.fit(rows, [measure(candidates[row]) for row in rows])
    model.predict()  # of every candidate, in the unit of the measurements

The model is a Gaussian process (:mod:`searchkit.surrogates.known_devices`); :mod:`searchkit.surrogates.design` chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from searchkit.errors import DataError
from searchkit.problem.numbers import is_whole, numbers_of, seed_of, shown
from searchkit.problem.ranks import rank_correlation
from searchkit.surrogates.design import most_telling
from searchkit.surrogates.gaussian_process import Gaussian, fit, setting_of
from searchkit.surrogates.known_devices import (
    Inputs,
    experience,
    filled,
    read_families,
    read_tables,
    standardised,
)
from searchkit.types import Bools, Codes, Floats

LEAST = 3  # measurements
POOL, JUDGED = 2000, 500  # candidates among which is chosen, and by which the choice is judged
COPY_AFTER = 5  # measurements after which a known device may be found to have the same order


class KnownDevices:
    """Devices on which the candidates' latencies are known, and what they teach about another one.

    Args:
        known: name of a device -> latencies ``(N,)`` of the same N candidates, above 0 in any unit, NaN where there is
            none. It may be empty if there are features. Other costs, such as energies, may stand beside latencies.
        features: ``(N, f)`` numbers that describe the candidates, such as their parameters, MACs and the choices as
            indicators; used where the known devices do not explain the new one.
        families: name of a device -> family, for devices that are of one kind or one device measured twice. To learn
            how far devices may be believed, each is predicted from those of other families.
        like: the same devices with other candidates, from which is taken how far they may be believed; learning that
            anew takes most of the time.

    Raises:
        DataError: the tables do not fit each other, or hold what is no latency.
        UnknownNameError: ``families`` names a device that is not known.
    """

    def __init__(
        self,
        known: Mapping[str, npt.ArrayLike],
        *,
        features: npt.ArrayLike | None = None,
        families: Mapping[str, str] | None = None,
        like: KnownDevices | None = None,
    ) -> None:
        tables, described = read_tables(known, features)
        of = read_families(families, list(tables))
        described = standardised(described[:, described.std(axis=0) > 0])
        self.names = tuple(tables)
        self.n_candidates = len(described)
        self._tables = tables
        devices = filled(tables, described)
        self._inputs = Inputs.of(devices, described)
        there = [~np.isnan(values) for values in tables.values()]
        self._prior: Floats
        if like is not None and like._inputs.kernels == self._inputs.kernels:
            self._prior = like._prior
        else:
            self._prior = experience(devices, described, list(of.values()), there)

    def choose(
        self, n: int, *, seed: int = 0, among: npt.ArrayLike | None = None, measured: npt.ArrayLike = ()
    ) -> Codes:
        """Rows ``(n,)`` of the candidates to measure on the new device, the most telling first.

        Args:
            n: how many.
            seed: of the 2,000 candidates among which is chosen where there are more.
            among: rows, or ``(N,)`` booleans, of the candidates that may be chosen, such as those that run on the new
                device, and that the choice is to tell most about; all where not given.
            measured: rows that are measured already. They are not chosen, nor is what they tell.

        Raises:
            DataError: fewer than n candidates may be chosen, or rows that there are not.
        """
        if not is_whole(n) or n < 1:
            raise DataError(f"the number of candidates to measure is a whole number from 1 on, not {shown(n)}")
        seed_of("seed", seed)
        done = self._rows("measured", measured)
        allowed = self._allowed(among)
        allowed[done] = False
        if allowed.sum() < n:
            raise DataError(f"{n} candidates are to be chosen, but only {allowed.sum()} may be")
        rng = np.random.default_rng(seed)
        pool = rng.permutation(np.flatnonzero(allowed))[: max(POOL, n)]
        judged = rng.permutation(np.union1d(np.flatnonzero(allowed), done))[:JUDGED]
        seen = np.concatenate([done, pool, judged])
        number, first, last = np.arange(len(seen)), len(done), len(done) + len(pool)
        free = (number >= first) & (number < last)
        setting = setting_of(self._prior[:, 0], self._inputs.kernels)
        found = most_telling(self._inputs[seen], setting, int(n), number[last:], free, measured=first)
        return seen[found]

    def fit(self, rows: npt.ArrayLike, measured: npt.ArrayLike) -> DeviceModel:
        """The model of the new device.

        Args:
            rows: ``(n,)`` distinct rows of the candidates that were measured, n at least 3.
            measured: ``(n,)`` their latencies, above 0, in any unit.

        Raises:
            DataError: fewer than three measurements, other lengths, a value that is not above 0, rows that there are
                not or that are there twice.
        """
        chosen = self._rows("rows", rows)
        try:
            values = numbers_of(measured)
        except ValueError as error:
            raise DataError(f"the measured latencies are {error}") from None
        if values.shape != chosen.shape:
            raise DataError(f"there are {len(chosen)} rows, but the measured latencies have shape {values.shape}")
        if len(values) < LEAST:
            raise DataError(f"there are {len(values)} measurements: a new device needs at least {LEAST}")
        if not (np.isfinite(values) & (values > 0)).all():
            wrong = int(np.flatnonzero(~(np.isfinite(values) & (values > 0)))[0])
            raise DataError(f"the measured latency of row {chosen[wrong]} is {values[wrong]}: latencies are above 0")
        return _fitted(self._inputs, self._prior, self._tables, chosen, values)

    def _rows(self, what: str, given: npt.ArrayLike) -> Codes:
        rows = np.asarray(given)
        if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
            raise DataError(f"{what} are whole numbers, one a candidate, not {shown(given)}")
        rows = rows.astype(np.int64)
        beyond = rows[(rows < 0) | (rows >= self.n_candidates)]
        if beyond.size:
            raise DataError(f"{what} has row {beyond[0]}: there are the rows 0 to {self.n_candidates - 1}")
        values, counts = np.unique(rows, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"{what} has row {values[counts > 1][0]} more than once: give one value of it")
        return rows

    def _allowed(self, among: npt.ArrayLike | None) -> Bools:
        if among is None:
            return np.ones(self.n_candidates, dtype=np.bool_)
        given = np.asarray(among)
        if given.dtype.kind == "b":
            if given.shape != (self.n_candidates,):
                raise DataError(f"among has shape {given.shape}: {self.n_candidates} booleans are allowed")
            return given.copy()
        allowed = np.zeros(self.n_candidates, dtype=np.bool_)
        allowed[self._rows("among", among)] = True
        return allowed


@dataclass(frozen=True)
class DeviceModel:
    """Latencies on a new device, in the unit of its measurements.

    Attributes:
        expected_rho: rank correlation that predictions are expected to have with measurements of candidates that were
            not measured, by leaving each measurement out.
        expected_error: median relative error of the predictions of the measurements that were left out, each in turn;
            0.05 is 5 %. The measured candidates are unusual ones, so others are mostly predicted better.
        weights: known device -> how much of its latency is in the prediction, the largest first: by how many standard
            deviations of the measurements the prediction rises with one of the device's latency. Devices whose
            latencies are alike share their weight.
        copied: the known device whose order all measurements have, if there is one that predicts those that are left
            out better than the process; predictions then follow it alone, by a rising curve.
        rows, measured: ``(n,)`` what it was fitted to.
    """

    expected_rho: float
    expected_error: float
    weights: dict[str, float]
    copied: str | None
    rows: Codes
    measured: Floats
    _predicted: Floats
    _deviation: Floats

    def predict(self) -> tuple[Floats, Floats]:
        """Latencies ``(N,)`` of all candidates, above 0, and their standard errors ``(N,)``; measured ones too."""
        return self._predicted.copy(), self._deviation.copy()


def _fitted(inputs: Inputs, prior: Floats, tables: Mapping[str, Floats], rows: Codes, values: Floats) -> DeviceModel:
    """The process of the standardised measurements, or a known device's order where that is the new one's."""
    level, spread = float(values.mean()), float(values.std()) or float(values.mean())
    seen = inputs[rows]
    y = (values - level) / spread
    process = fit(seen.groups, seen.mean, y, kernels=inputs.kernels, prior=prior)
    mean, deviation = process.predict(inputs.groups, inputs.mean)
    left_out, said = process.left_out()
    lowest = float(values.min())
    predicted = _positive(level + spread * mean, lowest)
    out = _positive(level + spread * left_out, lowest)
    wider = max(1.0, float(np.sqrt(np.mean(((y - left_out) / said) ** 2))))  # further off than the process says
    deviation = spread * wider * np.sqrt(deviation**2 + process.noise)
    weights = _weights(process, seen.mean, inputs, list(tables))
    copied = None
    for name, table in tables.items():
        found = _same_order(table, rows, values) if len(rows) >= COPY_AFTER else None
        if found is not None and _error(found[1], values) < _error(out, values):
            copied, out, weights = name, found[1], {name: 1.0}
            there = ~np.isnan(table)  # the process has the gaps
            predicted = np.where(there, found[0], predicted)
            deviation = np.where(there, found[0] * _error(out, values), deviation)
    return DeviceModel(
        rank_correlation(out, values), _error(out, values), weights, copied, rows, values, predicted, deviation
    )


def _error(out: Floats, values: Floats) -> float:
    return float(np.median(np.abs(out / values - 1)))


def _positive(values: Floats, lowest: Floats | float) -> Floats:
    """Values that fall below the lowest measured one approach 0 and do not cross it; their order stays."""
    found: Floats = np.where(values < lowest, lowest * np.exp(np.minimum(values / lowest - 1, 0.0)), values)
    return found


def _weights(process: Gaussian, mean: Floats, inputs: Inputs, names: list[str]) -> dict[str, float]:
    """By how much the prediction rises with each device's standardised latency."""
    if not names:
        return {}
    linear = process.slopes(0) / np.sqrt(len(names))  # group 0 is that of the devices, divided by this
    level = inputs.groups[0].mean(axis=1) * np.sqrt(len(names))
    share = process.setting.weight / (len(names) * (float(level.std()) or 1.0))
    return dict(sorted(((n, float(w + share)) for n, w in zip(names, linear, strict=True)), key=lambda pair: -pair[1]))


def _same_order(table: Floats, rows: Codes, values: Floats) -> tuple[Floats, Floats] | None:
    """Predictions ``(N,)`` and left-out ones ``(n,)`` by a known device that has the measurements' order; else None."""
    known = table[rows]
    order = np.argsort(known)
    x, y = np.log(known[order]), np.log(values[order])
    if np.isnan(known).any() or (np.diff(x) <= 0).any() or (np.diff(y) <= 0).any():
        return None
    out = np.array([float(_along(np.delete(x, i), np.delete(y, i), x[i : i + 1])[0]) for i in range(len(x))])
    back = np.empty(len(rows))
    back[order] = np.exp(out)
    return np.exp(_along(x, y, np.log(table))), back


def _along(x: Floats, y: Floats, at: Floats) -> Floats:
    """A rising curve through points: cubic between them (Fritsch and Butland, 1984), straight beyond."""
    found: Floats = PchipInterpolator(x, y)(np.clip(at, x[0], x[-1]))
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    found += low * np.minimum(at - x[0], 0.0) + high * np.maximum(at - x[-1], 0.0)
    return found
