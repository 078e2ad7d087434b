"""Candidates that a search is given to begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.space import Codes, Space
from searchkit.trial import front


def read_start(given: Any, space: Space) -> Codes:
    """``(n, d)`` distinct candidates from dictionaries, codes, or the front of a result.

    Raises:
        SearchkitError: something else; SpaceError where a candidate is not of the space.
    """
    if given is None:
        return np.empty((0, space.n_choices), dtype=np.int64)
    if hasattr(given, "trials") and hasattr(given, "goals"):
        given = [given.space.decode(trial.code)[0] for trial in front(given.trials, given.goals)]
    if isinstance(given, str) or not isinstance(given, list | tuple | dict | np.ndarray):
        raise SearchkitError(f"start= takes dictionaries of choices, rows of codes, or a result, not {given!r}")
    rows = [given] if isinstance(given, dict) else list(given)
    if not rows:
        return np.empty((0, space.n_choices), dtype=np.int64)
    codes = space.encode(rows) if isinstance(rows[0], dict) else space.check(np.array(rows))
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
