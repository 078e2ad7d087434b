"""Parameters of a space as Optuna's distributions, and recorded values back to codes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.space import Choice, Float, Parameter, Space
from searchkit.types import Codes

TOLERANCE = 1e-8  # share of a step within which Optuna takes a value


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """A parameter as it is recorded: a choice by the labels of its options, a number by its range."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.labels)
    if isinstance(parameter, Float):
        step = None if parameter.step is None or _too_fine(parameter) else float(parameter.step)
        return FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.log, step=step)
    return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step or 1))


def _too_fine(parameter: Float) -> bool:
    """Whether Optuna, which computes steps in floats, would not know all values of a number again."""
    largest = max(abs(parameter.low), abs(parameter.high))
    return 4 * largest * 2.0**-52 > TOLERANCE * (parameter.step or 1.0)


def same_distribution(one: BaseDistribution | None, other: BaseDistribution | None) -> bool:
    """Whether two distributions are equal, as Optuna says; quick for categories by the thousand, which mostly are."""
    if one is other:
        return True
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        with contextlib.suppress(Exception):  # of the categories' own code
            if one.choices == other.choices:
                return True
    return one == other


class CodeReader:
    """Recorded parameters to codes.

    Args:
        space: of the candidates.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._lookup = [
            {_typed(label): i for i, label in enumerate(choice.labels)} if isinstance(choice, Choice) else None
            for choice in space.choices
        ]

    def __call__(self, params: Mapping[str, Any]) -> Codes:
        """``(d,)`` the code of a trial's parameters.

        Raises:
            KeyError: a parameter that exists is not there.
            ValueError: a value is none of its parameter.
        """
        code = np.zeros(self._space.n_choices, dtype=np.int64)
        for j, (choice, places) in enumerate(zip(self._space.choices, self._lookup, strict=True)):
            if choice.name not in params and choice.when:
                continue
            value = params[choice.name]
            if places is None:
                code[j] = choice.index(value)
            elif _typed(value) in places:
                code[j] = places[_typed(value)]
            else:
                raise ValueError(f"choice {choice.name!r} has no option {value!r}")
        if self._space.conditions is not None:
            for j in np.flatnonzero(self._space.active(code[None])[0]).tolist():
                params[self._space.names[j]]
        return code


def _typed(label: Any) -> tuple[type, Any]:
    return type(label), label  # 1, 1.0 and True are different options
