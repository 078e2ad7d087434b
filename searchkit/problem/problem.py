"""The problem that a strategy is given: a space, and which of its candidates may be proposed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.proposals import first_allowed
from searchkit.space import Space
from searchkit.types import Bools, Codes, Floats

NEIGHBOURS = 2000  # of one candidate that a step of a descent looks at; of more, a random part
LISTABLE = 100_000  # a space of at most so many combinations may be listed


@dataclass(frozen=True)
class Problem:
    """A space to search, with the constraints that need no evaluation.

    Attributes:
        space: what can be chosen.
        n_objectives, n_constraints: columns of the losses and of the violations in ``tell``.
        budget: number of candidates to evaluate in all, where that is known; a hint.
        known: ``(n, d) -> (n, c0)``, violations that need no evaluation (bounds on params and MACs); a candidate
            that breaks one is never evaluated, so a strategy should not propose it.
        proxies: whether the proxy layer selects among the proposals; a hint.
        listable: largest number of combinations at which all candidates may be listed and given to ``known``.
    """

    space: Space
    n_objectives: int = 1
    n_constraints: int = 0
    budget: int | None = None
    known: Callable[[Codes], Floats] | None = None
    listable: int = LISTABLE
    proxies: bool = False
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def excess(self, codes: Codes) -> Floats:
        """``(n,)`` summed known violations; 0 where a candidate may be evaluated.

        NaN, of a candidate that cannot be built, counts as no violation: its evaluation fails, and the reason is
            recorded.
        """
        if self.known is None:
            return np.zeros(len(codes))
        total: Floats = np.nansum(self.known(codes), axis=1)
        return total

    def allowed(self, codes: Codes) -> Bools:
        """``(n,)`` bool: no known constraint is broken."""
        if self.known is None:
            return np.ones(len(codes), dtype=bool)
        inside: Bools = self.excess(codes) <= 0
        return inside

    def everything(self) -> Codes | None:
        """All distinct allowed candidates of a space small enough to be listed, else None."""
        if self.space.size > self.listable:
            return None
        if "everything" not in self._cache:
            codes = self.space.enumerate(self.listable)
            self._cache["everything"] = codes[self.allowed(codes)]
        return self._cache["everything"]  # type: ignore[no-any-return]

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """``(n, d)`` random allowed candidates, rows may repeat; fewer only where none is allowed.

        Uniform by rejection; where almost nothing is allowed, random candidates walk downhill in violation.
        """
        if self.known is None:
            return self.space.sample(n, rng)
        found: list[Codes] = []
        missing = n
        for _ in range(8):
            codes = self.space.sample(max(32, 2 * missing), rng)
            inside = first_allowed(self, codes, missing)
            found.append(inside)
            missing -= len(inside)
            if not missing:
                return np.concatenate(found)
        everything = self.everything()
        if everything is not None:
            pick = rng.integers(0, len(everything), missing) if len(everything) else np.empty(0, np.int64)
            return np.concatenate([*found, everything[pick]])
        for _ in range(missing):
            found.append(self.descend(self.space.sample(1, rng)[0], rng))
        return np.concatenate(found)

    def descend(self, code: Codes, rng: np.random.Generator, restarts: int = 5) -> Codes:
        """``(1, d)`` allowed candidate reached from ``code`` ``(d,)`` by single changes, or ``(0, d)``.

        Takes the first change found to reduce the violation: comparing all of them would cost seconds a step where each
        network is built to be counted.
        """
        for _ in range(restarts):
            excess = float(self.excess(code[None])[0])
            while excess > 0:
                step, least = self._improvement(code, excess, rng)
                if least >= excess:
                    break
                code, excess = step, least
            if excess <= 0:
                return code[None]
            code = self.space.sample(1, rng)[0]
        return np.empty((0, self.space.n_choices), dtype=np.int64)

    def _improvement(self, code: Codes, excess: float, rng: np.random.Generator) -> tuple[Codes, float]:
        """A neighbour with less excess and that excess, or ``code`` and ``excess`` where none has less."""
        near = self.space.neighbours(code, NEIGHBOURS, rng)
        near = near[rng.permutation(len(near))]
        start, size = 0, 2
        while start < len(near):
            steps = self.excess(near[start : start + size])
            if steps.min() < excess:
                return near[start + int(steps.argmin())], float(steps.min())
            start, size = start + size, 2 * size
        return code, excess


class Wrapper(Protocol):
    """A strategy around another one."""

    _strategy: Strategy


def attribute_of(wrapper: Wrapper, name: str) -> object:
    """What the inner strategy has: its batch, models, and what it tells of itself; for ``__getattr__`` of wrappers."""
    if name.startswith("_"):
        raise AttributeError(name)
    found: object = getattr(wrapper._strategy, name)
    return found


@runtime_checkable
class Strategy(Protocol):
    """A search algorithm, under two rules.

    1. ``ask`` changes no state: it is a function of what was told, ``n``, ``rng`` and the pending candidates.
    2. ``tell`` draws no random numbers: it is a function of what was told, batch by batch.

    So a search can be resumed by telling a new strategy the recorded outcomes.
    Made by ``factory(problem)``, where factory is a registered class or any callable.
    """

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n distinct canonical candidates ``(m, d)``, none of them told or pending.

        m < n only where the allowed candidates run out.
        """
        ...

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        ...
