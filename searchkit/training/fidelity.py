"""A fidelity ladder: candidates are trained cheaply first, and the promising ones are promoted to the next rung.

This is asynchronous successive halving (Li et al.: A system for massively parallel hyperparameter tuning. MLSys 2020,
algorithm 2) with one difference: promotion is decided once for each batch and never revised, so that a search can be
reproduced from its record. Several objectives are ranked as in Schmucker et al.: Multi-objective asynchronous
successive halving. arXiv 2106.12639, by non-dominated sorting, and within a front by an epsilon-net. The idea of making
rungs cheap by fewer epochs, lower resolution, smaller width and less data is from EcoNAS (Zhou et al., CVPR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.objectives import Goals
from searchkit.problem.pareto import non_dominated
from searchkit.problem.trial import State, Trial
from searchkit.space import keys
from searchkit.types import Floats

ETA = 3  # one candidate in ETA is promoted
SETTINGS = ("epochs", "resolution", "width", "data")  # of a rung's training
ECONAS = (0.1, 0.2, 0.3)  # of the epochs, on the rungs of "econas": three rounds of 20 of 200
ENOUGH = 3  # fully trained candidates needed to fit the line between a rung and the full training


@dataclass(frozen=True)
class Rung:
    """A cheap evaluation; settings that are None are those of the full evaluation.

    Attributes:
        epochs: number of training epochs.
        resolution: pixels of the shorter side that images are resized to, for training and validation.
        width: factor in (0, 1] on the space's choice or option ``width``.
        data: fraction in (0, 1] of the train part that is used.
        again: whether candidates that were dropped here may come back (:mod:`searchkit.training.second_chance`).
    """

    epochs: int | None = None
    resolution: int | None = None
    width: float | None = None
    data: float | None = None
    again: bool = False

    @property
    def given(self) -> dict[str, int | float]:
        """The settings of the training that are not None."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}

    @property
    def written(self) -> dict[str, int | float | bool]:
        """What a user writes for it, and what identifies it in a record."""
        return self.given | ({"again": True} if self.again else {})

    @property
    def label(self) -> str:
        """The name of the rung in reasons and columns, such as "epochs=10, data=0.5"."""
        return ", ".join(f"{name}={value:g}" for name, value in self.given.items())

    def settings(self, full: Rung) -> tuple[float, ...]:
        """All four settings as numbers; those that are None are taken from the full evaluation."""
        return tuple(self.given.get(name, full.given[name]) for name in SETTINGS)


