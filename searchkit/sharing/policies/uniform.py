"""Paths of which every option of every choice is equally likely; and the same, each option as often as the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.protocol import Reward
from searchkit.types import Codes


class Uniform:
    """Each choice takes one of its options, all equally likely (Guo et al., Single Path One-Shot, ECCV 2020)."""

    reward: Reward = "none"
    together = 1
    share = 1.0

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def begin(self, steps: int) -> None:
        """Nothing depends on the number of steps."""

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`."""
        return self.paths.draw(rng), 1

    def tell(self, code: Codes, value: float) -> None:
        """Nothing depends on it."""

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class Fair(Uniform):
    """As many paths as the largest choice has options use each option of every choice, their gradients summed.

    Chu et al., FairNAS, ICCV 2021 (arXiv 1907.01845). A choice with fewer options repeats some.
    """

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.sizes = [len(choice.options) for choice in paths.space.choices]
        self.together = max(self.sizes)
        self._waiting: list[list[int]] = []

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`."""
        if not self._waiting:
            columns = [_each_once(size, self.together, rng) for size in self.sizes]
            rows = np.column_stack(columns)
            self._waiting = [self.paths.near(row, rng)[0].tolist() for row in rows]
        return np.array(self._waiting.pop(0), dtype=np.int64), 1

    def state(self) -> dict[str, Any]:
        """The paths of a group that are still to be trained."""
        return {"waiting": self._waiting}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on within a group."""
        self._waiting = [list(map(int, row)) for row in state["waiting"]]


def _each_once(size: int, n: int, rng: np.random.Generator) -> Codes:
    """``(n,)`` options in random order: each as often as any other, or once more."""
    times = [rng.permutation(size) for _ in range(-(-n // size))]
    return rng.permutation(np.concatenate(times)[:n]).astype(np.int64)
