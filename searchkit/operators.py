"""Integer operators on codes: crossover and mutation, vectorised over candidates."""

from __future__ import annotations

import numpy as np

from searchkit.space import Codes, Floats, Space


def crossover(first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
    """``(n, d)`` children that take each decision from either parent with equal chance (uniform crossover)."""
    return np.where(rng.random(first.shape) < 0.5, first, second)


def mutate(
    codes: Codes, space: Space, rng: np.random.Generator, rate: float | Floats | None = None, *, always: bool = True
) -> Codes:
    """Change decisions at random; a changed decision always takes another option.

    Unordered choices jump to any other option; ordered ones step to a neighbouring option half of the time.

    Args:
        codes: ``(n, d)``.
        rate: chance per decision, one for all or ``(n, 1)``; 1/d where not given.
        always: at least one decision of every row changes.
    """
    n, d = codes.shape
    free = space.n_options > 1
    if not free.any():
        return codes.copy()
    chosen = (rng.random((n, d)) < (1.0 / d if rate is None else rate)) & free
    still = ~chosen.any(axis=1) & always
    chosen[still, rng.choice(np.flatnonzero(free), size=int(still.sum()))] = True
    jump = (codes + rng.integers(1, np.maximum(space.n_options, 2), size=(n, d))) % space.n_options
    ordered = np.array([choice.ordered for choice in space.choices])
    if ordered.any():
        step = codes + np.where(rng.random((n, d)) < 0.5, 1, -1)
        step = np.where(step < 0, 1, np.where(step >= space.n_options, space.n_options - 2, step))
        jump = np.where(ordered & (rng.random((n, d)) < 0.5), step, jump)
    return np.where(chosen, jump, codes)
