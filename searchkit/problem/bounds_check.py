"""Checks before any training whether the bounds can be met."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from searchkit.errors import ConstraintError
from searchkit.problem.objectives import Bound
from searchkit.problem.problem import Problem
from searchkit.types import Codes, Floats

Counted = Callable[[Codes], dict[str, Floats]]


def check_bounds(problem: Problem, bounds: Sequence[Bound], counted: Counted) -> None:
    """Raise where no candidate can meet the bounds that are known without evaluation.

    In a space that can be listed the attainable values are exact; in a larger one they are the best that local search
    by single changes found, and the message says so.

    Raises:
        ConstraintError: names each bound that no candidate meets with the nearest attainable value, or the bounds that
            can be met singly but not together.
    """
    rng = np.random.default_rng(0)
    if len(problem.sample(1, rng)):
        return
    exact = problem.everything() is not None
    word = "attainable" if exact else "found"
    hopeless = []
    known = [bound for bound in bounds if bound.name in counted(problem.space.sample(1, rng))]
    for bound in known:
        low, high = _range(problem, bound.name, counted, rng)
        if high < bound.low:
            hopeless.append(f"{bound}: the highest {word} is {high:.12g}")
        if low > bound.high:
            hopeless.append(f"{bound}: the lowest {word} is {low:.12g}")
    if hopeless:
        raise ConstraintError(f"no candidate of space '{problem.space.name}' can meet " + "; ".join(hopeless))
    together = " and ".join(str(bound) for bound in known)
    raise ConstraintError(
        f"no candidate of space '{problem.space.name}' meets {together} {'together' * (len(known) > 1)}".strip()
    )


def _range(problem: Problem, name: str, counted: Counted, rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest value of a counted metric in the space."""
    space = problem.space
    if space.size <= problem.listable:
        values = counted(space.enumerate(problem.listable))[name]
        values = values[np.isfinite(values)]  # a network that cannot be built has no count
        return (float(values.min()), float(values.max())) if len(values) else (-np.inf, np.inf)
    ends = []
    for sign in (1.0, -1.0):
        best = np.inf
        for code in space.sample(3, rng):
            value = sign * float(counted(code[None])[name][0])
            value = value if np.isfinite(value) else np.inf
            while True:
                near = space.neighbours(code)
                steps = np.nan_to_num(sign * counted(near)[name], nan=np.inf)
                if not len(near) or steps.min() >= value:
                    break
                code, value = near[int(steps.argmin())], float(steps.min())
            best = min(best, value)
        ends.append(sign * best)
    return ends[0], ends[1]
