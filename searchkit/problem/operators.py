"""Operators on codes: crossover and mutation, vectorised over candidates."""

from __future__ import annotations

import numpy as np

from searchkit.problem.number_operators import crossed_numbers, mutated_numbers
from searchkit.space import Space
from searchkit.types import Bools, Codes, Floats


def crossover(first: Codes, second: Codes, rng: np.random.Generator, space: Space | None = None) -> Codes:
    """``(n, d)`` children that take each decision from either parent with equal chance (uniform crossover).

    With a space, half of its numbers are drawn around the parents' (:mod:`searchkit.problem.number_operators`).
    """
    children = np.where(rng.random(first.shape) < 0.5, first, second)
    if space is not None and space.numbers:
        children[:, space.numeric] = crossed_numbers(first, second, space, rng)
    return children


def mutate(
    codes: Codes,
    space: Space,
    rng: np.random.Generator,
    rate: float | Floats | None = None,
    *,
    always: bool | Bools = True,
) -> Codes:
    """Change decisions at random; a changed decision always takes another option.

    Unordered choices jump to any other option; ordered ones step to a neighbouring option half of the time. Numbers
    move on their scales (:mod:`searchkit.problem.number_operators`).

    Args:
        codes: ``(n, d)``.
        rate: chance per decision, one for all or ``(n, 1)``; 1/d where not given.
        always: at least one decision changes, of every row or of those of an ``(n,)`` mask.
    """
    n, d = codes.shape
    n_options = space.n_options
    free = n_options > 1
    if not free.any():
        return codes.copy()
    chosen = (rng.random((n, d)) < (1.0 / d if rate is None else rate)) & free
    if always is not False:
        still = np.flatnonzero(~chosen.any(axis=1) & always)
        columns = np.flatnonzero(free)
        chosen[still, columns[rng.integers(0, len(columns), len(still))]] = True
    rows, columns = np.divmod(np.flatnonzero(chosen), d)  # few: drawing for every decision takes several times as long
    old, most = codes[rows, columns], n_options[columns]
    new = (old + 1 + (rng.random(len(rows)) * (most - 1)).astype(np.int64)) % most
    ordered = np.array([choice.ordered for choice in space.choices])[columns]
    if ordered.any():
        step = old + np.where(rng.random(len(rows)) < 0.5, 1, -1)
        step = np.where(step < 0, 1, np.where(step >= most, most - 2, step))
        new = np.where(ordered & (rng.random(len(rows)) < 0.5), step, new)
    numbers = np.flatnonzero(space.numeric[columns])
    if len(numbers):
        new[numbers] = mutated_numbers(old[numbers], columns[numbers], space, rng)
    changed = codes.copy()
    changed[rows, columns] = new
    return changed
