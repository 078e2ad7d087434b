"""Crossover and mutation of numbers, on their scales from 0 to 1.

Deb and Agrawal: Simulated binary crossover for continuous search space. Complex Systems 9, 1995. Deb and Goyal: A
combined genetic adaptive search (GeneAS) for engineering design. Computer Science and Informatics 26, 1996 (polynomial
mutation); in the forms for bounded variables of Deb's NSGA-II.
"""

from __future__ import annotations

import numpy as np

from searchkit.space import Space
from searchkit.types import Bools, Codes, Floats

CROSSING, MUTATION = 15.0, 10.0  # distribution indices: the higher, the closer children are to their parents
LEAST = 1e-9  # distance of two positions below which they are one


def crossed_numbers(first: Codes, second: Codes, space: Space, rng: np.random.Generator) -> Codes:
    """``(n, m)`` codes of the m numbers of children: simulated binary crossover of half of them, else either parent's.

    Args:
        first, second: ``(n, d)`` parents.
    """
    crossed = np.empty((len(first), len(space.numbers)), dtype=np.int64)
    uniform, side, blended = (rng.random(crossed.shape) for _ in range(3))
    for k, (j, number) in enumerate(space.numbers):
        a, b = number.positions(first[:, j]), number.positions(second[:, j])
        between = _simulated_binary(np.minimum(a, b), np.maximum(a, b), uniform[:, k], side[:, k] < 0.5)
        one = np.where(side[:, k] < 0.5, first[:, j], second[:, j])
        apart = (np.abs(a - b) > LEAST) & (blended[:, k] < 0.5)
        crossed[:, k] = np.where(apart, number.at(between), one)
    return crossed


def mutated_numbers(codes: Codes, columns: Codes, space: Space, rng: np.random.Generator) -> Codes:
    """``(m,)`` codes of numbers after polynomial mutation, each another than it was.

    Args:
        codes: ``(m,)`` of the numbers in columns ``(m,)`` of the space.
    """
    changed = codes.copy()
    uniform, up = rng.random(len(codes)), rng.random(len(codes)) < 0.5
    for j, number in space.numbers:
        rows = np.flatnonzero(columns == j)
        new = number.at(_polynomial(number.positions(codes[rows]), uniform[rows]))
        step = np.where(up[rows], 1, -1)
        step = np.where((codes[rows] + step < 0) | (codes[rows] + step >= number.n_values), -step, step)
        changed[rows] = np.where(new == codes[rows], codes[rows] + step, new)
    return changed


def _simulated_binary(low: Floats, high: Floats, uniform: Floats, lower: Bools) -> Floats:
    """``(n,)`` the child near the lower or the higher of two parents in [0, 1]."""
    distance = np.maximum(high - low, LEAST)
    room = np.where(lower, low, 1 - high)
    beta = 1 + 2 * room / distance
    alpha = 2 - beta ** -(CROSSING + 1)
    inside = uniform <= 1 / alpha
    spread = np.where(
        inside, (uniform * alpha) ** (1 / (CROSSING + 1)),
        (1 / np.maximum(2 - uniform * alpha, 1e-300)) ** (1 / (CROSSING + 1)),
    )  # fmt: skip
    middle, half = (low + high) / 2, spread * distance / 2
    return np.clip(np.where(lower, middle - half, middle + half), 0.0, 1.0)


def _polynomial(places: Floats, uniform: Floats) -> Floats:
    """``(n,)`` places in [0, 1] after polynomial mutation, which stays within [0, 1]."""
    power = 1 / (MUTATION + 1)
    down = (2 * uniform + (1 - 2 * uniform) * (1 - places) ** (MUTATION + 1)) ** power - 1
    up = 1 - (2 * (1 - uniform) + 2 * (uniform - 0.5) * places ** (MUTATION + 1)) ** power
    return np.clip(places + np.where(uniform < 0.5, down, up), 0.0, 1.0)
