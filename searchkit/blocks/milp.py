"""One alternative of every block at the least cost within linear limits, with a proven bound: HiGHS on a core.

HiGHS solves the programs, first on a core of the alternatives: Lagrange multipliers bound from below what a network
with a given alternative costs, and for most alternatives that bound is above the best network found without them (Balas
and Zemel, Operations Research 28, 1980). :mod:`searchkit.blocks.solve` states the problem.

Dominated alternatives are not dropped: where a term has two limits, or a network is forbidden, they may be needed,
and the multipliers leave all but a few out in any case.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from searchkit.blocks.additive import Additive
from searchkit.errors import SearchkitError
from searchkit.types import Bools, Codes, Floats

TOLERANCE = 1e-9  # relative to the range of a term: by how much a limit may be missed, or an optimum be improved
SPREAD = 2000.0  # range of a scaled row, so that HiGHS's own tolerance of 1e-6 is half of TOLERANCE
SLACK = TOLERANCE * SPREAD  # in units of the program: costs nearer than this are the same
NEAR = 0.01  # relative to the range of a term: a limit with less room than this is called binding


@dataclass(frozen=True)
class Side:
    """One end of a limit, as ``term(picked) <= most``: for a lower end, both are the negatives of the limit's."""

    name: str
    upper: bool
    term: Additive
    most: float

    @property
    def rounding(self) -> float:
        """Rounding error of the sum: by how much it may differ when it is added up in another order."""
        largest = abs(self.term.base) + sum(float(np.abs(table).max()) for table in self.term.tables)
        return 4 * float(np.finfo(float).eps) * len(self.term.tables) * largest

    @property
    def tolerance(self) -> float:
        """By how much the bound may be missed."""
        low, high = ends(self.term)
        return TOLERANCE * (high - low) + self.rounding

    @property
    def best(self) -> str:
        """Which end of the term this limit is near."""
        return "least" if self.upper else "most"

    def room(self, picked: Codes) -> float:
        """How far the network ``(m,)`` is below the bound."""
        return self.most - float(self.term(picked[None])[0])

    def binds(self, picked: Codes) -> bool:
        """Whether the network is near the bound."""
        low, high = ends(self.term)
        return self.room(picked) <= NEAR * (high - low)

    def shown(self, value: float) -> str:
        """A value of the term as one of the limit's."""
        return f"{value if self.upper else -value:.12g}"

    def __str__(self) -> str:
        return f"'{self.name}' at {'most' if self.upper else 'least'} {self.shown(self.most)}"


@dataclass(frozen=True)
class Found:
    """The result of a program; the bound is infinity where it is infeasible, the value itself where optimal."""

    picked: Codes | None
    value: float
    bound: float


