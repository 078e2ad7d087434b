"""Candidates that the user gives a search to evaluate first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from searchkit.errors import SpaceError
from searchkit.problem.trial import pareto_front
from searchkit.space import Space
from searchkit.space.recipe_space import setting_names
from searchkit.types import Codes


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
