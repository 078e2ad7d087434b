"""Conditional parameters of a define-by-run study, inferred from its trials.

Optuna records which parameters a trial suggested, but not why. A parameter that only some trials have is taken to
depend on an earlier one if the value of that one decides it in every trial so far: a category, or a threshold of a
number ("units of layer 3" from three layers on).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchkit.space import Choice, Parameter, is_number
from searchkit.space.conditions import When
from searchkit.types import Codes

ABSENT = -1  # the code of a parameter that a trial lacks


def conditions_of(codes: Codes, parameters: Sequence[Parameter]) -> dict[int, When | None]:
    """Column of every parameter that some trials lack -> its condition; None where no earlier parameter decides it.

    Args:
        codes: ``(n, d)`` finished trials, columns in the order in which parameters first occurred; -1: absent.
        parameters: of the columns.
    """
    lacking = np.flatnonzero((codes == ABSENT).any(axis=0)).tolist()
    return {child: _condition(codes, child, parameters) for child in lacking}


def _condition(codes: Codes, child: int, parameters: Sequence[Parameter]) -> When | None:
    """The first parent that explains it: categories before numbers, and few values before many.

    A threshold of a number with many values may fit a few trials by chance; later trials then revise it.
    """
    present = codes[:, child] != ABSENT
    for j in sorted(range(child), key=lambda j: (parameters[j].ordered, len(parameters[j].options), j)):
        values = codes[:, j]
        asked, lacking = set(values[present].tolist()), set(values[~present].tolist()) - {ABSENT}
        if not asked or ABSENT in asked or asked & lacking:
            continue
        parent = parameters[j]
        if not parent.ordered or not lacking:
            return _without(parent, lacking)
        if max(lacking) < min(asked):
            return _from(parent, max(lacking) + 1)
        if min(lacking) > max(asked):
            return _up_to(parent, min(lacking) - 1)
    return None


def _without(parent: Parameter, lacking: set[int]) -> When:
    """All values but some."""
    if not isinstance(parent, Choice):  # nothing is lacking, or all would be: values of a number are compared
        return When(parent.name, (), ">=", parent.low)
    return When(parent.name, tuple(o for i, o in enumerate(parent.options) if i not in lacking))


def _from(parent: Parameter, code: int) -> When:
    if is_number(parent):
        return When(parent.name, (), ">=", parent.option(code))
    return When(parent.name, tuple(parent.options[code:]))


def _up_to(parent: Parameter, code: int) -> When:
    if is_number(parent):
        return When(parent.name, (), "<=", parent.option(code))
    return When(parent.name, tuple(parent.options[: code + 1]))
