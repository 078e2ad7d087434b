"""The candidates one decision away from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from searchkit.space.numbers import Float, Int
from searchkit.space.parameters import Parameter, is_number
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.space.space import Space

FEW = 16  # values up to which all of a number are neighbours
LENGTHS = (0.25, 0.08, 0.025, 0.008, 0.0025)  # of the steps up and down on the scale of one that has more


def neighbours(space: Space, home: Codes, most: int | None, rng: np.random.Generator | None) -> Codes:
    """See :meth:`searchkit.Space.neighbours`; ``home`` ``(d,)`` is canonical."""
    columns, options = _changes(space, home)
    other = options != home[columns]
    columns, options = columns[other], options[other]
    if most is not None and len(columns) > most:
        kept = _drawn(space, np.abs(options - home[columns]), columns, most, rng or np.random.default_rng(0))
        columns, options = columns[kept], options[kept]
    steps = np.tile(home, (len(columns), 1))
    steps[np.arange(len(columns)), columns] = options
    found: Codes = np.unique(space.canonical(steps), axis=0) if len(steps) else steps
    away: Codes = found[(found != home).any(axis=1)]
    return away


def _changes(space: Space, home: Codes) -> tuple[Codes, Codes]:
    """Columns and codes ``(m,)`` of the single changes, ``home`` among them."""
    if space.is_finite:
        sizes = space.n_options
        columns = np.repeat(np.arange(space.n_choices), sizes)
        return columns, np.arange(len(columns)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    options = [_options(choice, int(code)) for choice, code in zip(space.choices, home, strict=True)]
    columns = np.repeat(np.arange(space.n_choices), [len(one) for one in options])
    return columns, np.concatenate(options)


def _options(choice: Parameter, code: int) -> Codes:
    if not is_number(choice) or choice.n_values <= FEW:
        return np.arange(len(choice.options))
    return _around(choice, code)


def _around(number: Float | Int, code: int) -> Codes:
    """Codes near one of a number: by the lengths on its scale, and the next integers."""
    place = number.positions(np.array([code]))
    lengths = np.array([*LENGTHS, *(-length for length in LENGTHS)])
    codes = number.at(place + lengths)
    next_ones = np.array([code - 1, code + 1]) if isinstance(number, Int) else codes[:0]
    return np.unique(np.clip(np.concatenate([codes, next_ones]), 0, number.n_values - 1))


def _drawn(space: Space, distances: Codes, columns: Codes, most: int, rng: np.random.Generator) -> Codes:
    """Which of the single changes ``(n,)`` are looked at: those to adjacent options of ordered choices go first."""
    ordered = np.array([choice.ordered for choice in space.choices])
    order = rng.permutation(len(columns))
    adjacent = (ordered[columns] & (distances == 1))[order]
    drawn: Codes = np.concatenate([order[adjacent], order[~adjacent]])[:most]
    return drawn