@dataclass(frozen=True)
class Program:
    """The networks to choose from; its columns are the N alternatives of all blocks, one block after the other.

    Terms may be in seconds or in MACs, but HiGHS's tolerances are absolute; so all rows and costs are scaled.

    Attributes:
        sizes: alternatives of each block.
        forbidden: ``(k, m)`` networks that are not to be picked.
        deadline: of ``time.monotonic()``; infinity for none.
        core: alternatives per block that are tried first.
    """

    sizes: tuple[int, ...]
    sides: tuple[Side, ...]
    forbidden: Codes
    deadline: float
    core: int

    @property
    def starts(self) -> Codes:
        """``(m,)`` the first column of each block."""
        return np.cumsum([0, *self.sizes[:-1]])

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def options(self) -> dict[str, float]:
        """HiGHS's time limit."""
        return {"time_limit": max(self.left, 0.001)} if self.deadline < math.inf else {}

    def rows(self) -> tuple[Floats, Floats]:
        """``(s, N)`` and ``(s,)``: a network ``x`` is within the limits where ``rows @ x <= most``."""
        rows, most = np.zeros((len(self.sides), sum(self.sizes))), np.zeros(len(self.sides))
        for i, side in enumerate(self.sides):
            rows[i], scale = scaled(side.term)
            most[i] = (side.most + side.rounding - ends(side.term)[0]) * scale
        return rows, most

    def blocks(self) -> csr_array:
        """``(m, N)`` 1 where the column is of the block."""
        n = sum(self.sizes)
        return csr_array((np.ones(n), (np.repeat(np.arange(len(self.sizes)), self.sizes), np.arange(n))))

    def relaxed(self, cost: Floats) -> tuple[Floats, Floats | None, bool]:
        """Multipliers ``(s,)`` of the sides, the fractional network ``(N,)``, and whether it may be feasible."""
        rows, most = self.rows()
        if self.left <= 0:
            return np.zeros(len(rows)), None, True
        ones = np.ones(len(self.sizes))
        result = linprog(cost, csr_array(rows), most, self.blocks(), ones, options=self.options)
        if result.status != 0:
            return np.zeros(len(rows)), None, bool(result.status != 2)
        return np.maximum(0.0, -result.ineqlin.marginals), result.x, True

    def cheapest(self, cost: Floats, core: Bools, done: Bools, below: float, gap: float) -> tuple[Codes | None, float]:
        """The cheapest network of core alternatives, at least one of them not done, that costs no more than ``below``.

        Returns:
            The network, or None, and a lower bound on the cost of all such networks.
        """
        columns, m = np.flatnonzero(core), len(self.sizes)
        rows, most = self.rows()
        limits = [LinearConstraint(self.blocks()[:, columns], 1, 1)]
        if self.sides:
            limits.append(LinearConstraint(rows[:, columns], -np.inf, most))
        if done.any():
            limits.append(LinearConstraint(1.0 * ~done[None, columns], 1, np.inf))
        best, bound, seen = None, -math.inf, self.forbidden
        while self.left > 0:
            at = (np.repeat(np.arange(len(seen)), m), (self.starts + seen).ravel())
            cuts = csr_array((np.ones(seen.size), at), shape=(len(seen), len(core)))[:, columns]
            given = [*limits, LinearConstraint(cuts, -np.inf, m - 1)] if len(seen) else limits[:]
            if below < math.inf:
                given.append(LinearConstraint(cost[None, columns], -np.inf, below))
            for presolve in (True, False):  # HiGHS sometimes fails after its own presolve
                options = {"mip_rel_gap": gap, "presolve": presolve, **self.options}
                result = milp(cost[columns], integrality=1, bounds=(0, 1), constraints=given, options=options)
                if result.status in (0, 1, 2):
                    break
            if result.status == 2:
                return best, below
            if result.status not in (0, 1):
                raise SearchkitError(f"HiGHS could not solve the program: {result.message}")
            proven = result.fun if result.status == 0 and not gap else result.mip_dual_bound
            bound = min(below, -math.inf if proven is None or math.isnan(proven) else float(proven))
            if result.x is None:
                break
            x = np.zeros(len(core))
            x[columns] = result.x
            picked = np.array([part.argmax() for part in np.split(x, self.starts[1:])], dtype=np.int64)
            paid = float(cost[self.starts + picked].sum())
            if all(side.room(picked) >= -side.tolerance for side in self.sides):
                if paid < below:
                    best, below = picked, paid
                if gap or paid <= bound + SLACK:
                    break
            seen = np.vstack([seen, picked])  # x was not quite integral: rounded, it costs more or breaks a limit
        return best, min(bound, below)


def minimise(
    program: Program, objective: Additive, gap: float = 0.0, known: Codes | None = None, *, prove: bool = True
) -> Found:
    """The network of the lowest objective, or a good one; ``known`` is one within the limits to start from."""
    cost, scale = scaled(objective)
    offset = ends(objective)[0]
    if gap:  # HiGHS takes it relative to the cost, so the cost must include the offset
        cost[: program.sizes[0]] += offset * scale
        offset = 0.0
    rows, most = program.rows()
    weights, _, possible = program.relaxed(cost)
    if not possible:
        return Found(None, math.nan, math.inf)
    reduced = cost + weights @ rows
    lowest = np.minimum.reduceat(reduced, program.starts)
    floor = float(lowest.sum() - weights @ most)
    excess = reduced - np.repeat(lowest, program.sizes)  # a network with it costs at least floor + excess
    ordered, n = np.sort(excess), 1 + program.core * len(program.sizes)
    picked, best, proven, done = known, math.inf, math.inf, np.zeros(len(cost), dtype=np.bool_)
    while True:
        if picked is not None:
            best = float(cost[program.starts + picked].sum())
        reach = max(0.0, min(best - floor + SLACK, float(ordered[min(n, len(cost) - 1)])))
        core = excess <= reach
        if (core & ~done).any():
            new, bound = program.cheapest(cost, core, done, best, gap)
            if new is not None and cost[program.starts + new].sum() < best:
                picked, best = new, float(cost[program.starts + new].sum())
            proven = min(proven, bound)
        lower = max(floor, proven if core.all() else min(proven, floor + reach))
        if lower >= best - SLACK or core.all() or n >= len(cost) or program.left <= 0:
            break
        if picked is not None and (not prove or best - lower <= gap * abs(best)):
            break
        done |= core
        n *= 4
    if picked is None:
        return Found(None, math.nan, offset + lower / scale)
    value = float(objective(picked[None])[0])
    return Found(picked, value, value if lower >= best - SLACK else min(value, offset + lower / scale))


def ends(model: Additive) -> tuple[float, float]:
    """The least and the most that the term can be."""
    least, most = (model.base + sum(float(f(table)) for table in model.tables) for f in (np.min, np.max))
    return least, most


def scaled(model: Additive) -> tuple[Floats, float]:
    """``(N,)`` the term less its minimum, scaled to the range :data:`SPREAD`; and that scale."""
    least, most = ends(model)
    scale = SPREAD / (most - least) if most > least else 1.0
    return scale * np.concatenate([table - table.min() for table in model.tables]), scale
