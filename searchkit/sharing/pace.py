"""How many steps of a training of shared weights fit into a time, told by the first ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SLACK = 0.95  # of the time is planned
LATE = 0.9  # of the planned steps: fewer that still fit are a reason to make fewer


@dataclass
class Pace:
    """A training that ends in time: its steps, which become fewer where they take longer than the first ones.

    Attributes:
        until: the end, by :func:`time.perf_counter`.
        steps: that are planned.
        ending: seconds between the last step and the end.
    """

    until: float
    steps: int
    ending: float
    clock: Callable[[], float] = time.perf_counter
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def kept(self, done: int, together: int) -> int:
        """The steps in all, when some are done; a multiple of ``together``, and never more than before."""
        now = self.clock()
        each = (now - self._began) / max(1, done)
        fit = done + max(0.0, self.until - now - self.ending) / max(each, 1e-9)
        if fit < LATE * self.steps:
            self.steps = min(self.steps, max(-(-done // together), int(fit) // together) * together)
        return self.steps


def most_steps(most: int, together: int, seconds: float, cost: Callable[[int], float]) -> int:
    """The largest multiple of ``together``, at most ``most``, whose cost fits into a time; ``together`` at least.

    Args:
        cost: seconds of so many steps; it does not fall with them.
    """
    low, high = 1, max(1, most // together)
    if cost(high * together) <= SLACK * seconds:
        return high * together
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle * together) <= SLACK * seconds else (low, middle)
    return low * together
