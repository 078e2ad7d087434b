"""Benchmarks that are formulas and need no data: sums of random weights, and a function with failures to learn of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from searchkit.benchmarks.benchmark import Asked, Benchmark, made
from searchkit.blocks import exact
from searchkit.blocks.additive import Additive
from searchkit.errors import SearchkitError, SpaceError
from searchkit.problem.objectives import Direction
from searchkit.problem.pareto import non_dominated
from searchkit.space import Choice, Space
from searchkit.types import Codes, Floats

LARGEST_KNOWN = 3  # objectives of which the exact front is made


@dataclass(frozen=True, eq=False)
class Sums:
    """Losses that are sums of one weight per decision; ``weights`` are ``(k, d, options)``."""

    weights: Floats

    def __call__(self, codes: Codes, names: Sequence[str]) -> dict[str, Floats]:
        columns = np.arange(codes.shape[1])
        at = [int(name.rpartition("_")[2]) - 1 for name in names]
        return {name: self.weights[i][columns, codes].sum(axis=1) for name, i in zip(names, at, strict=True)}

    def front(self, names: Sequence[str]) -> Floats:
        """``(f, k)`` the exact front: fronts of partial sums, merged decision by decision."""
        at = [int(name.rpartition("_")[2]) - 1 for name in names]
        if len(at) == 1:
            return np.array([[self.weights[at[0]].min(axis=1).sum()]])
        losses = exact.front([Additive(0.0, tuple(self.weights[i])) for i in at])[1]
        return np.unique(losses[non_dominated(losses)], axis=0)


def additive(
    objectives: Asked = None,
    folder: Path | None = None,
    *,
    n_choices: int = 20,
    n_options: int = 6,
    n_objectives: int = 2,
    seed: int = 0,
) -> Benchmark:
    """Every decision adds a weight of its own, drawn from a normal distribution, to each loss; all are minimised.

    The exact front is known for up to three objectives. ``folder`` is not used.
    """
    _check_whole("additive", n_choices=n_choices, n_options=n_options, n_objectives=n_objectives)
    sums = Sums(np.random.default_rng(seed).normal(size=(n_objectives, n_choices, n_options)))
    space = Space([Choice(f"choice_{j + 1}", range(n_options)) for j in range(n_choices)], name="additive")
    known: dict[str, Direction] = {f"loss_{i + 1}": "min" for i in range(n_objectives)}
    asked = n_objectives if objectives is None else 1 if isinstance(objectives, str) else len(objectives)
    return made(
        "additive", space, sums, known, objectives, list(known), best=lambda name: float(sums.front([name])[0, 0]),
        front=sums.front if asked <= LARGEST_KNOWN else None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SumBelow:
    """Minus the sum of the chosen values; NaN where it reaches ``limit``."""

    values: Floats
    limit: float

    def __call__(self, codes: Codes, names: Sequence[str]) -> dict[str, Floats]:
        total = self.values[codes].sum(axis=1)
        return {name: np.where(total < self.limit, -total, np.nan) for name in names}


def hidden_failure(
    objectives: Asked = None,
    folder: Path | None = None,
    *,
    n_choices: int = 5,
    values: Sequence[float] = (0, 1, 9),
    limit: float = 9,
) -> Benchmark:
    """More is better until it breaks: the loss is minus the sum of the chosen values, and sums from ``limit`` on fail.

    Of the 243 candidates, 211 fail: all that have a 9. What a search should learn is not to try its like
    again. With the values (0, 1, 2, 9), 787 of 1,024 fail. ``folder`` is not used.

    Raises:
        SearchkitError: settings with which every candidate fails.
    """
    _check_whole("hidden-failure", n_choices=n_choices)
    space = Space([Choice(f"choice_{j + 1}", values) for j in range(n_choices)], name="hidden-failure")
    source = SumBelow(np.array([float(value) for value in values]), float(limit))
    if n_choices * source.values.min() >= limit:
        raise SearchkitError(
            f"benchmark 'hidden-failure': every sum of {n_choices} of {tuple(values)} reaches {limit:g}"
        )
    return made("hidden-failure", space, source, {"loss": "min"}, objectives, ["loss"])


def _check_whole(name: str, **options: Any) -> None:
    for what, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpaceError(f"benchmark '{name}' takes {what} as a whole number of at least 1, not {value!r}")