@dataclass(frozen=True)
class Ladder:
    """The rungs below the full evaluation.

    Attributes:
        trained: names of the metrics that depend on the rung; the others have the same value on every rung.
    """

    rungs: tuple[Rung, ...]
    trained: tuple[str, ...]

    def named(self, values: Mapping[str, float], i: int) -> dict[str, float]:
        """The values of rung i, in which trained metrics get names such as "accuracy (epochs=3)"."""
        return {self._name(name, i) if name in self.trained else name: value for name, value in values.items()}

    def reached(self, trial: Trial, i: int) -> bool:
        """Whether a trial has a result at rung i."""
        return self._name(self.trained[0], i) in trial.values

    def score(self, values: Mapping[str, float], i: int) -> float:
        """The first trained metric at rung i, from values that are named for it (:meth:`named`)."""
        return values[self._name(self.trained[0], i)]

    def dropped(self, batch: Sequence[Trial], trials: Sequence[Trial], i: int, goals: Goals) -> dict[int, str]:
        """``{number: reason}`` for the trials of the batch that are not promoted from rung i.

        Args:
            trials: all trials of the search so far including the batch, in the order in which they were asked.
        """
        order = self.order(trials, i, goals)
        places = {trial.number: place for place, trial in enumerate(order, start=1)}
        kept, before = n_promoted(len(order)), self._dropped_before(batch, trials)
        return {
            trial.number: f"not promoted from {self.rungs[i].label}: {ordinal(places[trial.number])} of {len(order)}"
            for trial in batch
            if places[trial.number] > kept and before.get(trial.number, -1) < i
        }

    @property
    def again(self) -> bool:
        """Whether candidates that were dropped from some rung may come back."""
        return any(rung.again for rung in self.rungs)

    def last(self, trial: Trial) -> int:
        """The last rung that a trial reached; -1: none."""
        return max((i for i, _ in enumerate(self.rungs) if self.reached(trial, i)), default=-1)

    def order(self, trials: Sequence[Trial], i: int, goals: Goals) -> list[Trial]:
        """The trials that reached rung i, the best first; of one candidate that came back, the last."""
        rivals = [trial for trial in trials if self.reached(trial, i)]
        if self.again:
            rivals = list({keys(trial.code[None])[0]: trial for trial in rivals}.values())
        return [rivals[row] for row in ranking(goals.losses(self._columns(rivals, i, goals)))] if rivals else []

    def _dropped_before(self, batch: Sequence[Trial], trials: Sequence[Trial]) -> dict[int, int]:
        """For the trials of a batch that came back: their number, and the last rung that they reached before."""
        if not self.again:
            return {}
        came = {keys(trial.code[None])[0]: trial.number for trial in batch}
        dropped = [(keys(t.code[None])[0], t) for t in trials if t.state is State.DROPPED]
        return {came[key]: self.last(t) for key, t in dropped if came.get(key, t.number) != t.number}

    def hints(self, batch: Sequence[Trial], trials: Sequence[Trial], goals: Goals) -> Floats:
        """Losses ``(n, k)`` that dropped trials of the batch would have after full training; NaN for all other trials.

        A trained metric is extrapolated from the last rung that the trial reached, by a straight line fitted to the
        fully trained candidates; with fewer than three of these, the value at the rung is used. Costs are exact.

        Args:
            trials: the trials of the search up to and including the batch.
        """
        scored = [trial for trial in trials if trial.state is State.SCORED]
        rows = []
        for trial in batch:
            reached = [i for i, _ in enumerate(self.rungs) if trial.state is State.DROPPED and self.reached(trial, i)]
            values = dict.fromkeys(goals.names, np.nan)
            if reached:
                values = {name: self._predicted(name, reached[-1], trial, scored) for name in goals.names}
            rows.append(values)
        return goals.losses({name: np.array([row[name] for row in rows]) for name in goals.names})

    def observed(self, batch: Sequence[Trial], goals: Goals) -> Floats:
        """``(n, r, k)`` losses of a batch at each of r rungs; NaN where a trial did not reach one, and for costs."""
        losses = np.stack([goals.losses(self._columns(batch, i, goals)) for i, _ in enumerate(self.rungs)], axis=1)
        losses[:, :, [name not in self.trained for name in goals.names]] = np.nan
        for i, _ in enumerate(self.rungs):
            losses[[not self.reached(trial, i) for trial in batch], i] = np.nan
        return losses

    def _columns(self, trials: Sequence[Trial], i: int, goals: Goals) -> dict[str, Floats]:
        """Values of the objectives at a rung; costs are the same there."""
        return {
            name: np.array([t.values.get(self._name(name, i), t.values.get(name, np.nan)) for t in trials])
            for name in goals.names
        }

    def _predicted(self, metric: str, i: int, trial: Trial, scored: Sequence[Trial]) -> float:
        """A dropped trial's metric as predicted for the full training."""
        if metric not in self.trained:
            return trial.values.get(metric, np.nan)
        cheap = self._name(metric, i)
        pairs = [(t.values[cheap], t.values[metric]) for t in scored if cheap in t.values and metric in t.values]
        value = trial.values.get(cheap, np.nan)
        if len(pairs) < ENOUGH:
            return value
        x, y = np.array(pairs).T
        slope = max(float(np.cov(x, y)[0, 1] / (x.var(ddof=1) or 1.0)), 0.0)
        return float(y.mean() + slope * (value - x.mean()))

    def _name(self, metric: str, i: int) -> str:
        return f"{metric} ({self.rungs[i].label})"


def n_promoted(n: int, eta: int = ETA) -> int:
    """How many of n are promoted: n / eta, rounded up; all if there are fewer than eta."""
    return n if n < eta else math.ceil(n / eta)  # Li et al., algorithm 2: top_k(rung, |rung| / eta)


def ranking(losses: Floats) -> list[int]:
    """Row numbers of losses ``(n, k)``, best first: front after front; rows that are not finite come last.

    The first row of a front is its best by the first objective. Each following row is the one farthest from all rows
    before it, with objectives scaled to the range of the front, so that any number of first rows covers the front. Of
    equal rows, the earlier comes first.
    """
    rest = np.flatnonzero(np.isfinite(losses).all(axis=1))
    order: list[int] = []
    while len(rest):
        best = non_dominated(losses[rest])
        order += _spread(losses, rest[best].tolist())
        rest = rest[~best]
    return order + np.flatnonzero(~np.isfinite(losses).all(axis=1)).tolist()


