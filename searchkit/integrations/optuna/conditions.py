"""Conditions of a define-by-run study, read off its trials: which parameter is asked for under which value of another.

Optuna records what a trial was asked and not why. A parameter that some trials have and others lack hangs on an earlier
one where that one's value decides it in every trial so far: a category, or a threshold of a number ("units of layer 3"
from three layers on). Candidates that differ in a parameter nobody will ask for are then one candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.space import Choice
from searchkit.types import Bools, Codes

ABSENT = -1  # the code of a parameter that a trial was not asked


@dataclass(frozen=True)
class Condition:
    """A parameter is asked for where the option of ``parent`` is not in ``without``.

    Attributes:
        child, parent: columns; the parent's is the lower one.
        without: the parent's options under which the child is not asked for.
    """

    child: int
    parent: int
    without: frozenset[int]


def conditions_of(codes: Codes, choices: Sequence[Choice]) -> dict[int, Condition | None]:
    """Column of every parameter that some trials lack -> its condition; None where no earlier parameter decides it.

    Args:
        codes: ``(n, d)`` finished trials, columns in the order in which parameters were first asked for; -1: absent.
        choices: of the columns.
    """
    lacking = np.flatnonzero((codes == ABSENT).any(axis=0)).tolist()
    return {child: _condition(codes, child, choices) for child in lacking}


def active(codes: Codes, conditions: Mapping[int, Condition | None]) -> Bools:
    """``(n, d)`` bool: parameters that will be asked for, as far as conditions say."""
    asked = np.ones(codes.shape, dtype=bool)
    for child, condition in sorted(conditions.items()):  # a parent's own condition comes before
        if condition is not None:
            here = np.isin(codes[:, condition.parent], list(condition.without))
            asked[:, child] = asked[:, condition.parent] & ~here
    return asked


def _condition(codes: Codes, child: int, choices: Sequence[Choice]) -> Condition | None:
    """The first parent that explains it: categories before numbers, and few values before many.

    Of a number with many values, a threshold that fits a few trials may be chance; the next trials will tell.
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
