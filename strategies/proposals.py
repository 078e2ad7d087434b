"""What strategies of parents and children share: networks to begin with, nothing twice, and few that will fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.problem.initial_design import read_start
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.space import keys
from searchkit.surrogates.feasibility import Failures, fill
from searchkit.types import Codes

Start = npt.ArrayLike | Iterable[Mapping[str, Any]] | None
Draw = Callable[[int, np.random.Generator], Codes]

ROUNDS = 4  # in a small space many children are old acquaintances
CHOOSY = 2  # children drawn for each one that is needed, once some have failed


class Proposals:
    """Turns what a strategy draws into what may be proposed.

    Args:
        problem: what is searched.
        start: candidates that are proposed first, in order: dictionaries of options or rows of codes. One that is
            known to break a bound is left out.

    Raises:
        SpaceError: a row of ``start`` is not in the space.
    """

    def __init__(self, problem: Problem, start: Start = None) -> None:
        self.problem = problem
        self.seen: set[bytes] = set()
        self.failures = Failures(problem)
        codes = read_start(start, problem.space)
        self._start = codes[problem.allowed(codes)] if len(codes) else codes

    def tell(self, told: Observations) -> None:
        """Remember what need not be proposed again, and what failed."""
        self.seen.update(keys(told.codes))
        self.failures.tell(told)
        if len(self._start):
            self._start = distinct(self.problem, self._start, self.seen)

    def propose(self, n: int, rng: np.random.Generator, pending: Codes, draw: Draw) -> Codes:
        """Up to n new candidates ``(m, d)``: what is left of the start, then what ``draw(n, rng)`` brings.

        Where much fails, more is drawn than needed and what is likely to fail is left out.
        """
        seen = self.seen.union(keys(pending)) if len(pending) else self.seen
        model = self.failures.model
        codes = distinct(self.problem, self._start, seen)[:n] if len(self._start) else self._start
        taken = set(keys(codes))
        for _ in range(0 if model.hopeless else ROUNDS):
            missing = n - len(codes)
            if not missing:
                return codes
            drawn = self.problem.space.canonical(draw(CHOOSY * missing if model.informed else missing, rng))
            if model.informed:
                drawn = drawn[model.likely(drawn, rng)]
            rows = dict(zip(keys(drawn), range(len(drawn)), strict=True))
            new = [i for key, i in rows.items() if key not in seen and key not in taken]
            drawn = first_allowed(self.problem, drawn[new], missing)
            taken.update(keys(drawn))
            codes = np.concatenate([codes, drawn]) if len(codes) else drawn
        return fill(model, codes, n, seen, rng)
