"""Paths at random, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from searchkit.errors import ProxyError
from searchkit.space import NetworkSpace
from searchkit.types import Bools, Codes, Floats

LOTS = (1, 3, 12, 84)  # draws at random before one within the bounds is made on purpose
TRIES = sum(LOTS)
Allowed = Callable[[Codes], Bools]


class Paths:
    """Draws canonical candidates of a space that are allowed.

    Args:
        allowed: ``codes (n, d) -> (n,)``; None: all are.
        within: ``(rng) -> code (d,)``, an allowed candidate, asked where none was found by chance.
    """

    def __init__(
        self,
        space: NetworkSpace,
        allowed: Allowed | None = None,
        within: Callable[[np.random.Generator], Codes] | None = None,
    ) -> None:
        self.space, self.allowed, self._within = space, allowed, within

    def draw(self, rng: np.random.Generator, chances: Sequence[Floats] | None = None) -> Codes:
        """A candidate ``(d,)`` whose options have these chances, one array a choice; None: all are equally likely.

        Raises:
            ProxyError: none was found that is allowed.
        """
        if self.allowed is None:
            drawn: Codes = self.space.canonical(self._drawn(1, rng, chances))[0]
            return drawn
        for lot in LOTS:  # few at first, since counting them may mean building them
            codes = self.space.canonical(self._drawn(lot, rng, chances))
            fits = codes[self.allowed(codes)]
            if len(fits):
                first: Codes = fits[0]
                return first
        if self._within is None:
            raise ProxyError(f"the bounds leave no path: none of {TRIES} drawn at random is within them")
        return self._within(rng)

    def near(self, row: Codes, rng: np.random.Generator) -> tuple[Codes, bool]:
        """The canonical form of a candidate ``(d,)`` and True; one drawn at random and False where it is not allowed.

        What comes of the second says nothing of the candidate.
        """
        code: Codes = self.space.canonical(row[None])[0]
        if self.allowed is None or self.allowed(code[None])[0]:
            return code, True
        return self.draw(rng), False

    def _drawn(self, n: int, rng: np.random.Generator, chances: Sequence[Floats] | None) -> Codes:
        if chances is None:
            return self.space.sample(n, rng)
        columns = [rng.choice(len(each), size=n, p=each) for each in chances]
        return np.column_stack(columns).astype(np.int64)
