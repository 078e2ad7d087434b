"""Whose turn the next batch is, of two sources of candidates: by what each has brought so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.types import Floats

LEAST = 0.25  # share of the batches that a source has however little it has brought


@dataclass
class Turns:
    """Shares of the batches between the proxy layer (0) and the strategy (1); a function of the batches told, in order.

    A batch brings something if a candidate of it is on the front of all that were told up to then and no earlier one
    has the same losses. A source's share is in proportion to how often its batches did, with one success and one
    failure assumed, and a quarter at least.

    Args:
        first: observations before which all batches are the layer's and nothing is counted.
    """

    first: int
    _n: int = 0
    _front: Floats | None = None
    _batches: list[int] = field(default_factory=lambda: [0, 0])
    _brought: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def strategy(self) -> bool:
        """Whether the next batch is the strategy's."""
        return self._n >= self.first and self._batches[1] < self.share * (sum(self._batches) + 1) - 0.5

    @property
    def share(self) -> float:
        """Of the strategy."""
        layer, strategy = ((brought + 1) / (n + 2) for brought, n in zip(self._brought, self._batches, strict=True))
        return float(np.clip(strategy / (layer + strategy), LEAST, 1 - LEAST))

    def tell(self, told: Observations) -> None:
        """Count one batch."""
        source, counted = int(self.strategy), self._n >= self.first
        self._n += len(told)
        losses = told.losses[told.feasible]
        before = losses[:0] if self._front is None else self._front
        both = np.concatenate([before, losses])
        kept = non_dominated(both) if len(both) else np.zeros(0, dtype=bool)
        new = losses[kept[len(before) :]]
        brought = any(not (before == row).all(axis=1).any() for row in new)
        self._front = np.unique(both[kept], axis=0)
        if counted:
            self._batches[source] += 1
            self._brought[source] += brought
