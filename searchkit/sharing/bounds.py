"""Paths within bounds on what is counted of a network: its parameters and MACs.

Most are found by chance. Where none is, a sampler draws uniformly from all combinations of blocks that fit, which it
counts by dynamic programming over rounded costs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.blocks.additive import Additive, Blocks, blocks_of
from searchkit.blocks.cost_tables import count_tables
from searchkit.costs.counts import space_counts
from searchkit.errors import ProxyError, SearchkitError, nearest
from searchkit.sharing.paths import Allowed
from searchkit.space import NetworkSpace
from searchkit.types import Bools, Codes, Floats

COUNTED = ("params", "macs")
CELLS = {1: 2000, 2: 120}  # into which each of one or two bounds is divided; costs are rounded up
Within = Callable[[np.random.Generator], Codes]


def within(space: NetworkSpace, bounds: Mapping[str, float]) -> tuple[Allowed | None, Within | None]:
    """Which candidates are within the bounds, and a sampler of those, for :class:`~searchkit.sharing.paths.Paths`.

    Args:
        bounds: ``{"params": most, "macs": most}``, or one of the two; nothing bounds nothing.

    Raises:
        ProxyError: a bound on something else, or one that no network keeps.
    """
    if not bounds:
        return None, None
    return functools.partial(_allowed, space, dict(bounds)), _sampler(space, bounds)


def counted_bounds(bounds: object, said: str = "paths are bounded by") -> dict[str, float]:
    """Bounds on costs that are counted, as a user gives them; None is none.

    Args:
        said: begins the message about a name that is none of these.

    Raises:
        ProxyError: bounds on something else, or that are no numbers above 0.
    """
    if bounds is not None and not isinstance(bounds, Mapping):
        raise ProxyError(f"bounds are a mapping from {' or '.join(COUNTED)} to the most, not {bounds!r:.80}")
    read = dict(bounds or {})
    for name, most in read.items():
        if name not in COUNTED:
            near = nearest(name, COUNTED)
            hint = f"; is {near!r} meant?" if near else ""
            raise ProxyError(f"{said} {' and '.join(COUNTED)}, which are counted, not {name!r}{hint}")
        number = isinstance(most, int | float | np.number) and not isinstance(most, bool)
        if not number or not math.isfinite(most) or most <= 0:
            raise ProxyError(f"the bound on {name} is a finite number above 0, not {most!r}")
    return read


def _allowed(space: NetworkSpace, bounds: Mapping[str, float], codes: Codes) -> Bools:
    counts = space_counts(space, codes)
    kept: Bools = np.all([counts[name] <= most for name, most in bounds.items()], axis=0)
    return kept


def _sampler(space: NetworkSpace, bounds: Mapping[str, float]) -> Within | None:
    """Draws of all combinations that fit; None where counts are no sums over blocks."""
    try:
        tables = count_tables(space)
        blocks = blocks_of(space)
    except SearchkitError:
        return None
    for name, most in bounds.items():
        if name not in tables:
            return None
        least = tables[name].base + sum(float(table.min()) for table in tables[name].tables)
        if least > most:
            raise ProxyError(
                f"the bounds leave no path: every network of space '{space.name}' has {name} of {least:,.0f} or more, "
                f"and the bound is {most:,g}"
            )
    program = Counted.of(blocks, [tables[name] for name in bounds], list(bounds.values()))
    return None if program is None else functools.partial(_drawn, space, program)


def _drawn(space: NetworkSpace, program: Counted, rng: np.random.Generator) -> Codes:
    code: Codes = space.canonical(program.draw(rng)[None])[0]
    return code


@dataclass(frozen=True)
class Counted:
    """How many combinations of the blocks from each one on fit into what is left of the bounds.

    Attributes:
        costs: for each block, ``(a, k)`` the costs of its alternatives in cells, rounded up.
        ways: for each block and one more, ``(cells + 1, ...)`` combinations of it and those after it that fit.
        room: ``(k,)`` cells in all.
    """

    blocks: Blocks
    costs: tuple[Codes, ...]
    ways: tuple[Floats, ...]
    room: tuple[int, ...]

    @classmethod
    def of(cls, blocks: Blocks, models: Sequence[Additive], most: Sequence[float]) -> Counted | None:
        """Count; None where rounding leaves no combination."""
        cells = CELLS[len(models)]
        costs = []
        floors = [[float(table.min()) for table in model.tables] for model in models]
        spare = [limit - model.base - sum(low) for limit, model, low in zip(most, models, floors, strict=True)]
        for i in range(len(blocks.names)):
            above = [
                (m.tables[i] - low[i]) / max(left, 1e-9) for m, low, left in zip(models, floors, spare, strict=True)
            ]
            costs.append(np.ceil(np.column_stack(above).clip(0, 2) * cells - 1e-9).astype(np.int64))
        room = (cells,) * len(models)
        ways = [np.ones([n + 1 for n in room])]
        for cost in reversed(costs):
            ways.append(_one_more(cost, ways[-1]))
        ways.reverse()
        return cls(blocks, tuple(costs), tuple(ways), room) if ways[0][room] > 0 else None

    def draw(self, rng: np.random.Generator) -> Codes:
        """``(d,)`` a combination that fits, each equally likely."""
        left, picked = np.array(self.room), []
        for cost, ways in zip(self.costs, self.ways[1:], strict=True):
            after = left - cost
            fits = (after >= 0).all(axis=1)
            chances = np.where(fits, ways[tuple(after.clip(0).T)], 0.0)
            picked.append(int(rng.choice(len(cost), p=chances / chances.sum())))
            left = after[picked[-1]]
        code: Codes = self.blocks.codes(np.array([picked]))[0]
        return code


def _one_more(cost: Codes, ways: Floats) -> Floats:
    """The ways of the blocks before and one more, whose alternatives have these costs."""
    found = np.zeros_like(ways)
    for each, times in zip(*np.unique(cost, axis=0, return_counts=True), strict=True):
        if (each >= ways.shape).any():
            continue
        there = tuple(slice(n, None) for n in each)
        before = tuple(slice(None, size - n) for size, n in zip(ways.shape, each, strict=True))
        found[there] += times * ways[before]
    return found
