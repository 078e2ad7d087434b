"""The best network under any number of limits, for a sum or a ratio, by integer programming with a certificate.

One binary per block and alternative, one alternative per block, linear limits: MathNAS (Wang et al., NeurIPS 2023,
arXiv 2311.04943); :mod:`searchkit.blocks.milp` solves such a program. A ratio is a sequence of them
(Dinkelbach, Management Science 13, 1967). For the whole trade-off of two or three terms see
:mod:`searchkit.blocks.exact`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

import numpy as np

from searchkit.blocks.additive import Additive
from searchkit.blocks.milp import TOLERANCE, Found, Program, Side, ends, minimise, scaled
from searchkit.errors import ConstraintError, SearchkitError
from searchkit.types import Codes

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
        binding: the limits with less room than a hundredth of their term's range; where infeasible, an irreducible
            set of limits that no network meets together.
        reason: the status in a sentence.
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

    Limits are met, and optima proven, up to 1e-9 of the term's range over the space.

    Args:
        over: divides the objective; positive for every network.
        forbidden: ``(k, m)`` networks that are not to be picked, such as those that are known already.
        gap: stop when value and bound differ by no more than this, relative to the value.
        seconds: stop after so long, with the best network so far.

    Raises:
        SearchkitError: terms over other blocks, or a number that cannot be used.
        ConstraintError: two limits of one name.
    """
    _check(objective, limits, over, gap, seconds)
    sides = _sides(limits)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    program = Program(tuple(map(len, objective.tables)), sides, _networks(forbidden, objective), deadline, CORE)
    for side in sides:
        least = ends(side.term)[0]
        if least > side.most + side.tolerance:
            reason = f"limit {side} cannot be met: the {side.best} possible is {side.shown(least)}"
            return Solution(None, math.nan, "infeasible", math.inf, math.nan, (side.name,), reason)
    found = minimise(program, objective, gap) if over is None else _ratio(program, objective, over, gap)
    if found.picked is None and found.bound == math.inf:
        names, reason = _conflict(program)
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


def _ratio(program: Program, objective: Additive, over: Additive, gap: float) -> Found:
    """The network of the lowest ratio: the one at which ``objective - ratio * over`` has the minimum 0 (Dinkelbach)."""
    least, most = ends(over)
    at, best, value, bound = _relaxed_ratio(program, objective, over), None, math.inf, -math.inf
    while True:
        model = objective.mixed([over], np.array([1.0, -at]))
        found = minimise(program, model, known=best, prove=best is not None)
        bound = max(bound, at + found.bound / (least if found.bound < 0 else most))
        if found.picked is None:
            return Found(None, math.nan, bound)
        # Dinkelbach 1967: the next parameter is the ratio of the network that minimises objective - ratio * over
        ratio = float(objective(found.picked[None])[0] / over(found.picked[None])[0])
        if ratio >= value:
            return Found(best, value, value if found.bound >= found.value else min(bound, value))
        best, value, at = found.picked, ratio, ratio
        if value - bound <= gap * abs(value):
            return Found(best, value, min(bound, value))


def _relaxed_ratio(program: Program, objective: Additive, over: Additive) -> float:
    """The lowest ratio of the linear relaxation: a start below the ratio sought, and often near it."""
    costs, sizes = np.concatenate(objective.tables), np.concatenate(over.tables)
    x = np.concatenate([np.arange(len(table)) == table.argmin() for table in objective.tables]).astype(float)
    at = math.inf
    for _ in range(20):
        before, at = at, float((objective.base + costs @ x) / (over.base + sizes @ x))
        if abs(before - at) <= TOLERANCE * abs(at):
            break
        fraction = program.relaxed(scaled(objective.mixed([over], np.array([1.0, -at])))[0])[1]
        if fraction is None:
            break
        x = fraction
    return at


def _conflict(program: Program) -> tuple[tuple[str, ...], str]:
    """Limits that cannot be met together, though all but any one of them can; and the sentence that says so."""
    nothing = Additive(0.0, tuple(np.zeros(n) for n in program.sizes))
    limits = [tuple(s for s in program.sides if s.name == name) for name in {s.name: None for s in program.sides}]
    kept, sure = program.sides, True
    # whole limits first, then the single ends of those with two
    for group in limits + [(side,) for limit in limits if len(limit) > 1 for side in limit]:
        others = tuple(side for side in kept if not any(side is one for one in group))
        if len(others) < len(kept):
            found = minimise(replace(program, sides=others), nothing)
            if found.picked is None and found.bound == math.inf:
                kept = others
            sure = sure and (found.picked is not None or found.bound == math.inf)
    if not kept:
        return (), "all networks are forbidden"
    last = kept[-1]
    together, given = (" together", f"with the other{'s' * (len(kept) > 2)} kept, ") if len(kept) > 1 else ("", "")
    reason = f"limit{'s' * (len(kept) > 1)} {' and '.join(map(str, kept))} cannot be met{together}"
    if len(program.forbidden):
        reason += f" by a network that is not one of the {len(program.forbidden)} forbidden"
    found = minimise(replace(program, sides=kept[:-1]), last.term)
    if found.picked is not None and found.bound >= found.value:
        reason += f": {given}the {last.best} {last.name} is {last.shown(found.value)}"
    if not sure:
        reason += "; the time was over before it was known whether some of them are enough for that"
    return tuple(dict.fromkeys(side.name for side in kept)), reason


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _sides(limits: Sequence[Limit]) -> tuple[Side, ...]:
    """All ends of the limits."""
    sides = []
    for limit in limits:
        if limit.low is not None:
            sides.append(Side(limit.name, False, limit.model.mixed([], np.array([-1.0])), -float(limit.low)))
        if limit.high is not None:
            sides.append(Side(limit.name, True, limit.model, float(limit.high)))
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
    """Raise the errors that can be found without solving."""
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
    if over is not None and ends(over)[0] <= 0:
        raise SearchkitError(f"the divisor has to be positive for every network; the least is {ends(over)[0]:.12g}")
