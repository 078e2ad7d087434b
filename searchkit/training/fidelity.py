"""A fidelity ladder: candidates are trained cheaply first, and the promising ones are promoted to the next rung.

Successive halving in its asynchronous form (Li et al.: A system for massively parallel hyperparameter tuning. MLSys
2020, algorithm 2), with one difference: it is decided for a whole batch at once, and not thought over later, so that a
search is a function of its record. Several objectives are ranked as in Schmucker et al.: Multi-objective asynchronous
successive halving. arXiv 2106.12639: non-dominated sorting, and inside a front an epsilon-net. That a rung may be cheap
in epochs, resolution, width and data alike is EcoNAS's (Zhou et al., CVPR 2020).
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

ETA = 3  # one of so many is promoted
ENOUGH = 3  # trials in full from which a rung is held against the full training


@dataclass(frozen=True)
class Rung:
    """A cheap evaluation; None is as in the full one.

    Attributes:
        epochs: of training.
        resolution: pixels of the shorter side that images are resized to, for training and validation.
        width: factor in (0, 1] on the space's choice or option ``width``.
        data: fraction in (0, 1] of the train part.
    """

    epochs: int | None = None
    resolution: int | None = None
    width: float | None = None
    data: float | None = None

    @property
    def given(self) -> dict[str, int | float]:
        """What it sets."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def label(self) -> str:
        """Its name in reasons and columns: "epochs=10, data=0.5"."""
        return ", ".join(f"{name}={value:g}" for name, value in self.given.items())

    def settings(self, full: Rung) -> tuple[float, ...]:
        """All four in numbers; what it does not set is as in the full evaluation."""
        return tuple(full.given[name] if value is None else value for name, value in asdict(self).items())


@dataclass(frozen=True)
class Ladder:
    """The rungs below the full evaluation.

    Attributes:
        trained: names of the metrics that depend on the rung; the others are exact on every one.
    """

    rungs: tuple[Rung, ...]
    trained: tuple[str, ...]

    def named(self, values: Mapping[str, float], i: int) -> dict[str, float]:
        """What rung i brought, under names of its own: "accuracy (epochs=3)"."""
        return {self._name(name, i) if name in self.trained else name: value for name, value in values.items()}

    def reached(self, trial: Trial, i: int) -> bool:
        """Whether a trial has a result at rung i."""
        return self._name(self.trained[0], i) in trial.values

    def score(self, values: Mapping[str, float], i: int) -> float:
        """The first trained metric at rung i, from values that are named for it (:meth:`named`)."""
        return values[self._name(self.trained[0], i)]

    def dropped(self, batch: Sequence[Trial], trials: Sequence[Trial], i: int, goals: Goals) -> dict[int, str]:
        """``{number: reason}`` of the batch's trials that are not promoted from rung i.

        Args:
            trials: all of the search so far, in the order of asking, with the batch.
        """
        rivals = [trial for trial in trials if self.reached(trial, i)]
        columns = {
            name: np.array([t.values.get(self._name(name, i), t.values.get(name, np.nan)) for t in rivals])
            for name in goals.names
        }
        order = ranking(goals.losses(columns)) if rivals else []
        places = {rivals[row].number: place for place, row in enumerate(order, start=1)}
        kept = n_promoted(len(rivals))
        return {
            trial.number: f"not promoted from {self.rungs[i].label}: {_ordinal(places[trial.number])} of {len(rivals)}"
            for trial in batch
            if places[trial.number] > kept
        }

    def hints(self, batch: Sequence[Trial], trials: Sequence[Trial], goals: Goals) -> Floats:
        """``(n, k)`` what the losses of the batch's dropped trials would be, NaN of all others.

        A trained metric is carried over from the last rung by a straight line through the trials that were scored in
        full; with fewer than three of these, as it stands. Costs are known exactly.

        Args:
            trials: those of the search up to the batch, with it.
        """
        scored = [trial for trial in trials if trial.state is State.SCORED]
        rows = []
        for trial in batch:
            reached = [i for i, _ in enumerate(self.rungs) if trial.state is State.DROPPED and self.reached(trial, i)]
            values = dict.fromkeys(goals.names, np.nan)
            if reached:
                values = {name: self._carried(name, reached[-1], trial, scored) for name in goals.names}
            rows.append(values)
        return goals.losses({name: np.array([row[name] for row in rows]) for name in goals.names})

    def _carried(self, metric: str, i: int, trial: Trial, scored: Sequence[Trial]) -> float:
        """A metric of a dropped trial as it would be after the full training."""
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
    """How many of n are promoted: a share of 1 / eta, rounded up; all while they are fewer than eta."""
    return n if n < eta else math.ceil(n / eta)


def ranking(losses: Floats) -> list[int]:
    """Rows of ``(n, k)`` losses, best first: front after front, each spread out; rows that are not finite come last.

    A front begins with its best by the first objective; then comes, again and again, the row that is farthest from all
    those before it (each objective scaled to the front's range), so that any first part of it covers it. Of equal rows
    the earlier comes first.
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


def read_ladder(given: Any, epochs: int) -> tuple[Rung, ...]:
    """Rungs from what a user writes; none for None.

    Args:
        given: mappings such as ``({"epochs": 3}, {"epochs": 10, "data": 0.5})``, or "default" for a tenth and a third
            of the epochs.
        epochs: of the full evaluation.

    Raises:
        SearchkitError: what is wrong, in one sentence.
    """
    if given is None:
        return ()
    if given == "default":
        given = [{"epochs": n} for n in (epochs // 10, epochs // 3) if n > 0]
        if not given:
            raise SearchkitError(f"ladder='default' trains for a third of the epochs first; {epochs} have no such part")
    given = [given] if isinstance(given, Mapping) else given
    if not isinstance(given, list | tuple) or not given:
        raise SearchkitError(
            f"ladder is rungs such as ({{'epochs': 3}}, {{'epochs': 10}}), or 'default'; not {given!r}"
        )
    return tuple(_read_rung(rung, i) for i, rung in enumerate(given, start=1))


def check_cheaper(rungs: Sequence[Rung], epochs: int, side: int) -> None:
    """Refuse rungs of which one saves nothing, in no setting, over a later one or over the full evaluation.

    Args:
        epochs, side: of the full evaluation: its epochs, and the pixels of the shorter side of its images.
    """
    full = Rung(epochs=epochs, resolution=side, width=1.0, data=1.0)
    names = [*(f"rung {i} ({rung.label})" for i, rung in enumerate(rungs, start=1)), f"the full one ({full.label})"]
    for (low, one), (high, other) in combinations(zip([*rungs, full], names, strict=True), 2):
        if all(mine >= its for mine, its in zip(low.settings(full), high.settings(full), strict=True)):
            raise SearchkitError(f"of the ladder, {one} is not cheaper than {other}, which comes after it")


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


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
