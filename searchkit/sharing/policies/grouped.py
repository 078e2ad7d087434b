"""Paths from groups of options that are split in two: coarse decisions before fine ones.

Qian et al., When NAS Meets Trees: An Efficient Algorithm for Neural Architecture Search (TNAS), CVPR Workshops 2022
(arXiv 2204.04918). There, every group trains a copy of the weights; here, all train the same ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from searchkit.errors import ProxyError
from searchkit.problem.numbers import is_whole
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.left import Left
from searchkit.sharing.policies.protocol import Reward
from searchkit.types import Codes

Groups = Mapping[str, tuple[tuple[object, ...], tuple[object, ...]]]


class Grouped:
    """Of some choices at once, every combination of halves of their options is judged by random members; one stays.

    Args:
        at_once: choices that are decided together.
        members: networks that a combination is judged by: the mean of what they come to.
        groups: choice -> the two groups of its options that are told apart first; without them, the first and the
            second half of the options.
    """

    reward: Reward = "validation"
    together = 1
    share = 1.0

    def __init__(self, paths: Paths, *, at_once: int = 3, members: int = 8, groups: Groups | None = None) -> None:
        if not (is_whole(at_once) and is_whole(members)) or not 1 <= at_once <= 10 or members < 1:
            raise ProxyError(
                f"at_once is a whole number from 1 to 10 and members one of at least 1, not {at_once!r}, {members!r}"
            )
        self.paths, self.at_once, self.members = paths, at_once, members
        self._first = _first_groups(paths, groups or {})
        self.living = [list(range(len(choice.options))) for choice in paths.space.choices]
        self._stay = 1
        self._left = Left(paths)
        self._child, self._values = 0, [0.0, 0.0, 0.0]  # members of the child: drawn, within bounds, and their sum
        self._member = True  # whether the path that was drawn last is one
        self._best: tuple[float, int] = (-math.inf, 0)
        self._start = 0  # the first of the choices that are decided now

    @property
    def n_paths(self) -> int:
        """Paths that are drawn until one network is left."""
        total, sizes = 0, [len(options) for options in self.living]
        while max(sizes) > 1:
            for start in range(0, len(sizes), self.at_once):
                part = sizes[start : start + self.at_once]
                total += 2 ** sum(size > 1 for size in part) if max(part) > 1 else 0
            sizes = [-(-size // 2) for size in sizes]
        return total * self.members

    @property
    def answer(self) -> Codes | None:
        """The network ``(d,)`` that is left, or the best path where that is over a bound; None if several are."""
        return self._left.of(self.living)

    def begin(self, steps: int) -> None:
        """Share the steps out among the paths."""
        self._stay = max(1, steps // max(1, self.n_paths))

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`; the last network where it is alone."""
        there = dict(self._children()[self._child]) if self.answer is None else {}
        options = [there.get(choice, living) for choice, living in enumerate(self.living)]
        row = np.array([rng.choice(each) for each in options], dtype=np.int64)
        code, self._member = self.paths.near(row, rng)
        return code, self._stay

    def tell(self, code: Codes, value: float) -> None:
        """Keep what a member came to; after the last one of the last combination, the best combination stays."""
        self._left.tell(code, value)
        if self.answer is not None:
            return
        self._values[0] += 1
        if self._member:  # of a member over a bound another network was trained
            self._values[1] += 1
            self._values[2] += value if math.isfinite(value) else -1e9
        if self._values[0] < self.members:
            return
        mean = self._values[2] / self._values[1] if self._values[1] else -math.inf
        children = self._children()
        if mean > self._best[0]:
            self._best = (mean, self._child)
        self._child, self._values = self._child + 1, [0.0, 0.0, 0.0]
        if self._child == len(children):
            for choice, options in children[self._best[1]]:
                self.living[choice] = list(options)
            self._child, self._best = 0, (-math.inf, 0)
            self._next_choices()

    def state(self) -> dict[str, Any]:
        """What lives, and what the combinations came to."""
        return {
            "best_path": self._left.state(),
            "living": self.living, "child": self._child, "values": self._values, "best": list(self._best),
            "start": self._start, "member": self._member,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._left.restore(state["best_path"])
        self.living = [list(each) for each in state["living"]]
        self._child, self._values = int(state["child"]), [float(value) for value in state["values"]]
        self._member = bool(state["member"])
        self._best, self._start = (float(state["best"][0]), int(state["best"][1])), int(state["start"])

    def _children(self) -> list[tuple[tuple[int, list[int]], ...]]:
        """Every combination of halves of the choices that are decided now."""
        now = range(self._start, min(self._start + self.at_once, len(self.living)))
        halves = [[(choice, half) for half in self._halves(choice)] for choice in now if len(self.living[choice]) > 1]
        return list(itertools.product(*halves))

    def _halves(self, choice: int) -> tuple[list[int], list[int]]:
        living = self.living[choice]
        given = self._first[choice]
        if given is not None and len(living) == len(given[0]) + len(given[1]):
            return given
        middle = -(-len(living) // 2)
        return living[:middle], living[middle:]

    def _next_choices(self) -> None:
        """The next choices that are not decided, of this level or the next."""
        for _ in range(2 * len(self.living)):
            self._start += self.at_once
            if self._start >= len(self.living):
                self._start = 0
            if any(len(options) > 1 for options in self.living[self._start : self._start + self.at_once]):
                return


def _first_groups(paths: Paths, groups: Groups) -> list[tuple[list[int], list[int]] | None]:
    """For each choice, the two groups of option numbers that were given.

    Raises:
        ProxyError: groups of no choice, or that are not all its options.
    """
    names = [choice.name for choice in paths.space.choices]
    if not isinstance(groups, Mapping):
        raise ProxyError(f"groups are a mapping from choices to two groups of their options, not {groups!r:.80}")
    for name in groups:
        if name not in names:
            raise ProxyError(f"groups are of choices, which are {', '.join(names)}; {name!r} is none of them")
    found: list[tuple[list[int], list[int]] | None] = []
    for choice in paths.space.choices:
        given = groups.get(choice.name)
        if given is None:
            found.append(None)
            continue
        options = list(choice.options)
        if len(given) != 2 or sorted(map(str, (*given[0], *given[1]))) != sorted(map(str, options)):
            raise ProxyError(f"the groups of '{choice.name}' are two that together have {options!r}, not {given!r}")
        found.append(([options.index(one) for one in given[0]], [options.index(one) for one in given[1]]))
    return found
