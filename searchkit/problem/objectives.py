"""Objectives to minimised losses, and bounds to violations: the only place where signs change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from searchkit.errors import ConstraintError, ObjectiveError, check_name
from searchkit.problem.numbers import shown
from searchkit.types import Floats

Direction = Literal["min", "max"]
DIRECTIONS = ("min", "max")


@dataclass(frozen=True)
class Objective:
    """A metric to optimise, and which direction is better."""

    name: str
    direction: Direction = "min"

    def __post_init__(self) -> None:
        check_name("an objective", self.name, ObjectiveError)
        if self.direction not in DIRECTIONS:
            raise ObjectiveError(f"objective '{self.name}' has direction {self.direction!r}: choose 'min' or 'max'")


@dataclass(frozen=True)
class Bound:
    """``low <= value <= high`` for one metric; an infinite end is no bound.

    ``margin`` is the share of its ends by which a value has to keep within them, since measurements differ.
    """

    name: str
    low: float = -np.inf
    high: float = np.inf
    margin: float = 0.0

    def violation(self, values: Floats) -> Floats:
        """``(n,)`` distance outside the bound, divided by its absolute value where that is not 0; NaN for NaN."""
        low, high = self.low + self.margin * abs(self.low), self.high - self.margin * abs(self.high)
        below = (low - values) / (abs(self.low) or 1.0) if np.isfinite(self.low) else np.zeros_like(values)
        above = (values - high) / (abs(self.high) or 1.0) if np.isfinite(self.high) else np.zeros_like(values)
        outside: Floats = np.where(np.isnan(values), np.nan, np.maximum(0.0, np.maximum(below, above)))
        return outside

    def __str__(self) -> str:
        if np.isinf(self.low):
            return f"{self.name} <= {self.high:.12g}"
        if np.isinf(self.high):
            return f"{self.name} >= {self.low:.12g}"
        return f"{self.low:.12g} <= {self.name} <= {self.high:.12g}"


@dataclass(frozen=True)
class Goals:
    """The objectives and the bounds of one search."""

    objectives: tuple[Objective, ...]
    bounds: tuple[Bound, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Objective names, in the order of the loss columns."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that has to be known: the objectives, then those with a bound only."""
        return tuple(dict.fromkeys([*self.names, *(bound.name for bound in self.bounds)]))

    def losses(self, values: Mapping[str, Floats]) -> Floats:
        """``(n, k)`` minimised, from raw values ``(n,)`` by name; a row with any non-finite value becomes NaN."""
        losses = np.column_stack([
            -values[o.name] if o.direction == "max" else values[o.name] for o in self.objectives
        ])  # fmt: skip
        losses = losses.astype(np.float64)
        losses[~np.isfinite(losses).all(axis=1)] = np.nan
        return losses

    def violations(self, values: Mapping[str, Floats]) -> Floats:
        """``(n, c)`` one column per bound, in their order."""
        n = len(next(iter(values.values())))
        if not self.bounds:
            return np.empty((n, 0))
        return np.column_stack([bound.violation(np.asarray(values[bound.name], float)) for bound in self.bounds])


def read_objectives(given: object, known: Mapping[str, Direction] | None = None) -> tuple[Objective, ...]:
    """Objectives as users give them.

    Args:
        given: a mapping name -> "min" | "max", or a sequence of names with their directions in ``known``.
        known: directions of the metrics that have a natural one.

    Raises:
        ObjectiveError: nothing given, a name twice, a direction that is neither.
    """
    from searchkit.errors import UnknownNameError

    known = known or {}
    if isinstance(given, str):
        given = (given,)
    if isinstance(given, Mapping):
        objectives = tuple(Objective(name, direction) for name, direction in given.items())
    elif isinstance(given, Sequence):
        for name in given:
            if name not in known:
                raise UnknownNameError.of("objective", name, known)
        objectives = tuple(Objective(name, known[name]) for name in given)
    else:
        raise ObjectiveError(f"objectives are names, or a mapping name -> 'min' or 'max'; got {given!r}")
    if not objectives:
        raise ObjectiveError("at least one objective is needed, e.g. objectives={'loss': 'min'}")
    check_once([objective.name for objective in objectives])
    return objectives


def check_once(names: Sequence[str]) -> None:
    """Refuse names of objectives of which one is there twice.

    Raises:
        ObjectiveError: says which.
    """
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ObjectiveError(f"objective {', '.join(sorted(twice))} is named more than once")


def check_constraints(given: object) -> None:
    """Check the type of constraints.

    Raises:
        ConstraintError: they are no mapping.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ConstraintError(f"constraints are a mapping such as {{'params': 100_000}}, not {given!r}")


def read_bounds(
    given: Mapping[str, object] | None,
    directions: Mapping[str, Direction],
    margins: Mapping[str, float] | None = None,
) -> tuple[Bound, ...]:
    """Bounds from ``{"params": 1e6, "latency_ms": (None, 5), "accuracy": 0.9}``.

    A number is an upper bound of a metric that is minimised or has no direction, and a lower bound of one that is
    maximised. A pair is ``(low, high)``, with None for no bound. ``margins`` are those of the metrics that have one.
    """
    bounds = []
    for name, limit in (given or {}).items():
        low, high = limit if isinstance(limit, tuple | list) and len(limit) == 2 else (None, None)
        if isinstance(limit, int | float | np.number) and not isinstance(limit, bool):
            low, high = (limit, None) if directions.get(name) == "max" else (None, limit)
        elif low is None and high is None:
            raise ConstraintError(f"constraint {name!r} is a number or a pair (low, high), not {shown(limit)}")
        try:
            bound = Bound(
                name,
                -np.inf if low is None else float(low),
                np.inf if high is None else float(high),
                (margins or {}).get(name, 0.0),
            )
        except (TypeError, ValueError, OverflowError):
            said = f"constraint {name!r} is a number or a pair (low, high), not {shown(limit)}"
            raise ConstraintError(said) from None
        if np.isnan(bound.low) or np.isnan(bound.high):
            raise ConstraintError(f"constraint {name!r} is a number or a pair (low, high), not nan")
        if bound.low > bound.high or bound.low == np.inf or bound.high == -np.inf:
            raise ConstraintError(f"constraint {name!r} leaves nothing: low {bound.low:g}, high {bound.high:g}")
        bounds.append(bound)
    return tuple(bounds)
