"""Candidates that the user gives a search to evaluate first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from searchkit.errors import SpaceError
from searchkit.problem.trial import pareto_front
from searchkit.space import Space
from searchkit.types import Codes


def read_start(given: object, space: Space) -> Codes:
    """``(n, d)`` distinct candidates from dictionaries, codes, or the front of a result.

    Raises:
        SpaceError: something else, or a candidate that is not of the space.
    """
    if given is None:
        return np.empty((0, space.n_choices), dtype=np.int64)
    if hasattr(given, "trials") and hasattr(given, "goals") and hasattr(given, "space"):
        given = [given.space.decode(trial.code)[0] for trial in pareto_front(given.trials, given.goals)]
    if isinstance(given, str):
        raise SpaceError(f"start is a list of dictionaries or of rows of codes, or a result, not {given!r}")
    try:
        rows = [given] if isinstance(given, Mapping) else list(cast("Iterable[Any]", given))
        if any(isinstance(row, Mapping) for row in rows):
            codes = space.encode(rows)
        else:
            codes = space.check(np.array(rows)) if rows else np.empty((0, space.n_choices), dtype=np.int64)
    except (SpaceError, ValueError, TypeError, AttributeError) as error:
        raise SpaceError(f"start is a list of dictionaries or of rows of codes: {error}") from error
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
