"""Rules that stop the training of a candidate early, from what others had reported at the same epoch.

Several objectives are compared by domination, with costs that are known before the training among them: a candidate
that no other dominates goes on, so that a small network is not stopped by a better one that is larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.numbers import is_real, is_whole, shown
from searchkit.problem.objectives import Goals
from searchkit.problem.pareto import non_dominated
from searchkit.training.fidelity import ETA, n_promoted, ordinal, ranking
from searchkit.training.reports import Curve
from searchkit.types import Floats

LEAST = 5  # others that the median is of, at least


class Rule(Protocol):
    """Decides at each report of a candidate whether its training stops."""

    @property
    def described(self) -> dict[str, object]:
        """The rule and its settings, as JSON values: part of a study's identity."""
        ...

    def due(self, own: Curve) -> bool:
        """Whether anything is decided at the last report of the candidate."""
        ...

    def unreached(self, epoch: float) -> tuple[float, ...]:
        """Epochs at which something is decided, where trainings that end at an epoch never come to them."""
        ...

    def why(self, own: Curve, others: Sequence[Curve], goals: Goals) -> str:
        """Why the training stops at the last report of the candidate, where that is due; empty if it goes on.

        Args:
            others: candidates that it is compared with.
            goals: the objectives; the trained ones are in every report.
        """
        ...


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving: at some epochs, who is among the best of all that got there goes on.

    The rungs of Li et al. (A system for massively parallel hyperparameter tuning. MLSys 2020, arXiv 1810.05934), with
    the decision made once, when a candidate gets there: it goes on if it is then among the best ``1 / eta``, and is not
    trained again later. Several objectives are ranked as in :mod:`searchkit.training.fidelity`.

    Args:
        first: the epoch of the first rung; the next ones are ``eta`` times as late each.
        eta: one candidate in eta goes on, all while fewer have got there.
        epochs: the epochs of all rungs, in place of ``first`` and its multiples.

    Raises:
        SearchkitError: one of these is not what it has to be.
    """

    first: float = 1
    eta: int = ETA
    epochs: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not is_real(self.first) or not 0 < self.first < math.inf:
            raise SearchkitError(f"first of Halving is an epoch, a number above 0, not {shown(self.first)}")
        if not is_whole(self.eta) or self.eta < 2:
            raise SearchkitError(f"eta of Halving is a whole number of at least 2, not {shown(self.eta)}")
        given = self.epochs
        if given is not None and not (given and all(is_real(e) and 0 < e < math.inf for e in given)):
            raise SearchkitError(f"epochs of Halving are numbers above 0, such as (3, 10), not {shown(given)}")

    @property
    def described(self) -> dict[str, object]:
        """See :class:`Rule`."""
        by = {"first": self.first} if self.epochs is None else {"epochs": list(self.epochs)}
        return {"rule": "halving", "eta": self.eta} | by

    def due(self, own: Curve) -> bool:
        """See :class:`Rule`: at the first report of a rung's epoch, or a later one."""
        before = own.reports[-2][0] if len(own.reports) > 1 else -math.inf
        return self._rung(own.reports[-1][0]) > before

    def unreached(self, epoch: float) -> tuple[float, ...]:
        """See :class:`Rule`."""
        return tuple(rung for rung in self.epochs or (self.first,) if rung > epoch)

    def why(self, own: Curve, others: Sequence[Curve], goals: Goals) -> str:
        """See :class:`Rule`."""
        rung = self._rung(own.reports[-1][0])
        there = [(curve, values) for curve in others if (values := curve.at(rung)) is not None]
        losses = _losses([(own, own.reports[-1][1]), *there], goals)  # the first of equal ones has the better place
        place = ranking(losses).index(0) + 1
        if place <= n_promoted(len(losses), self.eta) or non_dominated(losses)[0]:
            return ""
        return f"{ordinal(place)} of {len(losses)} that came to epoch {rung:g}"

    def _rung(self, epoch: float) -> float:
        """The last rung until an epoch; minus infinity before the first."""
        if self.epochs is not None:
            return max((rung for rung in self.epochs if rung <= epoch), default=-math.inf)
        if epoch < self.first:
            return -math.inf
        rung = float(self.first)
        while rung * self.eta <= epoch:
            rung *= self.eta
        return rung


