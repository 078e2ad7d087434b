"""Candidates that are evaluated first: those that the user gives, and a balanced design in the place of random ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from searchkit.errors import SpaceError
from searchkit.problem.proposals import first_allowed
from searchkit.problem.trial import pareto_front
from searchkit.space import Space, distinct_rows
from searchkit.space.parameters import on_its_scale
from searchkit.space.recipe_space import setting_names
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.problem.problem import Problem

DRAWN = 64  # random candidates for each one that is taken
LISTED, PARTS = 1000, 16  # options of a choice that are counted; parts of a longer scale that are counted instead
SAMPLE = 1000  # random candidates by which is known how often each option is expected


def balanced(problem: Problem, known: Codes, n: int, rng: np.random.Generator) -> Codes:
    """``(n, d)`` allowed candidates whose options are, with the known ones, as often as is expected of random ones.

    Of a few random candidates some options are there too often and others not at all. So each one is taken from many,
    by the squared differences of the counts from what is expected. Expected is what the canonical form makes of uniform
    choices, so that nothing else about the candidates changes. Where none of the many keeps the known bounds, a random
    one is drawn.

    Args:
        known: ``(m, d)`` candidates that were evaluated, or are being evaluated.
    """
    expected = _expected(problem)
    n_drawn = max(
        4, min(DRAWN, problem.space.size // 4)
    )  # processes that ask at the same time rarely take the same one
    counts = _taken(problem, known).sum(axis=0)
    found = np.empty((n, problem.space.n_choices), dtype=np.int64)
    for i in range(n):
        drawn = problem.space.sample(n_drawn, rng)
        taken = _taken(problem, drawn)
        off = (counts + taken - (len(known) + i + 1) * expected) ** 2 / np.maximum(expected, 1 / SAMPLE)
        chosen = first_allowed(problem, drawn[np.argsort(off.sum(axis=1), kind="stable")], 1)
        chosen = chosen if len(chosen) else problem.sample(1, rng)
        if not len(chosen):
            return found[:i]
        found[i] = chosen[0]
        counts = counts + _taken(problem, chosen)[0]
    return found


def _expected(problem: Problem) -> Floats:
    """``(p,)`` how often each option of each choice is taken by random candidates."""
    if "expected" not in problem._cache:
        sample = problem.space.sample(SAMPLE, np.random.default_rng(20_261_129))
        problem._cache["expected"] = _taken(problem, sample).mean(axis=0)
    found: Floats = problem._cache["expected"]
    return found


def _taken(problem: Problem, codes: Codes) -> Floats:
    """``(n, p)`` of 0 and 1: which options candidates ``(n, d)`` take, choice after choice."""
    sizes = problem.space.n_options
    if sizes.max() > LISTED:
        sizes, codes = _coarse(problem.space, codes)
    taken = np.zeros((len(codes), int(sizes.sum())))
    taken[np.arange(len(codes))[:, None], codes + np.cumsum(sizes) - sizes] = 1.0
    return taken


def _coarse(space: Space, codes: Codes) -> tuple[Codes, Codes]:
    """Numbers of options and codes, in which parameters of many values are parts of their scales, or are left out."""
    sizes, coarse = [], []
    for j, (choice, n) in enumerate(zip(space.choices, space.n_options, strict=True)):
        if n <= LISTED:
            sizes.append(int(n))
            coarse.append(codes[:, j])
        elif choice.ordered:
            sizes.append(PARTS)
            coarse.append(np.minimum((on_its_scale(choice, codes[:, j]) * PARTS).astype(np.int64), PARTS - 1))
    if not sizes:
        return np.ones(1, dtype=np.int64), np.zeros((len(codes), 1), dtype=np.int64)
    return np.array(sizes), np.column_stack(coarse)


def read_start(given: object, space: Space) -> Codes:
    """``(n, d)`` distinct candidates from dictionaries, codes, the front of a result, or a list of all of these.

    Of a result whose search chose of the recipe, too, settings that this search does not choose are left out.

    Raises:
        SpaceError: something else, or a candidate that is not of the space.
    """
    if given is None:
        return np.empty((0, space.n_choices), dtype=np.int64)
    if isinstance(given, str) or (isinstance(given, list | tuple) and any(isinstance(one, str) for one in given)):
        raise SpaceError(
            "start is a list of dictionaries, of rows of codes or of results (of a study by name: "
            f"searchkit.load(name)), not {given!r:.80}"
        )
    try:
        listed = [given] if _is_result(given) else given
        if isinstance(listed, list | tuple) and any(map(_is_result, listed)):
            given = [row for one in listed for row in _rows_of(one, space)]
        rows = [cast("dict[str, Any]", given)] if isinstance(given, Mapping) else list(cast("Iterable[Any]", given))
        if any(isinstance(row, Mapping) for row in rows):
            codes = space.encode(rows)
        else:
            codes = space.check(np.array(rows)) if rows else np.empty((0, space.n_choices), dtype=np.int64)
    except (SpaceError, ValueError, TypeError, AttributeError) as error:
        raise SpaceError(f"start is a list of dictionaries, of rows of codes or of results: {error}") from error
    return distinct_rows(codes)


def _is_result(given: object) -> bool:
    return hasattr(given, "trials") and hasattr(given, "goals") and hasattr(given, "space")


def _rows_of(given: Any, space: Space) -> list[dict[str, Any]]:
    """One element of a list, as dictionaries of a space: several of a result, which are its front."""
    if isinstance(given, Mapping):
        return [dict(given)]
    if not _is_result(given):
        return space.decode(space.check_one(given)[None])
    left_out = setting_names(given.space) - set(space.names)
    rows = [given.space.decode(trial.code)[0] for trial in pareto_front(given.trials, given.goals)]
    return [{name: option for name, option in row.items() if name not in left_out} for row in rows]
