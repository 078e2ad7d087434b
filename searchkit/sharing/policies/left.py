"""The network that is left of options that fall: what policies that shrink a space have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchkit.sharing.paths import Paths
from searchkit.types import Codes

BestPath = tuple[float, list[int]]


class Left:
    """The only network of the living options; the best path where that is over a bound, as paths never are."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._best: BestPath | None = None

    def tell(self, code: Codes, value: float) -> None:
        """What a path ``(d,)`` came to, higher is better."""
        if self._best is None or value > self._best[0]:
            self._best = (value, code.tolist())

    def of(self, living: Sequence[Sequence[int]]) -> Codes | None:
        """The network ``(d,)`` of the living options of every choice; None if there are several."""
        if any(len(options) > 1 for options in living):
            return None
        code: Codes = self.paths.space.canonical(np.array([[options[0] for options in living]]))[0]
        if self.paths.allowed is None or self.paths.allowed(code[None])[0]:
            return code
        return None if self._best is None else np.array(self._best[1], dtype=np.int64)

    def state(self) -> BestPath | None:
        """What was told, as JSON values."""
        return self._best

    def restore(self, best: BestPath | None) -> None:
        """Go on from a state."""
        self._best = None if best is None else (float(best[0]), [int(option) for option in best[1]])
