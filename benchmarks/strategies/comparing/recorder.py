"""Stands between a method and a benchmark: evaluates, counts, and times what the method takes for itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from searchkit.benchmarks import Benchmark
from searchkit.types import Floats


class Spent(BaseException):
    """The budget, or the time, is used up. No Exception, which methods would take for a failed candidate."""


class Recorder:
    """What a method calls to evaluate a candidate; ends the search by raising :class:`Spent`.

    Args:
        budget: evaluations, repeats included.
        limit: seconds for the whole search.

    Attributes:
        codes: what was evaluated, as it was proposed, in order.
        seconds: of each, the time that passed outside evaluations since the one before (the suggestion, and what the
            method learned before it). Of a batch, the first has it all.
        extra: JSON values of the method's own.
    """

    def __init__(self, benchmark: Benchmark, budget: int, limit: float) -> None:
        self.benchmark, self.budget, self.limit = benchmark, budget, limit
        self.codes: list[list[int]] = []
        self.seconds: list[float] = []
        self.extra: dict[str, object] = {}
        self._began = self._last = time.perf_counter()

    def __call__(self, code: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
        """``(k,)`` losses of one candidate ``(d,)`` of option indices; NaN where it fails."""
        self._count(code)
        losses: Floats = self.benchmark.losses(np.asarray(code))[0]
        self._last = time.perf_counter()
        return losses

    def values(self, code: npt.NDArray[np.int64]) -> dict[str, float]:
        """The same in the objectives' own units and directions."""
        self._count(code)
        values = {name: float(value[0]) for name, value in self.benchmark.values(code).items()}
        self._last = time.perf_counter()
        return values

    @property
    def failed(self) -> Floats:
        """``(k,)`` losses that are worse than almost all, for methods that take a number for a failure."""
        worse: Floats = 2 * self.benchmark.reference - self.benchmark.ideal
        return worse

    @property
    def wall(self) -> float:
        """Seconds from the start to the last evaluation."""
        return self._last - self._began

    def _count(self, code: Sequence[int] | npt.NDArray[np.int64]) -> None:
        now = time.perf_counter()
        if len(self.codes) >= self.budget or now - self._began > self.limit:
            raise Spent
        self.seconds.append(round(now - self._last, 7))
        self.codes.append([int(option) for option in code])
