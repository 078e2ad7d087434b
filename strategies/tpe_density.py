"""The density model of Optuna's TPE on arrays: a mixture of products of kernels, one kernel a trial and a prior.

Bergstra, Bardenet, Bengio, Kegl: Algorithms for hyper-parameter optimization. NeurIPS 2011. Falkner, Klein, Hutter:
BOHB. ICML 2018 (products over all parameters). Kernels, weights, random numbers and sums are Optuna's, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.strategies.tpe_axes import Axis, Categories, Number
from searchkit.strategies.tpe_compat import LOG_ROOT_2PI
from searchkit.strategies.tpe_normal import LARGE, log_mass, quantiles
from searchkit.strategies.tpe_steps import Integers, Steps
from searchkit.types import Codes, Floats

NARROWEST = 1e-12  # a kernel's width, where nothing else bounds it


@dataclass(frozen=True)
class Settings:
    """Settings of a TPESampler.

    Attributes:
        prior: weight of the prior.
        clip: whether kernels have a least width.
        endpoints: whether the bounds count as neighbours.
    """

    prior: float
    clip: bool
    endpoints: bool


class Density:
    """One mixture.

    Args:
        axes: the parameters.
        values: for each, ``(n,)`` values on its scale, of all its trials in their order.
        rows: ``(m,)`` the finished trials, m <= n; those that follow are running.
        weights: ``(n + 1,)`` of the kernels, the last is the prior's; they sum to 1.
        settings: of the sampler.
    """

    def __init__(
        self, axes: Sequence[Axis], values: Sequence[Floats], rows: Codes, weights: Floats, settings: Settings
    ) -> None:
        self._axes, self._rows, self._weights = axes, rows, weights
        self._numbers = [axis for axis in axes if isinstance(axis, Number)]
        self._tables: dict[int, tuple[Floats, Codes]] = {}  # of categories: weights, each kernel's row
        for i, axis in enumerate(axes):
            if isinstance(axis, Categories):
                self._tables[i] = axis.weights(values[i], settings.prior)
        if self._numbers:
            found = [v for axis, v in zip(axes, values, strict=True) if isinstance(axis, Number)]
            self._middles, self._widths = kernels_of(self._numbers, np.array(found), settings)

    def sample(self, rng: np.random.RandomState, n: int) -> list[Floats]:
        """For each parameter, ``(n,)`` values in its unit."""
        active = rng.choice(len(self._weights), p=self._weights, size=n)
        drawn: list[Floats] = [np.empty(0)] * len(self._axes)
        for i, (table, kernels) in self._tables.items():
            lots, chances = rng.rand(n), np.cumsum(table[kernels[active]], axis=-1)
            chances[:, -1] = 1
            drawn[i] = np.sum(chances < lots[:, None], axis=-1)
        if self._numbers:
            middles, widths = self._middles[:, active], self._widths[:, active]
            low, high = np.array([axis.ends for axis in self._numbers], dtype=np.float64).T[:, :, None]
            lots = rng.uniform(low=0, high=1, size=middles.shape)
            numbers = quantiles(lots, (low - middles) / widths, (high - middles) / widths) * widths + middles
            places = [i for i in range(len(self._axes)) if i not in self._tables]
            for i, axis, value in zip(places, self._numbers, numbers, strict=True):
                drawn[i] = in_unit(axis, value)
        return drawn

    def log_density(self, x: Sequence[Floats]) -> Floats:
        """``(n,)`` the logarithm of the density at candidates.

        Args:
            x: for each parameter ``(n,)`` values in its unit.
        """
        total = np.zeros((len(x[0]), len(self._weights)))
        masses, place, plain = self._masses(), 0, []
        for i, axis in enumerate(self._axes):
            if isinstance(axis, Categories):
                table, kernels = self._tables[i]
                total += np.log(table[:, x[i].astype(np.int64)]).T.take(kernels, axis=1)
                continue
            middles, widths = self._middles[place], self._widths[place]
            if isinstance(axis, Integers):
                total += axis.log_probabilities(x[i], middles, widths)
                total -= masses[place]
            elif isinstance(axis, Steps):
                at, inside = axis.log_probabilities(x[i], self._rows, middles, widths)
                total += at
                total -= inside
            else:
                plain.append(self._normal(place, axis, x[i], masses[place]))
            place += 1
        if plain:
            total += added(plain)
        total += np.log(self._weights)
        top = total.max(axis=1)
        top[np.isneginf(top)] = 0  # where no kernel reaches
        total -= top[:, None]
        with np.errstate(divide="ignore"):
            density: Floats = np.log(np.exp(total, out=total).sum(axis=1)) + top
        return density

    def _masses(self) -> dict[int, Floats]:
        """Place of a number -> ``(m,)`` the logarithm of each kernel's probability inside the bounds.

        Numbers with steps that keep it themselves are left out. What is not known is computed for all at once.
        """
        kernels = list(zip(self._numbers, self._middles, self._widths, strict=True)) if self._numbers else []
        plain = sum(axis.n_central(middles) for axis, middles, _ in kernels if not axis.step) >= LARGE
        known, wanted = {}, {False: [], True: []}  # type: ignore[var-annotated]
        for i, (axis, middles, widths) in enumerate(kernels):
            if not isinstance(axis, Steps):
                large = plain if not axis.step else axis.takes_polynomials(middles, widths)
                known[i], unknown = axis.known_masses(self._rows, widths, large)
                wanted[large].append((i, axis, unknown, *axis.inside(middles[unknown], widths[unknown])))
        for large, parts in wanted.items():
            if not parts:
                continue
            found = log_mass(np.concatenate([p[3] for p in parts]), np.concatenate([p[4] for p in parts]), large)
            for i, axis, unknown, *_ in parts:
                known[i][unknown], found = found[: len(unknown)], found[len(unknown) :]
                changed = unknown[: np.searchsorted(unknown, len(self._rows))]
                axis.keep_masses(self._rows[changed], self._widths[i, changed], known[i][changed], large)
        return known

    def _normal(self, place: int, axis: Number, x: Floats, masses: Floats) -> Floats:
        """``(n, m)`` the logarithm of each kernel's density at candidates of a number without steps."""
        middles, widths = self._middles[place], self._widths[place]
        x = np.log(x) if axis.is_log else x
        part: Floats = x[:, None] - middles
        part /= widths
        np.multiply(part, part, out=part)
        part *= -0.5
        part -= LOG_ROOT_2PI
        part -= masses
        part -= np.log(widths)
        outside = (x < axis.ends[0]) | (x > axis.ends[1])
        if outside.any():
            scaled = (x[outside, None] - middles) / widths
            low, high = axis.inside(middles, widths)
            part[outside] = np.where((scaled < low) | (scaled > high), -np.inf, part[outside])
        return part


