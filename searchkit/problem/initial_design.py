"""Candidates that are evaluated first: those that the user gives, and a balanced design in the place of random ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from searchkit.errors import SpaceError
from searchkit.problem.proposals import first_allowed
from searchkit.problem.trial import pareto_front
from searchkit.space import Space
from searchkit.space.recipe_space import setting_names
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.problem.problem import Problem

TRIES = 16  # draws of a balanced candidate, where bounds are known


def balanced(problem: Problem, known: Codes, n: int, rng: np.random.Generator) -> Codes:
    """``(n, d)`` allowed candidates that take, of every choice, an option that was taken least so far.

    So each option is tried equally often, up to one, while random candidates try some often and others never. Where no
    such candidate keeps the known bounds, a random one is drawn.

    Args:
        known: ``(m, d)`` candidates that were evaluated, or are being evaluated.
    """
    counts = [np.bincount(known[:, j], minlength=size) for j, size in enumerate(problem.space.n_options)]
    found = np.empty((n, problem.space.n_choices), dtype=np.int64)
    for i in range(n):
        drawn = problem.space.canonical(_least(counts, 1 if problem.known is None else TRIES, rng))
        inside = first_allowed(problem, drawn, 1)
        inside = inside if len(inside) else problem.sample(1, rng)
        if not len(inside):
            return found[:i]
        found[i] = inside[0]
        for count, option in zip(counts, inside[0], strict=True):
            count[option] += 1
    return found


def _least(counts: list[Codes], n: int, rng: np.random.Generator) -> Codes:
    """``(n, d)`` options with the least count, drawn among equal ones."""
    least = [np.flatnonzero(count == count.min()) for count in counts]
    return np.column_stack([options[rng.integers(0, len(options), n)] for options in least])


def read_start(given: object, space: Space) -> Codes:
    """``(n, d)`` distinct candidates from dictionaries, codes, or the front of a result.

    Of a result whose search chose of the recipe, too, settings that this search does not choose are left out.

    Raises:
        SpaceError: something else, or a candidate that is not of the space.
    """
    if given is None:
        return np.empty((0, space.n_choices), dtype=np.int64)
    if hasattr(given, "trials") and hasattr(given, "goals") and hasattr(given, "space"):
        left_out = setting_names(given.space) - set(space.names)
        rows = [given.space.decode(trial.code)[0] for trial in pareto_front(given.trials, given.goals)]
        given = [{name: option for name, option in row.items() if name not in left_out} for row in rows]
    if isinstance(given, str):
        raise SpaceError(f"start is a list of dictionaries or of rows of codes, or a result, not {given!r}")
    try:
        rows = [cast("dict[str, Any]", given)] if isinstance(given, Mapping) else list(cast("Iterable[Any]", given))
        if any(isinstance(row, Mapping) for row in rows):
            codes = space.encode(rows)
        else:
            codes = space.check(np.array(rows)) if rows else np.empty((0, space.n_choices), dtype=np.int64)
    except (SpaceError, ValueError, TypeError, AttributeError) as error:
        raise SpaceError(f"start is a list of dictionaries or of rows of codes: {error}") from error
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
