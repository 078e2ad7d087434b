"""The best network under any number of limits, also of a ratio, by mixed-integer programming and with a certificate.

One binary per block and alternative, one alternative per block, linear limits: MathNAS (Qinsi et al., NeurIPS 2023,
arXiv 2311.04943). HiGHS solves the programmes, on a core of the alternatives first: Lagrange multipliers say how much
a network must lose at least that takes an alternative, and for most that is more than the best of the others loses
(Balas and Zemel, Operations Research 28, 1980). A ratio is a sequence of such programmes (Dinkelbach, Management
Science 13, 1967). For the whole trade-off of two or three terms see :mod:`searchkit.exact`.

Dominated alternatives are not dropped: where a term has two limits, or a network is forbidden, they may be needed,
and the multipliers leave all but a few out in any case.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

import numpy as np
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from searchkit.additive import Additive
from searchkit.errors import ConstraintError, SearchkitError
from searchkit.space import Bools, Codes, Floats

TOLERANCE = 1e-9  # of what a term ranges over: how far a limit may be missed, and a proven optimum be off the best
SPREAD = 2000.0  # what a row ranges over in the programme, so that HiGHS's own tolerance of 1e-6 is half of ours
SLACK = TOLERANCE * SPREAD  # in units of the programme: costs nearer than this are the same
NEAR = 0.01  # of what a term ranges over: a limit with less room than this is named as binding
CORE = 4  # alternatives per block that are tried first


@dataclass(frozen=True)
class Limit:
    """Bounds on one additive term: ``low <= model(picked) <= high``, either may be None.

    Raises:
        ConstraintError: no bound, one that is not a finite number, or low above high.
    """

    name: str
    model: Additive
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ConstraintError(f"limit '{self.name}' has no bound; give low, high or both")
        for end in (self.low, self.high):
            if end is not None and not _is_number(end):
                raise ConstraintError(f"limit '{self.name}' has the bound {end!r}; a bound is a finite number or None")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConstraintError(f"limit '{self.name}' has low {self.low:.12g} above high {self.high:.12g}")


@dataclass(frozen=True)
class Solution:
    """A network with the proof of how good it is, or of why there is none.

    Attributes:
        picked: ``(m,)`` the alternative of every block; None where there is no network, or none was found in time.
        value: of the objective or the ratio; NaN without a network.
        status: "optimal": proven that no other network within the limits is better; "gap": stopped before; or
            "infeasible": proven that no network meets the limits.
        bound: no network within the limits has a lower value; infinity where there is none.
        gap: ``(value - bound) / |value|``, 0 where optimal; NaN without a network.
        binding: the limits with less room than a hundredth of what their term ranges over; where infeasible, limits
            that no network meets together, though networks meet all but any one of them.
        reason: what that means, in a sentence.
    """

    picked: Codes | None
    value: float
    status: Literal["optimal", "gap", "infeasible"]
    bound: float
    gap: float
    binding: tuple[str, ...]
    reason: str


def solve(
    objective: Additive,
    limits: Sequence[Limit] = (),
    *,
    over: Additive | None = None,
    forbidden: Codes | None = None,
    gap: float = 0.0,
    seconds: float | None = None,
) -> Solution:
    """The network of the lowest ``objective``, or ``objective / over``, within the limits.

    Limits are met, and optima proven, up to 1e-9 of what the term ranges over in the space.

    Args:
        over: divides the objective; positive for every network.
        forbidden: ``(k, m)`` networks that are not to be picked, such as those that are known already.
        gap: stop when value and bound are this near, relative to the value.
        seconds: stop after so long, with the best network so far.

    Raises:
        SearchkitError: terms over other blocks, or a number that cannot be used.
        ConstraintError: two limits of one name.
    """
    _check(objective, limits, over, gap, seconds)
    sides = _sides(limits)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    programme = _Programme(tuple(map(len, objective.tables)), sides, _networks(forbidden, objective), deadline)
    for side in sides:
        least = _ends(side.term)[0]
        if least > side.most + side.tolerance:
            reason = f"limit {side} cannot be met: the {side.best} possible is {side.shown(least)}"
            return Solution(None, math.nan, "infeasible", math.inf, math.nan, (side.name,), reason)
    found = _minimise(programme, objective, gap) if over is None else _ratio(programme, objective, over, gap)
    if found.picked is None and found.bound == math.inf:
        names, reason = _conflict(programme)
        return Solution(None, math.nan, "infeasible", math.inf, math.nan, names, reason)
    if found.picked is None:
        reason = f"in {seconds} s no network within the limits was found, nor proven that there is none; give it more"
        return Solution(None, math.nan, "gap", found.bound, math.nan, (), reason)
    binding = tuple(dict.fromkeys(side.name for side in sides if side.binds(found.picked)))
    if found.bound >= found.value:
        reason = "no other network within the limits is better"
        return Solution(found.picked, found.value, "optimal", found.value, 0.0, binding, reason)
    distance = (found.value - found.bound) / abs(found.value) if found.value else math.inf
    stopped = f"within the gap of {gap:g}" if distance <= gap else f"stopped after {seconds} s"
    if distance > gap and seconds is None:
        stopped = "as near as HiGHS's rounding comes"
    reason = f"{stopped}: no network within the limits has a value below {found.bound:.12g}"
    return Solution(found.picked, found.value, "gap", found.bound, distance, binding, reason)


@dataclass(frozen=True)
class _Side:
    """One end of a limit, as ``term(picked) <= most``: for a lower end, both are the negatives of the limit's."""

    name: str
    upper: bool
    term: Additive
    most: float

    @property
    def rounding(self) -> float:
        """By how much the same sum may differ when it is added up in another order."""
        largest = abs(self.term.base) + sum(float(np.abs(table).max()) for table in self.term.tables)
        return 4 * float(np.finfo(float).eps) * len(self.term.tables) * largest

    @property
    def tolerance(self) -> float:
        """By how much the bound may be missed."""
        low, high = _ends(self.term)
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
        low, high = _ends(self.term)
        return self.room(picked) <= NEAR * (high - low)

    def shown(self, value: float) -> str:
        """A value of the term as one of the limit's."""
        return f"{value if self.upper else -value:.12g}"

    def __str__(self) -> str:
        return f"'{self.name}' at {'most' if self.upper else 'least'} {self.shown(self.most)}"


