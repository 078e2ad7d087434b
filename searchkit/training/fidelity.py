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
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.objectives import Goals
from searchkit.problem.pareto import non_dominated
from searchkit.problem.trial import State, Trial
from searchkit.types import Floats

ETA = 3  # one candidate in ETA is promoted
ENOUGH = 3  # fully trained candidates needed to fit the line between a rung and the full training


@dataclass(frozen=True)
class Rung:
    """A cheap evaluation; settings that are None are those of the full evaluation.

    Attributes:
        epochs: number of training epochs.
        resolution: pixels of the shorter side that images are resized to, for training and validation.
        width: factor in (0, 1] on the space's choice or option ``width``.
        data: fraction in (0, 1] of the train part that is used.
    """

    epochs: int | None = None
    resolution: int | None = None
    width: float | None = None
    data: float | None = None

    @property
    def given(self) -> dict[str, int | float]:
        """The settings that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def label(self) -> str:
        """The name of the rung in reasons and columns, such as "epochs=10, data=0.5"."""
        return ", ".join(f"{name}={value:g}" for name, value in self.given.items())

    def settings(self, full: Rung) -> tuple[float, ...]:
        """All four settings as numbers; those that are None are taken from the full evaluation."""
        return tuple(full.given[name] if value is None else value for name, value in asdict(self).items())


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
        rivals = [trial for trial in trials if self.reached(trial, i)]
        order = ranking(goals.losses(self._columns(rivals, i, goals))) if rivals else []
        places = {rivals[row].number: place for place, row in enumerate(order, start=1)}
        kept = n_promoted(len(rivals))
        return {
            trial.number: f"not promoted from {self.rungs[i].label}: {ordinal(places[trial.number])} of {len(rivals)}"
            for trial in batch
            if places[trial.number] > kept
        }

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
            of the epochs.
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
    given = [given] if isinstance(given, Mapping) else given
    if not isinstance(given, list | tuple) or not given:
        raise SearchkitError(
            f"ladder is rungs such as ({{'epochs': 3}}, {{'epochs': 10}}), or 'default'; not {given!r}"
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
    names = [field.name for field in fields(Rung)]
    if not isinstance(given, Mapping) or not given:
        raise SearchkitError(f"rung {i} of the ladder sets some of {', '.join(names)}; it is {given!r}")
    for name, value in given.items():
        if name not in names:
            raise UnknownNameError.of("setting of a rung", name, names)
        whole = name in ("epochs", "resolution")
        right = isinstance(value, int | np.integer) if whole else isinstance(value, int | float | np.number)
        if isinstance(value, bool) or not right or not (value >= 1 if whole else 0 < value <= 1):
            allowed = "a whole number of at least 1" if whole else "above 0 and at most 1"
            raise SearchkitError(f"{name} in rung {i} of the ladder is {allowed}, not {value!r}")
    typed: dict[str, Any] = {n: int(v) if n in ("epochs", "resolution") else float(v) for n, v in given.items()}
    return Rung(**typed)


def ordinal(n: int) -> str:
    """A place in words: 1st, 2nd, 3rd, 4th."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
