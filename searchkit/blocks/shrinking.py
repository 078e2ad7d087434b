"""Which options of a space are left when those fall that are not the best of their choice, by what was evaluated.

Options fall in levels, after so many evaluations each. The evidence is one regression on everything that was evaluated
(:mod:`searchkit.blocks.option_chances`), by which an option falls whose chance of being the best is small. With several
objectives it falls where that holds for each weighted sum of them. A bound counts as one more objective that is never
looked at alone, since under a bound the better option may be too dear. Failures are in no regression; an option falls
by them where so many would hardly be met by chance.

All this is a function of the evaluations in their order, whatever the batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.blocks.option_chances import Chances, Column, mattering, option_chances, weightings
from searchkit.problem.numbers import of_usual_size
from searchkit.problem.observations import Observations
from searchkit.space import Space
from searchkit.space.part import Kept, Part
from searchkit.types import Bools, Codes, Floats

BELOW = 0.05  # chance of being the best under which an option falls
PER_LEVEL = (5, 20)  # evaluations from one level to the next: within these, a sixth of the budget
SHARE = 6
GROWTH = 0.05  # of the evaluations, from one level to the next where that is more: what is added changes little else
FEWEST = 4  # evaluations with losses from which there is a regression
AT_A_TIME = 8  # where an option of every choice falls at each level: of so many options one, of twice as many two
SAMPLE = 300  # random candidates that tell what options add to what is bounded

Living = tuple[Bools, ...]  # for each choice, (m,) which of its options are left


@dataclass(frozen=True)
class Settings:
    """When options fall.

    Attributes:
        per_level: evaluations with losses from one level to the next; more where 5 % of all are more.
        below: chance of being the best under which an option falls, above 0 and below 0.5.
        always: at each level, an option of every choice that has several falls, the one of the lowest chance, whatever
            that is; of many options one in eight.
    """

    per_level: int = PER_LEVEL[1]
    below: float = BELOW
    always: bool = False

    def __post_init__(self) -> None:
        whole = isinstance(self.per_level, int | np.integer) and not isinstance(self.per_level, bool)
        if not whole or self.per_level < FEWEST:
            raise ValueError(f"per_level is a number of evaluations, {FEWEST} or more, not {self.per_level!r}")
        number = isinstance(self.below, int | float | np.number) and not isinstance(self.below, bool)
        if not number or not 0 < self.below < 0.5:
            raise ValueError(f"below is a probability above 0 and below 0.5, not {self.below!r}")
        if not isinstance(self.always, bool):
            raise ValueError(f"always is True or False, not {self.always!r}")


def usual_level(budget: int | None) -> int:
    """Evaluations from one level to the next where nothing is said: a sixth of the budget, at least 5, at most 20."""
    few, many = PER_LEVEL
    return many if budget is None else min(max(few, budget // SHARE), many)


@dataclass(frozen=True)
class Fall:
    """An option that fell.

    Attributes:
        choice, option: their places.
        evaluations: that had losses by then.
        chance: of being the best of its choice; 0 where it fell by failures.
        gain: how much worse than the best of its choice it was expected to be, below 0, in standard deviations of an
            objective, under the weights that are kindest to it.
        failures: with how many failures it fell, none of which met a success; 0 where it fell by the regression.
    """

    choice: int
    option: int
    evaluations: int
    chance: float
    gain: float
    failures: int = 0


class Shrinking:
    """Follows the evaluations of a search and drops options.

    Attributes:
        levels: the options left at first and after each level at which any fell.
        falls: in the order in which options fell; those of one level by their chance, the lowest first.

    Args:
        space: of the candidates.
        n_objectives: columns of their losses.
        known: ``(n, d) -> (n,)``, by how much candidates break bounds that are known without an evaluation.
    """

    def __init__(
        self,
        space: Space,
        n_objectives: int,
        settings: Settings = Settings(),
        known: Callable[[Codes], Floats] | None = None,
    ) -> None:
        self.space, self.settings = space, settings
        self.levels: list[Living] = [tuple(np.ones(n, dtype=bool) for n in space.n_options)]
        self.falls: list[Fall] = []
        self._known = known
        self._sampled: Column | None = None
        self._told = Observations.empty(space.n_choices, n_objectives)
        self._excess: Floats = np.empty(0)
        self._matters: Bools = np.empty((0, space.n_choices), dtype=bool)
        self._due = max(settings.per_level, FEWEST)

    @property
    def living(self) -> Living:
        """The options that are left."""
        return self.levels[-1]

    def tell(self, told: Observations) -> None:
        """Take over evaluated candidates, and let options fall at each level that is reached."""
        self._told = self._told + Observations(told.codes, told.losses, np.empty((len(told), 0)))
        self._excess = np.concatenate([self._excess, told.violations.sum(axis=1)])  # NaN of a failure, 0 without bounds
        self._matters = np.concatenate([self._matters, mattering(self.space, told.codes)])
        places = np.flatnonzero(self._told.scored)
        while len(places) >= self._due:
            self._level(int(places[self._due - 1]) + 1, self._due)
            self._due = max(self._due + self.settings.per_level, math.ceil(self._due * (1 + GROWTH)))

    def holding(self, codes: Codes) -> Kept:
        """The indices of the options that are left, with those without which candidates ``(n, d)`` would not be there.

        These are the options of theirs that make a difference, one by one or together.
        """
        matters = mattering(self.space, codes)
        with_them = [alive.copy() for alive in self.living]
        for j, alive in enumerate(with_them):
            alive[codes[matters[:, j], j]] = True
        inside = Part(self.space, _kept(with_them)).holds(codes)[1]
        for j, alive in enumerate(with_them):
            alive[codes[~inside, j]] = True
        return _kept(with_them)

    def _level(self, n: int, evaluations: int) -> None:
        """What falls by the first n of what was told."""
        if all(alive.sum() == 1 for alive in self.living):
            return
        columns, n_bounds = self._columns(n)
        weights = weightings(len(columns) - n_bounds, n_bounds)
        chances = option_chances(self.space, columns, weights, self.living)
        falls = [
            *self._by_failures(n, evaluations),
            *(fall for j in range(len(self.living)) for fall in self._by_chance(j, chances, evaluations)),
        ]
        left = tuple(alive.copy() for alive in self.living)
        fallen = []
        for fall in sorted(falls, key=lambda fall: (fall.chance, fall.gain)):
            if left[fall.choice][fall.option] and left[fall.choice].sum() > 1:
                left[fall.choice][fall.option] = False
                fallen.append(fall)
        if fallen:
            self.levels.append(left)
            self.falls += fallen

    def _columns(self, n: int) -> tuple[list[Column], int]:
        """What is regressed, and how many of these are bounds: none, or one, the sum of all excesses."""
        scored = np.flatnonzero(self._told.scored[:n])
        codes, matters, losses = self._told.codes[scored], self._matters[scored], self._told.losses[scored]
        columns = [Column(codes, matters, of_usual_size(column)) for column in losses.T]
        known = np.flatnonzero(np.isfinite(self._excess[:n]))
        bounded = Column(self._told.codes[known], self._matters[known], self._excess[known])
        if self._known is not None:
            if self._sampled is None:
                drawn = self.space.sample(SAMPLE, np.random.default_rng(0))
                self._sampled = Column(drawn, mattering(self.space, drawn), np.nan_to_num(self._known(drawn)))
            bounded = Column(*(
                np.concatenate([getattr(one, name) for one in (bounded, self._sampled)])
                for name in ("codes", "matters", "values")
            ))  # fmt: skip
        return (columns, 0) if not (bounded.values > 0).any() else ([*columns, bounded], 1)

    def _by_chance(self, j: int, chances: Chances, evaluations: int) -> Sequence[Fall]:
        """The options of a choice that fall by the regression, the best of it never."""
        alive = np.flatnonzero(self.living[j])
        if len(alive) < 2:
            return []
        best, gains = chances.best[j], chances.gains[j]
        order = alive[np.lexsort((gains[alive], best[alive]))]
        n_unlikely = len(alive) - 1 if self.settings.always else int((best[alive] < self.settings.below).sum())
        n_fallen = min(n_unlikely, max(1, len(alive) // AT_A_TIME))
        top = gains[alive].max()
        return [Fall(j, int(o), evaluations, float(best[o]), float(gains[o] - top)) for o in order[:n_fallen]]

    def _by_failures(self, n: int, evaluations: int) -> Sequence[Fall]:
        """Options with which nothing was scored, and so many candidates tried that chance hardly explains it."""
        scored, codes, matters = self._told.scored[:n], self._told.codes[:n], self._matters[:n]
        share = float(scored.mean())
        found = []
        for j, alive in enumerate(self.living):
            taken = codes[matters[:, j], j]
            tried = np.bincount(taken, minlength=len(alive))
            worked = np.bincount(taken[scored[matters[:, j]]], minlength=len(alive))
            for o in np.flatnonzero(alive & (worked == 0) & (tried > 0)):
                if (1 - share) ** tried[o] < self.settings.below:
                    found.append(Fall(j, int(o), evaluations, 0.0, -math.inf, int(tried[o])))
        return found


def _kept(living: Sequence[Bools]) -> Kept:
    return tuple(tuple(np.flatnonzero(alive).tolist()) for alive in living)
