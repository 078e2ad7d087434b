"""A slow target: which networks it is asked for first, and what the others cost on it by what is known elsewhere.

The model is :class:`~searchkit.surrogates.new_device.KnownDevices`, over a pool of random networks of the space, those
that are known of other devices, and those of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from searchkit.costs.targets.prediction import Measurement, Prediction
from searchkit.costs.targets.target import Target
from searchkit.errors import DataError, DeviceError, SearchkitError, first_line_said
from searchkit.problem.objectives import Bound
from searchkit.search.known_costs import Known, networks_of
from searchkit.search.measured_costs import target_of
from searchkit.space import NetworkSpace, distinct_rows, keys
from searchkit.space.recipe_space import RecipeSpace
from searchkit.surrogates.features import structure
from searchkit.surrogates.known_devices import LEAST_KNOWN
from searchkit.surrogates.new_device import LEAST, DeviceModel, KnownDevices
from searchkit.types import Bools, Codes, Floats

POOL, BUILT = 2000, 500  # networks among which is chosen; where each has to be built to be counted
LISTED = 20_000  # combinations of a space that are listed
MACS = "MACs"  # stand for a known device where there is none: latencies are nearly proportional to them
BEYOND = 2.0  # times the least or the most that was measured: no prediction is further away
LEARNED = 2.0  # what is known of other devices is learned from anew when there is so many times as much of it

Counted = Callable[[Codes], dict[str, Floats]]  # codes (n, d) -> exact counts (n,), NaN of what cannot be built


class Expected(TypedDict):
    """How good predictions are expected to be: from how many networks, by which devices, and by leaving each out."""

    n: int
    known: list[str]
    rank_correlation: float
    error: float


@dataclass(frozen=True)
class Predicted:
    """Predictions ``(n,)``, and the model that made them."""

    values: list[Prediction]
    model: DeviceModel

    @property
    def expected(self) -> Expected:
        """How good they are expected to be; see :class:`DeviceModel`."""
        rho, error = self.model.expected_rho, self.model.expected_error
        return {"n": len(self.model.rows), "known": list(self.model.weights), "rank_correlation": rho, "error": error}

    @property
    def label(self) -> str:
        """How they were made, for records and tables."""
        known = ", ".join(self.model.weights)
        return (
            f"predicted from {len(self.model.rows)} networks{f' and what is known of {known}' if known else ''}: "
            f"expected rank correlation {self.model.expected_rho:.2f}, error {self.model.expected_error:.1%}"
        )


class SlowTarget:
    """Chooses the first networks of a target, and predicts the costs of all others.

    Args:
        name: of the target, for messages.
        target: with ``first``, and with what is known as :class:`Known`.
        space: of the search.
    """

    def __init__(self, name: str, target: Target, space: NetworkSpace) -> None:
        self.name, self._target, self._space = name, target, space
        self._networks = networks_of(space)
        self._at: dict[bytes, int] = {}  # by network: its row
        self._features, self._macs = np.empty((0, 0)), np.empty(0)
        self._tables = {device: np.empty(0) for device in target.known}
        self._pool: Codes = np.empty((0, space.n_choices), dtype=np.int64)  # candidates; their rows are the first ones
        self._allowed: Bools = np.empty(0, dtype=np.bool_)
        self._learned: tuple[KnownDevices, dict[str, int]] | None = None

    def prepare(self, counted: Counted, vectorised: bool, bounds: Sequence[Bound]) -> None:
        """Draw the networks among which is chosen, and read what is known of them.

        Args:
            vectorised: whether many candidates are counted at once, by a formula.
            bounds: of the search; networks that break one on an exact count are not chosen.

        Raises:
            DeviceError: too few networks can be built, or are known.
        """
        codes = self._drawn(POOL if vectorised else BUILT)
        columns = counted(codes)
        built = np.isfinite(columns["params"])
        self._pool = codes[built]
        within = [~(bound.violation(columns[bound.name][built]) > 0) for bound in bounds if bound.name in columns]
        self._allowed = np.logical_and.reduce([np.ones(len(self._pool), dtype=np.bool_), *within])
        first = self._target.first or 0
        if len(self._pool) < first:
            raise DeviceError(
                f"target '{self.name}' has first={first}, and of {len(codes)} random candidates of space "
                f"'{self._space.name}' only {len(self._pool)} can be built"
            )
        self._add(self._pool, np.column_stack([columns["params"], columns["macs"]])[built])
        for device, values in self._tables.items():
            n = int(np.isfinite(values).sum())
            if n < LEAST_KNOWN:
                raise DeviceError(
                    f"known device '{device}' of target '{self.name}' has values of {n} candidates of space "
                    f"'{self._space.name}', and at least {LEAST_KNOWN} are needed"
                )
        try:
            self._devices({})
        except DataError as error:
            raise DeviceError(f"target '{self.name}' with first={first}: {error}") from error

    def choose(self, n: int, done: Sequence[Measurement], without: Codes) -> Codes:
        """``(n, d)`` candidates to measure, the most telling first.

        Args:
            done: those that are measured.
            without: ``(m, d)`` candidates that cannot be.
        """
        self._remember(done)
        free = np.zeros(len(self._features), dtype=np.bool_)
        rows = sorted({self._at[key] for key in self._keys(np.stack([one.code for one in done]))}) if done else []
        barred = [self._at[key] for key in self._keys(without) if key in self._at]
        for allowed in (self._allowed, np.ones(len(self._pool), dtype=np.bool_)):
            free[: len(self._pool)] = allowed
            free[[*rows, *barred]] = False
            if free.sum() >= n:
                break
        chosen = self._devices({}).choose(min(n, int(free.sum())), among=free, measured=np.array(rows, dtype=np.int64))
        return self._pool[chosen]

    def predict(
        self, asked: Sequence[Measurement], points: Sequence[Measurement], beside: Mapping[str, Sequence[Measurement]]
    ) -> Predicted | None:
        """The costs of candidates.

        Args:
            asked: the candidates; their values are not looked at.
            points: what was measured of others.
            beside: column of another target -> what was measured there.

        Returns:
            None where fewer than three networks are measured, or a candidate cannot be counted.
        """
        self._remember([*asked, *points, *(one for ones in beside.values() for one in ones)])
        rows, values = self._rows(points)
        at = [self._at.get(key, -1) for key in self._keys(np.stack([one.code for one in asked]))]
        if len(rows) < LEAST or min(at) < 0:
            return None
        model = self._devices(beside).fit(rows, values)
        mean, deviation = model.predict()
        within = np.clip(mean, values.min() / BEYOND, values.max() * BEYOND)
        found = [Prediction(float(within[i]), float(deviation[i] / within[i]), len(rows)) for i in at]
        return Predicted(found, model)

    def _devices(self, beside: Mapping[str, Sequence[Measurement]]) -> KnownDevices:
        tables = dict(self._tables)
        for column, points in beside.items():
            rows, values = self._rows(points)
            if len(rows) >= LEAST_KNOWN and np.ptp(values) > 0:
                tables[column] = np.full(len(self._features), np.nan)
                tables[column][rows] = values
        if not tables and np.ptp(self._macs) > 0:
            tables[MACS] = self._macs
        kinds = {column: target_of(column) if column in beside else column for column in tables}
        families = {column: self._target.families.get(kind, kind) for column, kind in kinds.items()}
        sizes = {column: int(np.isfinite(values).sum()) for column, values in tables.items()}
        before = self._learned
        if before and sizes.keys() == before[1].keys() and all(n < LEARNED * before[1][c] for c, n in sizes.items()):
            return KnownDevices(tables, features=self._features, families=families, like=before[0])
        found = KnownDevices(tables, features=self._features, families=families)
        self._learned = found, sizes
        return found

    def _rows(self, points: Sequence[Measurement]) -> tuple[Codes, Floats]:
        """Distinct rows and their values; the mean where one network was measured as several candidates."""
        by_row: dict[int, list[float]] = {}
        for key, one in zip(self._keys(np.stack([one.code for one in points])) if points else [], points, strict=True):
            if key in self._at:
                by_row.setdefault(self._at[key], []).append(one.value)
        return np.array(list(by_row), dtype=np.int64), np.array([np.mean(values) for values in by_row.values()])

    def _remember(self, ones: Sequence[Measurement]) -> None:
        if ones:
            self._add(np.stack([one.code for one in ones]), np.array([[one.params, one.macs] for one in ones]))

    def _add(self, codes: Codes, counts: Floats) -> None:
        """Make rows of new candidates ``(n, d)`` with their params and macs ``(n, 2)``."""
        fresh: dict[bytes, int] = {}
        for i, key in enumerate(self._keys(codes)):
            if key not in self._at and np.isfinite(counts[i]).all():
                fresh.setdefault(key, i)
        if not fresh:
            return
        at = list(fresh.values())
        part = self._part(codes)[at]
        sizes = np.maximum(counts[at], 1.0)
        described = np.concatenate([np.log(sizes), structure(self._networks, part)], axis=1)
        self._macs = np.concatenate([self._macs, sizes[:, 1]])
        for key in fresh:
            self._at[key] = len(self._at)
        self._features = np.concatenate([self._features.reshape(-1, described.shape[1]), described])
        for device, known in self._target.known.items():
            assert isinstance(known, Known)
            self._tables[device] = np.concatenate([self._tables[device], self._known(device, known, part)])

    def _known(self, device: str, known: Known, part: Codes) -> Floats:
        said = f"known device '{device}' of target '{self.name}'"
        try:
            values = known.values(part)
        except SearchkitError as error:
            raise type(error)(f"{said} {first_line_said(error)}") from error
        wrong = np.flatnonzero(~np.isnan(values) & ~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            choices = self._networks.decode(part[wrong[:1]])[0]
            raise DeviceError(
                f"{said} has {values[wrong[0]]:g} of {choices}: costs are above 0, or NaN where not known"
            )
        return values

    def _drawn(self, most: int) -> Codes:
        """Distinct candidates: those that are listed as known, up to half of them, and random ones."""
        space, rng = self._networks, np.random.default_rng(0)
        listed = [known.listed for known in self._target.known.values() if isinstance(known, Known)]
        known = distinct_rows(np.concatenate([np.empty((0, space.n_choices), dtype=np.int64), *listed]))
        known = known[rng.permutation(len(known))[: most // 2]]
        small = space.size <= LISTED
        others = distinct_rows(space.enumerate(LISTED) if small else space.sample(2 * most, rng))
        codes = distinct_rows(np.concatenate([known, others[rng.permutation(len(others))]]))[:most]
        if isinstance(self._space, RecipeSpace):
            return self._space.encode(space.decode(codes))
        return codes

    def _part(self, codes: Codes) -> Codes:
        return codes[:, : self._networks.n_choices]

    def _keys(self, codes: Codes) -> list[bytes]:
        return keys(self._part(codes))
