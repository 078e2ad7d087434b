"""Curves of a search over its candidates: best values, hypervolume, failures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from searchkit.errors import ObjectiveError, UnknownNameError
from searchkit.problem.objectives import Goals
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.problem.trial import State, Trial, observe
from searchkit.types import Floats

FIRST = 10  # scored candidates whose range scales the hypervolume
MARGIN = 0.5  # distance of the reference point beyond the worst of them, relative to their range


class Curves:
    """The best values, hypervolume and counts after each candidate.

    The hypervolume, of several objectives, is in units of the box that the first ten scored candidates span, with its
    reference point half the length of that box beyond the worst of them; so objectives in different units count alike,
    and it is known from the tenth on. With a reference point given by the user it is the volume in the objectives' own
    units, which can be compared between studies.

    Args:
        goals: of the search.
        reference: objective -> value of the reference point, in its own unit.

    Attributes:
        n: number of candidates so far.

    Raises:
        ObjectiveError: a reference point that lacks an objective.
        UnknownNameError: one that names something else.
    """

    def __init__(self, goals: Goals, reference: Mapping[str, float] | None = None) -> None:
        self._goals = goals
        self.n = self._n_failed = 0
        self._front = np.empty((0, len(goals.objectives)))
        self._scored: list[Floats] = []  # losses of the first :data:`FIRST`
        self._low, self._unit, self._end = np.zeros(0), np.ones(0), None if reference is None else self._read(reference)

    @property
    def reference(self) -> dict[str, float] | None:
        """The reference point in the objectives' own units, as soon as it is known."""
        if self._end is None:
            return None
        ends = zip(self._goals.objectives, self._end, strict=True)
        return {o.name: float(-end if o.direction == "max" else end) for o, end in ends}

    @property
    def measured_to(self) -> str:
        """The reference point in words; empty where it is not known."""
        return ", ".join(f"{name} {value:.6g}" for name, value in (self.reference or {}).items())

    def add(self, trial: Trial) -> dict[str, float]:
        """Add a finished candidate and return the values after it, by name; unknown ones are left out.

        Returns:
            ``best/<objective>`` among those within bounds, in its own unit; ``hypervolume``; ``front``, the number of
            candidates on it; ``failed``, so far; ``seconds``, of this candidate's evaluation.
        """
        self.n += 1
        self._n_failed += trial.state is State.FAILED
        if trial.state is State.SCORED:
            self._take(trial)
        reached: dict[str, float] = {}
        if len(self._front):
            for o, best in zip(self._goals.objectives, self._front.min(axis=0), strict=True):
                reached[f"best/{o.name}"] = float(-best if o.direction == "max" else best)
        if self._end is not None and len(self._goals.objectives) > 1:
            low, unit = (self._low, self._unit) if len(self._low) else (0.0, 1.0)
            reached["hypervolume"] = hypervolume((self._front - low) / unit, (self._end - low) / unit)
        counted = {"front": len(self._front), "failed": self._n_failed, "seconds": trial.seconds}
        return reached | {name: float(value) for name, value in counted.items()}

    def _take(self, trial: Trial) -> None:
        seen = observe([trial], self._goals)
        if self._end is None and len(self._scored) < FIRST:
            self._scored.append(seen.losses[0])
            if len(self._scored) == FIRST:
                self._set_scale(np.array(self._scored))
        if seen.feasible[0]:
            front = np.concatenate([self._front, seen.losses])
            self._front = front[non_dominated(front)]

    def _set_scale(self, losses: Floats) -> None:
        low, high = losses.min(axis=0), losses.max(axis=0)
        self._low, self._unit = low, np.where(high > low, high - low, 1.0)
        self._end = high + MARGIN * self._unit

    def _read(self, reference: Mapping[str, float]) -> Floats:
        names = self._goals.names
        for name in reference:
            if name not in names:
                raise UnknownNameError.of("objective of the reference point", name, names)
        lacking = [name for name in names if name not in reference]
        if lacking:
            raise ObjectiveError(f"the reference point has no value for {', '.join(lacking)}")
        signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in self._goals.objectives])
        ends: Floats = signs * np.array([float(reference[name]) for name in names])
        return ends