@dataclass(frozen=True)
class _Found:
    """What a programme gave; the bound is infinity where it is infeasible, and the value where that is proven."""

    picked: Codes | None
    value: float
    bound: float


@dataclass(frozen=True)
class _Programme:
    """The networks to choose from; its columns are the N alternatives of all blocks, one block after the other.

    Terms are in seconds or in MACs, while HiGHS's tolerances are absolute: so all rows and costs are scaled.
    """

    sizes: tuple[int, ...]
    sides: tuple[_Side, ...]
    forbidden: Codes
    deadline: float

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
        """What HiGHS is told about time."""
        return {"time_limit": max(self.left, 0.001)} if self.deadline < math.inf else {}

    def rows(self) -> tuple[Floats, Floats]:
        """``(s, N)`` and ``(s,)``: a network ``x`` is within the limits where ``rows @ x <= most``."""
        rows, most = np.zeros((len(self.sides), sum(self.sizes))), np.zeros(len(self.sides))
        for i, side in enumerate(self.sides):
            rows[i], scale = _scaled(side.term)
            most[i] = (side.most + side.rounding - _ends(side.term)[0]) * scale
        return rows, most

    def blocks(self) -> csr_array:
        """``(m, N)`` 1 where the column is of the block."""
        n = sum(self.sizes)
        return csr_array((np.ones(n), (np.repeat(np.arange(len(self.sizes)), self.sizes), np.arange(n))))

    def relaxed(self, cost: Floats) -> tuple[Floats, Floats | None, bool]:
        """Multipliers ``(s,)`` of the sides, the fractional network ``(N,)``, and whether there can be a network."""
        rows, most = self.rows()
        if self.left <= 0:
            return np.zeros(len(rows)), None, True
        ones = np.ones(len(self.sizes))
        result = linprog(cost, csr_array(rows), most, self.blocks(), ones, options=self.options)
        if result.status != 0:
            return np.zeros(len(rows)), None, bool(result.status != 2)
        return np.maximum(0.0, -result.ineqlin.marginals), result.x, True

    def cheapest(self, cost: Floats, core: Bools, done: Bools, below: float, gap: float) -> tuple[Codes | None, float]:
        """The cheapest network of alternatives of the core, one at least not done, that costs no more than ``below``.

        Returns:
            The network, or None, and a bound on the cost of all networks of the core with one not done.
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
            for presolve in (True, False):  # HiGHS now and then fails after its own reductions
                options = {"mip_rel_gap": gap, "presolve": presolve, **self.options}
                result = milp(cost[columns], integrality=1, bounds=(0, 1), constraints=given, options=options)
                if result.status in (0, 1, 2):
                    break
            if result.status == 2:
                return best, below
            if result.status not in (0, 1):
                raise SearchkitError(f"HiGHS could not solve the programme: {result.message}")
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
            seen = np.vstack([seen, picked])  # x was not quite whole: too cheap, or past a limit when it is rounded
        return best, min(bound, below)


def _minimise(
    programme: _Programme, objective: Additive, gap: float = 0.0, known: Codes | None = None, *, prove: bool = True
) -> _Found:
    """The network of the lowest objective, or a good one; ``known`` is one within the limits to start from."""
    cost, scale = _scaled(objective)
    offset = _ends(objective)[0]
    if gap:  # which HiGHS takes relative to the cost
        cost[: programme.sizes[0]] += offset * scale
        offset = 0.0
    rows, most = programme.rows()
    weights, _, possible = programme.relaxed(cost)
    if not possible:
        return _Found(None, math.nan, math.inf)
    reduced = cost + weights @ rows
    lowest = np.minimum.reduceat(reduced, programme.starts)
    floor = float(lowest.sum() - weights @ most)
    excess = reduced - np.repeat(lowest, programme.sizes)  # a network with it costs at least floor + excess
    ordered, n = np.sort(excess), 1 + CORE * len(programme.sizes)
    picked, best, proven, done = known, math.inf, math.inf, np.zeros(len(cost), dtype=np.bool_)
    while True:
        if picked is not None:
            best = float(cost[programme.starts + picked].sum())
        reach = max(0.0, min(best - floor + SLACK, float(ordered[min(n, len(cost) - 1)])))
        core = excess <= reach
        if (core & ~done).any():
            new, bound = programme.cheapest(cost, core, done, best, gap)
            if new is not None and cost[programme.starts + new].sum() < best:
                picked, best = new, float(cost[programme.starts + new].sum())
            proven = min(proven, bound)
        lower = max(floor, proven if core.all() else min(proven, floor + reach))
        if lower >= best - SLACK or core.all() or n >= len(cost) or programme.left <= 0:
            break
        if picked is not None and (not prove or best - lower <= gap * abs(best)):
            break
        done |= core
        n *= 4
    if picked is None:
        return _Found(None, math.nan, offset + lower / scale)
    value = float(objective(picked[None])[0])
    return _Found(picked, value, value if lower >= best - SLACK else min(value, offset + lower / scale))


def _ratio(programme: _Programme, objective: Additive, over: Additive, gap: float) -> _Found:
    """The network of the lowest ratio: the one at which ``objective - ratio * over`` has the minimum 0."""
    least, most = _ends(over)
    at, best, value, bound = _relaxed_ratio(programme, objective, over), None, math.inf, -math.inf
    while True:
        model = objective.mixed([over], np.array([1.0, -at]))
        found = _minimise(programme, model, known=best, prove=best is not None)
        bound = max(bound, at + found.bound / (least if found.bound < 0 else most))
        if found.picked is None:
            return _Found(None, math.nan, bound)
        ratio = float(objective(found.picked[None])[0] / over(found.picked[None])[0])
        if ratio >= value:
            return _Found(best, value, value if found.bound >= found.value else min(bound, value))
        best, value, at = found.picked, ratio, ratio
        if value - bound <= gap * abs(value):
            return _Found(best, value, min(bound, value))


def _relaxed_ratio(programme: _Programme, objective: Additive, over: Additive) -> float:
    """The lowest ratio of fractional networks: a guess to start from, below the ratio sought and often near."""
    costs, sizes = np.concatenate(objective.tables), np.concatenate(over.tables)
    x = np.concatenate([np.arange(len(table)) == table.argmin() for table in objective.tables]).astype(float)
    at = math.inf
    for _ in range(20):
        before, at = at, float((objective.base + costs @ x) / (over.base + sizes @ x))
        if abs(before - at) <= TOLERANCE * abs(at):
            break
        fraction = programme.relaxed(_scaled(objective.mixed([over], np.array([1.0, -at])))[0])[1]
        if fraction is None:
            break
        x = fraction
    return at


def _conflict(programme: _Programme) -> tuple[tuple[str, ...], str]:
    """Limits that cannot be met together, though all but any one of them can; and the sentence that says so."""
    nothing = Additive(0.0, tuple(np.zeros(n) for n in programme.sizes))
    limits = [tuple(s for s in programme.sides if s.name == name) for name in {s.name: None for s in programme.sides}]
    kept, sure = programme.sides, True
    for group in limits + [(side,) for limit in limits if len(limit) > 1 for side in limit]:  # whole limits, then ends
        others = tuple(side for side in kept if not any(side is one for one in group))
        if len(others) < len(kept):
            found = _minimise(replace(programme, sides=others), nothing)
            if found.picked is None and found.bound == math.inf:
                kept = others
            sure = sure and (found.picked is not None or found.bound == math.inf)
    if not kept:
        return (), "all networks are forbidden"
    last = kept[-1]
    together, given = (" together", f"with the other{'s' * (len(kept) > 2)} kept, ") if len(kept) > 1 else ("", "")
    reason = f"limit{'s' * (len(kept) > 1)} {' and '.join(map(str, kept))} cannot be met{together}"
    if len(programme.forbidden):
        reason += f" by a network that is not one of the {len(programme.forbidden)} forbidden"
    found = _minimise(replace(programme, sides=kept[:-1]), last.term)
    if found.picked is not None and found.bound >= found.value:
        reason += f": {given}the {last.best} {last.name} is {last.shown(found.value)}"
    if not sure:
        reason += "; the time was over before it was known whether some of them are enough for that"
    return tuple(dict.fromkeys(side.name for side in kept)), reason


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _ends(model: Additive) -> tuple[float, float]:
    """The least and the most that the term can be."""
    least, most = (model.base + sum(float(f(table)) for table in model.tables) for f in (np.min, np.max))
    return least, most


def _scaled(model: Additive) -> tuple[Floats, float]:
    """``(N,)`` the term above its least, and the scale at which it ranges over :data:`SPREAD`."""
    least, most = _ends(model)
    scale = SPREAD / (most - least) if most > least else 1.0
    return scale * np.concatenate([table - table.min() for table in model.tables]), scale


def _sides(limits: Sequence[Limit]) -> tuple[_Side, ...]:
    """All ends of the limits."""
    sides = []
    for limit in limits:
        if limit.low is not None:
            sides.append(_Side(limit.name, False, limit.model.mixed([], np.array([-1.0])), -float(limit.low)))
        if limit.high is not None:
            sides.append(_Side(limit.name, True, limit.model, float(limit.high)))
    return tuple(sides)


def _networks(forbidden: Codes | None, objective: Additive) -> Codes:
    """``(k, m)``, checked."""
    sizes = tuple(map(len, objective.tables))
    codes = np.empty((0, len(sizes)), dtype=np.int64) if forbidden is None else np.asarray(forbidden)
    if codes.ndim != 2 or codes.shape[1] != len(sizes) or codes.dtype.kind not in "iu":
        raise SearchkitError(
            f"forbidden is {codes.dtype} {codes.shape}; it is integers (k, {len(sizes)}), one network a row"
        )
    if ((codes < 0) | (codes >= sizes)).any():
        raise SearchkitError(f"forbidden takes an alternative that a block does not have; the blocks have {sizes}")
    return codes.astype(np.int64)


def _check(
    objective: Additive, limits: Sequence[Limit], over: Additive | None, gap: float, seconds: float | None
) -> None:
    """All errors that need no solving."""
    if not _is_number(gap) or gap < 0:
        raise SearchkitError(f"gap is {gap!r}; it is a number from 0")
    if seconds is not None and (not _is_number(seconds) or seconds <= 0):
        raise SearchkitError(f"seconds is {seconds!r}; it is a number above 0, or None for no limit of time")
    names = [limit.name for limit in limits]
    for name in names:
        if names.count(name) > 1:
            raise ConstraintError(f"two limits are called '{name}'; give one limit low and high, or the other a name")
    terms = {"the objective": objective} | {f"limit '{limit.name}'": limit.model for limit in limits}
    if over is not None:
        terms["the divisor"] = over
    sizes = [len(table) for table in objective.tables]
    if not sizes or not all(sizes):
        raise SearchkitError(
            f"the objective has blocks of {sizes} alternatives; at least one block and one alternative each"
        )
    for name, term in terms.items():
        own = [len(table) for table in term.tables]
        if own != sizes:
            raise SearchkitError(
                f"{name} is over blocks of {own} alternatives, and the objective over blocks of {sizes}"
            )
        if not math.isfinite(term.base) or not all(np.isfinite(table).all() for table in term.tables):
            raise SearchkitError(f"{name} has values that are NaN or infinite")
    if over is not None and _ends(over)[0] <= 0:
        raise SearchkitError(f"the divisor has to be positive for every network; the least is {_ends(over)[0]:.12g}")
