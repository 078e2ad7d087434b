"""Paths by a tree over the choices, which visits what learned well more often.

Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021 (arXiv 2103.11922): the choices in
depth order are the levels of a tree, a path is drawn by UCT, and its reward is the training loss of its step. The
constants are not in the paper's abstract or code that could be read; these are ours. The paper's search by the tree
itself is not here: a strategy with shared weights does that (:mod:`searchkit.sharing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.protocol import Reward
from searchkit.types import Codes, Floats

EXPLORED = 0.3  # weight of what was visited little
LEANING = 10.0  # visits at which a node's own mean counts as much as that of its option anywhere in the tree
FORBIDDEN = -1.0  # reward of a path that is over a bound, and is not trained
RECENT = 0.95  # of the moving average that rewards are compared with stays at each step


class Tree:
    """Draws each option by its mean reward here and at this depth anywhere, and by how little it was visited."""

    reward: Reward = "training"
    together = 1
    share = 1.0

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.sizes = [len(choice.options) for choice in paths.space.choices]
        self._nodes: dict[tuple[int, ...], tuple[int, float]] = {}  # options so far -> visits, sum of rewards
        self._options = [np.zeros((size, 2)) for size in self.sizes]  # the same of each option at its depth
        self._usual: float | None = None
        self._row: tuple[int, ...] = ()

    def begin(self, steps: int) -> None:
        """Nothing depends on the number of steps."""

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`."""
        row: tuple[int, ...] = ()
        for depth, size in enumerate(self.sizes):
            found = self._worth(row, depth, size)
            best = np.flatnonzero(found == found.max())
            row = (*row, int(rng.choice(best)))
        code, kept = self.paths.near(np.array(row, dtype=np.int64), rng)
        if not kept:  # it is over a bound: visited, and no better for it
            self._visit(row, FORBIDDEN)
            row = tuple(map(int, code))
        self._row = row
        return code, 1

    def tell(self, code: Codes, value: float) -> None:
        """The reward is how much better a step is than the recent ones, since later ones are better by age alone."""
        usual = value if self._usual is None else self._usual
        reward = value - usual if math.isfinite(value) else 0.0
        if math.isfinite(value):
            self._usual = RECENT * usual + (1 - RECENT) * value
        self._visit(self._row, reward)

    def _visit(self, row: tuple[int, ...], reward: float) -> None:
        for depth, option in enumerate(row):
            prefix = row[: depth + 1]
            visits, total = self._nodes.get(prefix, (0, 0.0))
            self._nodes[prefix] = (visits + 1, total + reward)
            self._options[depth][option] += (1, reward)

    def state(self) -> dict[str, Any]:
        """Visits and rewards."""
        return {
            "nodes": [[list(prefix), visits, total] for prefix, (visits, total) in self._nodes.items()],
            "options": [table.tolist() for table in self._options],
            "usual": self._usual,
            "row": list(self._row),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._nodes = {tuple(prefix): (int(visits), float(total)) for prefix, visits, total in state["nodes"]}
        self._options = [np.array(table) for table in state["options"]]
        self._usual, self._row = state["usual"], tuple(state["row"])

    def _worth(self, row: tuple[int, ...], depth: int, size: int) -> Floats:
        """``(a,)`` the upper confidence bound of every option; infinite where it was never visited here."""
        known = [self._nodes.get((*row, option), (0, 0.0)) for option in range(size)]
        visits = np.array([n for n, _ in known], dtype=np.float64)
        own = np.array([total / max(n, 1) for n, total in known])
        anywhere = self._options[depth][:, 1] / self._options[depth][:, 0].clip(1)
        mean = (visits * own + LEANING * anywhere) / (visits + LEANING)
        bonus = EXPLORED * np.sqrt(math.log(max(1.0, visits.sum())) / visits.clip(1))
        return np.where(visits > 0, mean + bonus, np.inf)
