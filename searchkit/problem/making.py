"""A strategy for a problem, from whatever makes it: suited to the space, and with the user's guesses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from searchkit.problem.cells import InCells
from searchkit.problem.priors import WithGuesses
from searchkit.problem.problem import Problem, Strategy


def made(factory: Callable[[Problem], Strategy], problem: Problem) -> Strategy:
    """The strategy for a problem; guesses (``prior=`` of a parameter) lead some of its candidates."""
    strategy = suited(factory, problem)
    guessed = any(choice.prior is not None for choice in problem.space.choices)
    return WithGuesses(problem, strategy) if guessed and isinstance(strategy, Strategy) else strategy


def suited(factory: Callable[[Problem], Strategy], problem: Problem) -> Strategy:
    """The strategy, in cells where it has ``finite = True`` and the space has numbers or conditions.

    A class that has another strategy for such spaces names it as ``for_numbers``.
    """
    given = factory.func if isinstance(factory, partial) else factory
    if problem.space.is_finite or not getattr(given, "finite", False):
        return factory(problem)
    other: Callable[..., Strategy] | None = getattr(given, "for_numbers", None)
    if other is None:
        return InCells(problem, factory)
    args, settings = (factory.args, factory.keywords) if isinstance(factory, partial) else ((), {})
    return other(problem, *args, **settings)
