"""The best candidate of an acquisition on a mixed space: a pool, then gradients and single changes in turns.

Points are positions ``(n, d)`` of all columns, inactive ones too: where a change of another column makes one active, it
is somewhere. They are rounded to candidates before they are judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import minimize

from searchkit.space import Space, keys
from searchkit.types import Bools, Codes, Floats

FEW = 12  # options up to which a column of numbers is searched option by option, and not by gradients
STEPS = 40  # of L-BFGS
WANDERED = 100  # points of a step where there are no gradients
ROUNDS = 2  # of gradients and single changes
GOING_ON = 2  # points that a second round starts from
SCALES = (1e-3, 0.3)  # of the changes around the best, in ranges


class Judge(Protocol):
    """An acquisition: higher is better."""

    def __call__(self, positions: Floats) -> Floats: ...

    def gradients(self, positions: Floats) -> tuple[Floats, Floats]:
        """Values ``(m,)`` and their derivatives ``(m, d)``."""
        ...

    @property
    def smooth(self) -> bool:
        """Whether there are gradients."""
        ...

    @property
    def lengths(self) -> Floats:
        """``(d,)`` by which columns are comparable."""
        ...


@dataclass(frozen=True)
class Snapped:
    """Points, the candidates that they are rounded to, and the positions of these, NaN where inactive."""

    points: Floats
    codes: Codes
    positions: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Codes | slice) -> Snapped:
        return Snapped(self.points[rows], self.codes[rows], self.positions[rows])

    def __add__(self, other: Snapped) -> Snapped:
        points, positions = ((self.points, other.points), (self.positions, other.positions))
        codes = np.concatenate([self.codes, other.codes])
        return Snapped(np.concatenate(points), codes, np.concatenate(positions))


class MixedSearch:
    """Moves on one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.ordered: Bools = np.array([choice.ordered for choice in space.choices])
        self.free: Bools = self.ordered & (space.n_options > FEW)
        self.whole: Bools = self.free & (space.n_options < 10**5)

    def snapped(self, points: Floats) -> Snapped:
        """Points rounded to candidates; active columns of the points are those of the candidates."""
        codes = self.space.from_positions(points)
        positions = self.space.positions(codes)
        return Snapped(np.where(np.isnan(positions), points, positions), codes, positions)

    def filled(self, codes: Codes, rng: np.random.Generator) -> Snapped:
        """Candidates with random values in inactive columns."""
        positions = self.space.positions(codes)
        return Snapped(np.where(np.isnan(positions), self._random(len(codes), rng), positions), codes, positions)

    def _random(self, n: int, rng: np.random.Generator) -> Floats:
        found = rng.random((n, len(self.ordered)))
        found[:, ~self.ordered] = np.floor(found[:, ~self.ordered] * self.space.n_options[~self.ordered])
        return found

    def pool(self, n: int, best: Codes, rng: np.random.Generator) -> Snapped:
        """Some n points: half of them random, half around the best candidates ``(b, d)``."""
        if not len(best):
            return self.snapped(self._random(n, rng))
        return self.snapped(
            np.concatenate([self._random(n // 2, rng), self.around(self.filled(best, rng), n - n // 2, rng)])
        )

    def around(self, best: Snapped, n: int, rng: np.random.Generator) -> Floats:
        """``(n, d)`` points around the best, of which the first are taken more often: some columns are changed."""
        rows = np.minimum(rng.geometric(0.4, n) - 1, len(best) - 1)
        points = best.points[rows]
        d = points.shape[1]
        share = rng.choice([1.0 / d, 2.0 / d, 0.5, 1.0], n)[:, None]
        changed = rng.random((n, d)) < share
        changed[np.arange(n), rng.integers(0, d, n)] = True
        sizes = np.exp(rng.uniform(math.log(SCALES[0]), math.log(SCALES[1]), n))[:, None]
        moved = points + sizes * rng.normal(size=(n, d))
        moved = np.where(moved < 0, -moved, np.where(moved > 1, 2 - moved, moved))
        other = np.where(self.ordered, np.clip(moved, 0, 1), self._random(n, rng))
        rare = rng.random((n, d)) < 0.5  # a category is changed less often than a number, which is moved a little
        found: Floats = np.where(changed & (self.ordered | rare), other, points)
        return found

    def with_option(self, pool: Snapped, column: int, option: int) -> Snapped:
        """The points with an option in a column, those in which it is active."""
        points = pool.points.copy()
        points[:, column] = option
        found = self.snapped(points)
        return found[found.positions[:, column] == option]

    def climbed(
        self, starts: Snapped, judge: Judge, rng: np.random.Generator, fixed: tuple[int, int] | None = None
    ) -> Snapped:
        """All that is reached from the starts, whatever its worth: by gradients and by single changes in turns.

        Args:
            fixed: a column and the option of the starts that is kept.
        """
        found, at = starts, starts
        for _ in range(ROUNDS):
            before = set(keys(at.codes))
            if judge.smooth and self.free.any():
                at = self._uphill(at, judge)
            elif self.free.any():
                at = self._wandered(at, judge, rng)
            at = self._changed(at, judge, rng)
            at = at if fixed is None else self.with_option(at, *fixed)
            found = found + at
            moved = np.array([key not in before for key in keys(at.codes)], dtype=bool)
            if not moved.any() or self.free.all():
                break
            at = at[moved]
            at = at[np.argsort(-judge(at.positions), kind="stable")[:GOING_ON]]
        return found

    def _uphill(self, starts: Snapped, judge: Judge) -> Snapped:
        """Points that L-BFGS reaches, all at once, on the columns that are nearly continuous."""
        variable = np.broadcast_to(self.free, starts.points.shape) & ~np.isnan(starts.positions)
        if not variable.any():  # of these candidates no number exists
            return starts
        scale = np.broadcast_to(judge.lengths, starts.points.shape)[variable]

        def objective(x: Floats) -> tuple[float, Floats]:
            positions = starts.positions.copy()
            positions[variable] = x * scale
            values, slopes = judge.gradients(positions)
            return -float(values.sum()), -slopes[variable] * scale

        ends: Any = minimize(
            objective, starts.positions[variable] / scale, jac=True, method="L-BFGS-B",
            bounds=np.column_stack([np.zeros(len(scale)), 1 / scale]),
            options={"maxiter": STEPS, "maxfun": 2 * STEPS, "ftol": 1e-6},
        )  # fmt: skip
        points = starts.points.copy()
        points[variable] = ends.x * scale
        return self.snapped(points)

    def _wandered(self, starts: Snapped, judge: Judge, rng: np.random.Generator) -> Snapped:
        """The best that steps of all sizes reach, where there are no gradients."""
        at, values = starts, judge(starts.positions)
        for _ in range(STEPS // 8):
            order = np.argsort(-values, kind="stable")[: len(starts)]
            at, values = at[order], values[order]
            near = self.snapped(self.around(at, WANDERED, rng))
            at, values = at + near, np.concatenate([values, judge(near.positions)])
        return at[np.argsort(-values, kind="stable")[: len(starts)]]

    def _changed(self, at: Snapped, judge: Judge, rng: np.random.Generator) -> Snapped:
        """The best change of one column that is not continuous, of each point; itself where none is better."""
        rows, columns, options = self._changes(at.codes, rng)
        if not len(rows):
            return at
        other = at.codes[rows]
        other[np.arange(len(rows)), columns] = options
        points = at.points[rows]
        there = self.space.positions(other)[np.arange(len(rows)), columns]
        active = ~np.isnan(there)
        rows, points = rows[active], points[active]
        points[np.arange(len(rows)), columns[active]] = there[active]
        near = at + self.snapped(points)
        values = judge(near.positions)
        rows = np.concatenate([np.arange(len(at)), rows])
        best = np.lexsort((-values, rows))
        first = np.searchsorted(rows[best], np.arange(len(at)))
        return near[best[first]]

    def _changes(self, codes: Codes, rng: np.random.Generator) -> tuple[Codes, Codes, Codes]:
        """Rows, columns and new options of single changes."""
        found: list[Codes] = []
        for j, n in enumerate(self.space.n_options.tolist()):
            if self.free[j] and not self.whole[j]:
                continue
            if self.free[j]:
                options = codes[:, j, None] + np.array([-2, -1, 1, 2])
            else:
                few = np.arange(n) if n <= 2 * FEW else rng.choice(n, 2 * FEW, replace=False)
                options = np.broadcast_to(few, (len(codes), len(few)))
            rows = np.broadcast_to(np.arange(len(codes))[:, None], options.shape)
            good = (options >= 0) & (options < n) & (options != codes[:, j, None])
            found.append(np.stack([rows[good], np.full(int(good.sum()), j), options[good]]))
        if not found:
            return (np.empty(0, np.int64),) * 3
        joined = np.concatenate(found, axis=1)
        return joined[0], joined[1], joined[2]