@dataclass(frozen=True)
class Median:
    """The median stopping rule: a candidate stops whose best so far is below the median of the others' averages so far.

    Golovin et al.: Google Vizier: a service for black-box optimization. KDD 2017, section 3.2.2, where the average of
    each of the others is of its reports up to the same epoch. Here the others are all that got as far. With several
    objectives, a candidate stops if more than half of the others are on fronts before its own.

    Args:
        first: the epoch until which none is stopped.
        least: others that have to have got as far.

    Raises:
        SearchkitError: one of these is not what it has to be.
    """

    first: float = 1
    least: int = LEAST

    def __post_init__(self) -> None:
        if not is_real(self.first) or not 0 < self.first < math.inf:
            raise SearchkitError(f"first of Median is an epoch, a number above 0, not {shown(self.first)}")
        if not is_whole(self.least) or self.least < 1:
            raise SearchkitError(f"least of Median is a whole number of at least 1, not {shown(self.least)}")

    @property
    def described(self) -> dict[str, object]:
        """See :class:`Rule`."""
        return {"rule": "median", "first": self.first, "least": self.least}

    def due(self, own: Curve) -> bool:
        """See :class:`Rule`: from the first epoch on."""
        return own.reports[-1][0] >= self.first

    def unreached(self, epoch: float) -> tuple[float, ...]:
        """See :class:`Rule`."""
        return (self.first,) if self.first > epoch else ()

    def why(self, own: Curve, others: Sequence[Curve], goals: Goals) -> str:
        """See :class:`Rule`."""
        epoch = own.reports[-1][0]
        there = [(curve, curve.until(epoch)) for curve in others if curve.reports[-1][0] >= epoch]
        there = [(curve, values) for curve, values in there if values]
        if len(there) < self.least:
            return ""
        reported = [one for one in goals.objectives if one.name in own.reports[-1][1]]
        averages = [(curve, {one.name: _mean(values, one.name) for one in reported}) for curve, values in there]
        best = {o.name: (max if o.direction == "max" else min)(v[o.name] for _, v in own.reports) for o in reported}
        losses = _losses([*averages, (own, best)], goals)
        if losses.shape[1] == 1:
            stops = bool(losses[-1, 0] > np.median(losses[:-1, 0]))
        else:
            fronts = fronts_of(losses)
            stops = bool(2 * (fronts[:-1] < fronts[-1]).sum() > len(there))
        return f"below the median of {len(there)} others at epoch {epoch:g}" if stops else ""


RULES: dict[str, type[Halving] | type[Median]] = {"halving": Halving, "median": Median}


def read_rule(given: object) -> Halving | Median | None:
    """The rule that ``early_stopping=`` means.

    Raises:
        UnknownNameError: there is no rule of that name.
        SearchkitError: it is neither a name nor a rule.
    """
    if given is None or isinstance(given, Halving | Median):
        return given
    if isinstance(given, str):
        if given not in RULES:
            raise UnknownNameError.of("early_stopping", given, RULES)
        return RULES[given]()
    raise SearchkitError(
        "early_stopping is 'halving' or 'median', or searchkit.training.Halving(...) or Median(...), not "
        f"{shown(given)}"
    )


def fronts_of(losses: Floats) -> Floats:
    """``(n,)`` the front of each row ``(n, k)``: 0 where no row dominates it, 1 without these rows, and so on."""
    fronts = np.zeros(len(losses))
    rest, number = np.arange(len(losses)), 0
    while len(rest):
        best = non_dominated(losses[rest])
        fronts[rest[best]] = number
        rest, number = rest[~best], number + 1
    return fronts


def _losses(rows: Sequence[tuple[Curve, Mapping[str, float]]], goals: Goals) -> Floats:
    """``(n, k)`` losses of candidates with some values, and with those of their costs that all have."""
    known = [dict(curve.costs) | dict(values) for curve, values in rows]
    objectives = tuple(one for one in goals.objectives if all(one.name in values for values in known))
    columns = {one.name: np.array([values[one.name] for values in known]) for one in objectives}
    return replace(goals, objectives=objectives).losses(columns)


def _mean(values: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([one[name] for one in values]))
