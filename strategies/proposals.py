"""Shared by evolutionary strategies: first candidates, no repeats, and few candidates that are likely to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from searchkit.problem.initial_design import balanced, read_start
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.space import keys
from searchkit.surrogates.feasibility import Failures, fill
from searchkit.types import Codes

Start = npt.ArrayLike | Iterable[Mapping[str, object]] | None
Draw = Callable[[int, np.random.Generator], Codes]

ROUNDS = 4  # most times that children are drawn; in a small space many of them were evaluated before
FIRST = 100  # told candidates by which a first design is balanced
OVERSAMPLING = 2  # children drawn for each one that is needed, once some candidates have failed


class Proposals:
    """Turns a strategy's draws into valid proposals.

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
        self._first = np.empty((0, problem.space.n_choices), dtype=np.int64)
        self.failures = Failures(problem)
        codes = read_start(start, problem.space)
        self._start = codes[problem.allowed(codes)] if len(codes) else codes

    def tell(self, told: Observations) -> None:
        """Record the evaluated candidates, so that they are not proposed again, and the failures."""
        self.seen.update(keys(told.codes))
        if len(self._first) < FIRST:
            self._first = np.concatenate([self._first, told.codes])
        self.failures.tell(told)
        if len(self._start):
            self._start = distinct(self.problem, self._start, self.seen)

    def initial(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates ``(m, d)``: the rest of the start, then a balanced design."""
        known = np.concatenate([self._first, pending])
        return self.propose(n, rng, pending, lambda n, rng: balanced(self.problem, known, n, rng))

    def propose(self, n: int, rng: np.random.Generator, pending: Codes, draw: Draw) -> Codes:
        """Up to n new candidates ``(m, d)``: the rest of the start, then those of ``draw(n, rng)``.

        Where candidates fail, it draws more than needed and leaves out those likely to fail.
        """
        seen = self.seen.union(keys(pending)) if len(pending) else self.seen
        model = self.failures.model
        codes = distinct(self.problem, self._start, seen)[:n] if len(self._start) else self._start
        taken = set(keys(codes))
        for _ in range(0 if model.hopeless else ROUNDS):
            missing = n - len(codes)
            if not missing:
                return codes
            drawn = self.problem.space.canonical(draw(OVERSAMPLING * missing if model.informed else missing, rng))
            if model.informed:
                drawn = drawn[model.likely(drawn, rng)]
            rows = dict(zip(keys(drawn), range(len(drawn)), strict=True))
            new = [i for key, i in rows.items() if key not in seen and key not in taken]
            drawn = first_allowed(self.problem, drawn[new], missing)
            taken.update(keys(drawn))
            codes = np.concatenate([codes, drawn]) if len(codes) else drawn
        return fill(model, codes, n, seen, rng)
