"""What operations a network has, weighed by their kinds: nothing is built or run.

Kernel-3 convolutions count +1, kernel-1 ones +1/2, and so on by a quarter for each pixel of the kernel; skip
connections -1/4, pooling -1/2. The weights were guessed on NAS-Bench-201 and are from no paper; beside parameters and
jacov it says nothing new there (docs/benchmarks.md).
"""

from __future__ import annotations

import numpy as np

from searchkit.space import Space
from searchkit.space.roles import Role, amounts, has_roles
from searchkit.types import Codes, Floats

SKIP, POOL = -0.25, -0.5


class Topology:
    """The weighed sum over the operations that are there, from the roles that a space's choices declare.

    See :mod:`searchkit.space.roles`.

    Attributes:
        no_score: why there are no scores; empty where there are.
    """

    name = "topology"
    cached = False  # cheaper than a look-up

    def __init__(self, space: Space) -> None:
        self.space = space
        self.no_score = "" if has_roles(space) else f"space '{space.name}' declares no roles of options"

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` sums, higher is better; NaN for a space without roles."""
        if self.no_score:
            return np.full(len(codes), np.nan)
        total: Floats = amounts(self.space, codes, weight).sum(axis=1)
        return total


def weight(role: Role) -> float:
    """Of one operation."""
    kind = role.get("kind")
    if kind == "conv":
        return (float(role.get("kernel", 3)) + 1) / 4
    return SKIP if kind == "skip" else POOL if kind == "pool" else 0.0