def _spread(losses: Floats, rows: list[int]) -> list[int]:
    points = losses[rows]
    span = np.ptp(points, axis=0)
    points = points / np.where(span > 0, span, 1.0)
    chosen = int(np.argmin(points[:, 0]))
    order = [rows[chosen]]
    distance = np.full(len(rows), np.inf)
    distance[chosen] = -np.inf
    for _ in range(len(rows) - 1):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen], axis=1))
        chosen = int(np.argmax(distance))
        distance[chosen] = -np.inf
        order.append(rows[chosen])
    return order


def read_ladder(given: object, epochs: int) -> tuple[Rung, ...]:
    """Read the argument ``ladder=``; None means no rungs.

    Args:
        given: mappings such as ``({"epochs": 3}, {"epochs": 10, "data": 0.5})``, or "default" for a tenth and a third
            of the epochs, or "econas" for one, two and three tenths, from which those that are dropped may come back.
        epochs: of the full evaluation.

    Raises:
        SearchkitError: a rung is malformed; the message says what is wrong.
        UnknownNameError: a rung has an unknown setting.
    """
    if given is None:
        return ()
    if given == "default":
        given = [{"epochs": n} for n in (epochs // 10, epochs // 3) if n > 0]
        if not given:
            raise SearchkitError(f"ladder='default' trains for a third of the epochs first; {epochs} are too few")
    if given == "econas":
        given = [{"epochs": int(share * epochs + 1e-9), "again": True} for share in ECONAS]
        if epochs < 1 / ECONAS[0]:
            raise SearchkitError(f"ladder='econas' trains for a tenth of the epochs first; {epochs} are too few")
    given = [given] if isinstance(given, Mapping) else given
    if not isinstance(given, list | tuple) or not given:
        raise SearchkitError(
            f"ladder is rungs such as ({{'epochs': 3}}, {{'epochs': 10}}), 'default' or 'econas'; not {given!r}"
        )
    return tuple(_read_rung(rung, i) for i, rung in enumerate(given, start=1))


def check_cheaper(rungs: Sequence[Rung], epochs: int, side: int) -> None:
    """Refuse a rung that is in no setting cheaper than a later rung or the full evaluation.

    Args:
        epochs: of the full evaluation.
        side: pixels of the shorter side of images in the full evaluation.

    Raises:
        SearchkitError: the message names both rungs.
    """
    full = Rung(epochs=epochs, resolution=side, width=1.0, data=1.0)
    names = [*(f"rung {i} ({rung.label})" for i, rung in enumerate(rungs, start=1)), f"the full one ({full.label})"]
    for (low, one), (high, other) in combinations(zip([*rungs, full], names, strict=True), 2):
        if all(mine >= its for mine, its in zip(low.settings(full), high.settings(full), strict=True)):
            raise SearchkitError(f"in the ladder, {one} is not cheaper than {other}, which comes after it")


def _read_rung(given: Any, i: int) -> Rung:
    if not isinstance(given, Mapping) or not set(given) - {"again"}:
        raise SearchkitError(f"rung {i} of the ladder sets some of {', '.join(SETTINGS)}; it is {given!r}")
    for name, value in given.items():
        if name not in (*SETTINGS, "again"):
            raise UnknownNameError.of("setting of a rung", name, (*SETTINGS, "again"))
        if name == "again":
            if not isinstance(value, bool | np.bool_):
                raise SearchkitError(f"again in rung {i} of the ladder is True or False, not {value!r}")
            continue
        whole = name in ("epochs", "resolution")
        right = isinstance(value, int | np.integer) if whole else isinstance(value, int | float | np.number)
        if isinstance(value, bool) or not right or not (value >= 1 if whole else 0 < value <= 1):
            allowed = "a whole number of at least 1" if whole else "above 0 and at most 1"
            raise SearchkitError(f"{name} in rung {i} of the ladder is {allowed}, not {value!r}")
    typed: dict[str, Any] = {n: int(v) if n in ("epochs", "resolution") else float(v) for n, v in given.items()}
    return Rung(**(typed | ({"again": bool(given["again"])} if "again" in given else {})))


def ordinal(n: int) -> str:
    """A place in words: 1st, 2nd, 3rd, 4th."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