def kernels_of(axes: Sequence[Number], values: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """``(d, n + 1)`` middles and widths: a value's distance to the farther neighbour; the last is the prior.

    Args:
        axes: d numbers.
        values: ``(d, n)``.
        settings: of the sampler.
    """
    d, n = values.shape
    low, high = np.array([(axis.low, axis.high) for axis in axes], dtype=np.float64).T[:, :, None]
    order = np.argsort(values, axis=1)
    order += (np.arange(d) * n)[:, None]  # places in all values: indices of one axis are several times faster
    row = np.concatenate([low, values.ravel().take(order), high], axis=1)
    gaps = row[:, 1:] - row[:, :-1]
    ordered = np.maximum(gaps[:, :-1], gaps[:, 1:])
    if not settings.endpoints and n >= 2:
        ordered[:, 0], ordered[:, -1] = gaps[:, 1], gaps[:, -2]
    span = high - low
    least = span / min(100.0, 2.0 + n) if settings.clip else np.full_like(span, NARROWEST)
    found = np.empty(d * n)
    found[order.ravel()] = np.clip(ordered, least, span).ravel()
    middles, widths = np.empty((2, d, n + 1))
    widths[:, :-1] = found.reshape(d, n)
    middles[:, :-1], middles[:, -1:], widths[:, -1:] = values, 0.5 * (low + high), span
    return middles, widths


def added(parts: list[Floats]) -> Floats:
    """The sum of arrays, in the order in which numpy adds up the last axis of an array: eight sums for 8 or more."""
    if len(parts) < 8:
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total
    if len(parts) > 128:
        joined: Floats = np.stack(parts, axis=-1).sum(axis=-1)
        return joined
    whole = len(parts) - len(parts) % 8
    sums = parts[:8]
    for i in range(8, whole):
        sums[i % 8] += parts[i]
    first = (sums[0] + sums[1]) + (sums[2] + sums[3])
    total = first + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for part in parts[whole:]:
        total += part
    return total


def in_unit(axis: Number, value: Floats) -> Floats:
    """Values in the parameter's unit, at its steps."""
    value = np.exp(value) if axis.is_log else value
    if axis.step:
        value = np.clip(axis.least + np.round((value - axis.least) / axis.step) * axis.step, axis.least, axis.most)
    return value
