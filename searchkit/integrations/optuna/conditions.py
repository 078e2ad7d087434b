"""Conditional parameters of a define-by-run study, inferred from its trials.

Optuna records which parameters a trial suggested, but not why. A parameter that only some trials have is taken to
depend on an earlier one if the value of that one decides it in every trial so far: a category, or a threshold of a
number ("units of layer 3" from three layers on). Candidates that differ only in inactive parameters are then equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.space import Choice
from searchkit.types import Bools, Codes

ABSENT = -1  # the code of a parameter that a trial lacks


@dataclass(frozen=True)
class Condition:
    """The parameter ``child`` is active unless the option of ``parent`` is in ``without``.

    Attributes:
        child, parent: columns; the parent comes first.
        without: the parent's options for which the child is inactive.
    """

    child: int
    parent: int
    without: frozenset[int]


def conditions_of(codes: Codes, choices: Sequence[Choice]) -> dict[int, Condition | None]:
    """Column of every parameter that some trials lack -> its condition; None where no earlier parameter decides it.

    Args:
        codes: ``(n, d)`` finished trials, columns in the order in which parameters first occurred; -1: absent.
        choices: of the columns.
    """
    lacking = np.flatnonzero((codes == ABSENT).any(axis=0)).tolist()
    return {child: _condition(codes, child, choices) for child in lacking}


def active(codes: Codes, conditions: Mapping[int, Condition | None]) -> Bools:
    """``(n, d)`` bool: parameters that are active by the conditions."""
    asked = np.ones(codes.shape, dtype=bool)
    for child, condition in sorted(conditions.items()):  # a parent's own condition comes before
        if condition is not None:
            here = np.isin(codes[:, condition.parent], list(condition.without))
            asked[:, child] = asked[:, condition.parent] & ~here
    return asked


def _condition(codes: Codes, child: int, choices: Sequence[Choice]) -> Condition | None:
    """The first parent that explains it: categories before numbers, and few values before many.

    A threshold of a number with many values may fit a few trials by chance; later trials then revise it.
    """
    present = codes[:, child] != ABSENT
    for parent in sorted(range(child), key=lambda j: (choices[j].ordered, len(choices[j].options), j)):
        values = codes[:, parent]
        asked, lacking = set(values[present].tolist()), set(values[~present].tolist()) - {ABSENT}
        if not asked or ABSENT in asked or asked & lacking:
            continue
        if not choices[parent].ordered or not lacking:
            return Condition(child, parent, frozenset(lacking))
        if max(lacking) < min(asked):
            return Condition(child, parent, frozenset(range(max(lacking) + 1)))
        if min(lacking) > max(asked):
            return Condition(child, parent, frozenset(range(min(lacking), len(choices[parent].options))))
    return None
