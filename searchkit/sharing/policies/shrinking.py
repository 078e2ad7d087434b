"""Paths from options that become fewer: the least one of every choice falls after some rounds.

Zheng et al., DDPNAS: Efficient Neural Architecture Search via Dynamic Distribution Pruning, IJCV 2023, by its released
code's rule; with ``data`` the growing data of Dai et al., DA-NAS, ECCV 2020 (arXiv 2003.12563).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchkit.errors import ProxyError
from searchkit.problem.numbers import is_whole
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.left import Left
from searchkit.sharing.policies.protocol import Reward
from searchkit.types import Codes, Floats

SHARPNESS = 100.0  # of the softmax over accuracies from 0 to 1
KEPT = 0.5  # of the chances before that stays


class Shrinking:
    """Rounds of paths in which every living option of every choice is used once; then the least of each choice falls.

    A path is trained for its share of the steps and then judged; what it comes to counts for all its options.

    Args:
        rounds: before options fall.
        data: shares of the training examples, from the first to the last stage.
    """

    reward: Reward = "validation"
    together = 1

    def __init__(self, paths: Paths, *, rounds: int = 3, data: Sequence[float] = (1.0,)) -> None:
        if not is_whole(rounds) or rounds < 1:
            raise ProxyError(f"rounds is a whole number of at least 1, not {rounds!r}")
        shares = list(data) if isinstance(data, list | tuple) else []
        if not shares or not all(isinstance(share, int | float) and 0 < share <= 1 for share in shares):
            raise ProxyError(f"data are shares of the training examples above 0 and up to 1, not {data!r}")
        self.paths, self.rounds, self.data = paths, rounds, tuple(data)
        sizes = [len(choice.options) for choice in paths.space.choices]
        self.living = [list(range(size)) for size in sizes]
        self.chances: list[Floats] = [np.full(size, 1 / size) for size in sizes]
        self.fallen: list[tuple[int, int]] = []
        self._levels = max(sizes)
        self._stay = 1
        self._left = Left(paths)
        self._waiting: list[list[int]] = []
        self._row: list[int] = []
        self._found: list[tuple[list[int], float]] = []  # of this stage, in rounds

    @property
    def n_paths(self) -> int:
        """Paths that are drawn until one network is left."""
        return self.rounds * sum(range(2, self._levels + 1))

    @property
    def answer(self) -> Codes | None:
        """The network ``(d,)`` that is left, or the best path where that is over a bound; None if several are."""
        return self._left.of(self.living)

    def begin(self, steps: int) -> None:
        """Share the steps out among the paths."""
        self._stay = max(1, steps // max(1, self.n_paths))

    @property
    def share(self) -> float:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`."""
        n = max(map(len, self.living))
        done = (self._levels - n) / max(1, self._levels - 1)
        return self.data[min(len(self.data) - 1, int(done * len(self.data)))]

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`; the last network where it is alone."""
        if not self._waiting:
            n = max(map(len, self.living))
            columns = [
                np.concatenate([rng.permutation(each) for _ in range(-(-n // len(each)))]) for each in self.living
            ]
            self._waiting = np.column_stack([rng.permutation(column[:n]) for column in columns]).tolist()
        self._row = self._waiting.pop(0)
        code, kept = self.paths.near(np.array(self._row, dtype=np.int64), rng)
        self._row = self._row if kept else code.tolist()  # what comes of the path counts for the options that it has
        return code, self._stay

    def tell(self, code: Codes, value: float) -> None:
        """Keep what the path came to, and let options fall where the rounds are complete."""
        self._left.tell(code, value)
        n = max(map(len, self.living))
        if n == 1:
            return
        self._found.append((self._row, value if math.isfinite(value) else -math.inf))
        if len(self._found) == self.rounds * n:
            self._fall(n)
            self._found = []

    def state(self) -> dict[str, Any]:
        """What lives, and what was found in this stage."""
        return {
            "best_path": self._left.state(),
            "living": self.living,
            "chances": [each.tolist() for each in self.chances],
            "fallen": [list(pair) for pair in self.fallen],
            "waiting": self._waiting,
            "row": self._row,
            "found": [[row, value] for row, value in self._found],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._left.restore(state["best_path"])
        self.living = [list(each) for each in state["living"]]
        self.chances = [np.array(each) for each in state["chances"]]
        self.fallen = [(int(choice), int(option)) for choice, option in state["fallen"]]
        self._waiting, self._row = [list(row) for row in state["waiting"]], list(state["row"])
        self._found = [(list(row), float(value)) for row, value in state["found"]]

    def _fall(self, n: int) -> None:
        """The chances of every option from this stage's rounds; the least living one of every choice falls."""
        for choice, living in enumerate(self.living):
            expected = np.mean(
                [_softmax(self._found[r * n : (r + 1) * n], choice, living) for r in range(self.rounds)], axis=0
            )
            self.chances[choice][living] = expected + KEPT * self.chances[choice][living]
            if len(living) > 1 and len(living) == n:
                least = living[int(np.argmin(self.chances[choice][living]))]
                living.remove(least)
                self.chances[choice][least] = 0.0
                self.fallen.append((choice, least))
            self.chances[choice] /= self.chances[choice].sum()


def _softmax(found: Sequence[tuple[list[int], float]], choice: int, living: Sequence[int]) -> Floats:
    """``(a,)`` the softmax of what the paths with each living option came to in a round; the best of several."""
    values = np.array(
        [max((value for row, value in found if row[choice] == option), default=-math.inf) for option in living]
    )
    top = values.max()
    if not np.isfinite(top):
        return np.full(len(living), 1 / len(living))
    weights = np.exp(SHARPNESS * (values - top))
    return np.asarray(weights / weights.sum())
