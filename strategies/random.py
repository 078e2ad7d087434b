"""Random search: uniform over the allowed candidates, never the same one twice. The baseline to beat."""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import complete
from searchkit.space import keys
from searchkit.types import Codes


class Random:
    """Uniform random search without repeats."""

    batch = 100  # candidates to ask for at once

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._seen: set[bytes] = set()

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen
        return complete(self.problem, self.problem.sample(n, rng), n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Record the evaluated candidates, so that they are not proposed again."""
        self._seen.update(keys(told.codes))
