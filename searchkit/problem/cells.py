"""Strategies that count and list options, in spaces of numbers and conditions: in cells.

A strategy says that it does so by the class attribute ``finite = True``. The range of each number is cut into cells,
evenly on its scale, and a strategy chooses a cell as an option of an ordered choice. What is evaluated is a value drawn
within the cell, so that the cells limit the resolution of what the strategy knows, and not the values that can be
found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy, attribute_of
from searchkit.problem.proposals import complete
from searchkit.space import Choice, Float, Int, Space, keys
from searchkit.types import Codes, Floats

CELLS = 16  # of a number that has more values


class Cells:
    """A finite space in the place of one with numbers or conditions, and the way between the two.

    Args:
        space: the space that is searched.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._numbers = [(j, number, _ends(number)) for j, number in space.numbers]
        cut = {j: len(ends) - 1 for j, _, ends in self._numbers}
        choices = [
            Choice(choice.name, range(cut[j]) if j in cut else choice.options, choice.ordered)
            for j, choice in enumerate(space.choices)
        ]
        self.cells = Space(choices, name=space.name, canonical=self._canonical)

    def of(self, codes: Codes) -> Codes:
        """``(n, d)`` cells of candidates; canonical."""
        return self._canonical(self._places(codes))

    def middle(self, cells: Codes) -> Codes:
        """``(n, d)`` the candidates in the middle of cells; canonical."""
        return self._within(cells, np.full(cells.shape, 0.5))

    def drawn(self, cells: Codes, rng: np.random.Generator) -> Codes:
        """``(n, d)`` candidates drawn within cells; canonical."""
        return self._within(cells, rng.random(cells.shape))

    def _places(self, codes: Codes) -> Codes:
        cells = codes.copy()
        for j, _, ends in self._numbers:
            cells[:, j] = np.searchsorted(ends[1:-1], codes[:, j], side="right")
        return cells

    def _within(self, cells: Codes, uniform: Floats) -> Codes:
        codes = cells.copy()
        for j, number, ends in self._numbers:
            low = ends[cells[:, j]]
            high = np.maximum(ends[cells[:, j] + 1] - 1, low)
            a, b = number.positions(low), number.positions(high)
            codes[:, j] = np.clip(number.at(a + uniform[:, j] * (b - a)), low, high)
        return self.space.canonical(codes)

    def _canonical(self, cells: Codes) -> Codes:
        return self._places(self.middle(cells))


def check_finite(problem: Problem, strategy: object) -> None:
    """Refuse to make a strategy, which counts options, for a space of numbers.

    Raises:
        ValueError: the space has numbers or conditions; the message says how the strategy is given instead.
    """
    if not problem.space.is_finite:
        name = type(strategy).__name__
        raise ValueError(
            f"{name} searches choices of options, and space '{problem.space.name}' has numbers or conditions: give the "
            f"strategy by its name, {name.lower()!r}, or as the class, which are made to suit"
        )


class InCells:
    """A strategy over the cells of a space; see the module.

    Args:
        problem: what is searched.
        factory: makes the strategy from the problem in cells.
    """

    def __init__(self, problem: Problem, factory: Callable[[Problem], Strategy]) -> None:
        self.problem = problem
        self._cells = Cells(problem.space)
        known = problem.known
        in_cells = None if known is None else lambda cells: known(self._cells.middle(cells))
        self._strategy = factory(replace(problem, space=self._cells.cells, known=in_cells, _cache={}))
        self._seen: set[bytes] = set()

    def __getattr__(self, name: str) -> object:
        return attribute_of(self, name)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        seen = self._seen.union(keys(pending))
        cells = self._strategy.ask(n, rng, self._cells.of(pending) if len(pending) else pending)
        return complete(self.problem, self._cells.drawn(cells, rng), n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._seen.update(keys(told.codes))
        self._strategy.tell(replace(told, codes=self._cells.of(told.codes)))


def _ends(number: Float | Int) -> Codes:
    """``(m + 1,)`` first codes of the cells of a number, and the number of its codes."""
    if number.n_values <= CELLS:
        return np.arange(number.n_values + 1)
    inner = number.at(np.linspace(0, 1, CELLS + 1)[1:-1])
    return np.unique(np.concatenate([[0], inner, [number.n_values]]))
