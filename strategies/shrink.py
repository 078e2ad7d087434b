"""Random search in a space that becomes smaller: options fall that are not the best of their choice, as evidence says.

The skeleton of searches that drop options until one network is left (DDPNAS, TE-NAS, TNAS, BNAS). They differ in the
evidence. Here it is one regression on everything that was evaluated (:mod:`searchkit.blocks.shrinking`), which on
tables of networks was mostly ahead of means of options, and behind Bayesian optimisation at every budget.
``result.options_dropped`` has the options in their order, ``result.space_left`` the space that is left.
"""

from __future__ import annotations

import numpy as np

from searchkit.blocks.shrinking import BELOW, Living, Settings, Shrinking, usual_level
from searchkit.problem.cells import check_finite
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.space import keys
from searchkit.strategies.proposals import Proposals, Start
from searchkit.types import Codes

LISTED = 4096  # combinations of the options left up to which all are listed
DRAWN = 4  # random candidates for each one that is needed
BOUNDED = 64  # the same where bounds are known, of which few may be allowed


class Shrink:
    """Uniform random candidates of the options that are left, without repeats.

    Where all of these were evaluated, candidates are of the options that were left one level before.

    Args:
        problem: what is searched.
        per_level: evaluations from one level to the next, 4 or more, or 5 % of all where that is more; by default a
            sixth of the budget, at least 5 and at most 20, and 20 without a budget in evaluations. At each level one
            option of a choice may fall, of choices of many options one in eight.
        below: chance of being the best of its choice under which an option falls, above 0 and below 0.5; with several
            objectives under each weighted sum of them.
        always: at each level, an option of every choice falls, the least likely one, until one network is left.
        start: candidates to be evaluated first, dictionaries of options or rows of codes.

    Raises:
        ValueError: a setting is out of its range.
    """

    batch = 5
    finite = True  # it counts options: numbers are searched in cells

    def __init__(
        self,
        problem: Problem,
        *,
        per_level: int | None = None,
        below: float = BELOW,
        always: bool = False,
        start: Start = None,
    ) -> None:
        check_finite(problem, self)
        self.problem = problem
        self._shrinking = Shrinking(
            problem.space,
            problem.n_objectives,
            Settings(usual_level(problem.budget) if per_level is None else per_level, below, always),
            None if problem.known is None else problem.excess,
        )
        self._proposals = Proposals(problem, start)

    @property
    def shrinking(self) -> Shrinking:
        """The options that are left and those that fell, by what was told."""
        return self._shrinking

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        seen = self._proposals.seen.union(keys(pending)) if len(pending) else self._proposals.seen
        return self._proposals.propose(n, rng, pending, lambda missing, rng: self._drawn(missing, rng, seen))

    def tell(self, told: Observations) -> None:
        """Take over a batch; where a level is reached, options fall."""
        self._proposals.tell(told)
        self._shrinking.tell(told)

    def _drawn(self, n: int, rng: np.random.Generator, seen: set[bytes]) -> Codes:
        """Up to n new allowed candidates ``(m, d)``, of the latest level that has some, and of those before it."""
        found = np.empty((0, self.problem.space.n_choices), dtype=np.int64)
        for living in reversed(self._shrinking.levels):
            new = distinct(self.problem, self._of(living, n - len(found), rng), seen)
            new = first_allowed(self.problem, new, n - len(found))
            found = np.concatenate([found, new])
            if len(found) == n:
                break
            seen = seen.union(keys(new))
        return found

    def _of(self, living: Living, n: int, rng: np.random.Generator) -> Codes:
        """Candidates ``(m, d)`` of these options: all in a random order where they are few, else random ones."""
        options = [np.flatnonzero(alive) for alive in living]
        sizes = np.array([len(one) for one in options])
        if np.prod(sizes.astype(np.float64)) <= LISTED:
            places = rng.permutation(_combinations(sizes))
        else:
            places = rng.integers(0, sizes, ((DRAWN if self.problem.known is None else BOUNDED) * n, len(sizes)))
        return np.column_stack([own[column] for own, column in zip(options, places.T, strict=True)])


def _combinations(sizes: Codes) -> Codes:
    """``(n, d)`` all combinations of so many options of each choice."""
    below = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    found: Codes = np.arange(int(np.prod(sizes)))[:, None] // below % sizes
    return found
