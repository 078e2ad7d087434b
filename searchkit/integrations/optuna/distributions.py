"""Optuna's distributions as parameters of a space, and values of trials as codes.

Numbers are numbers of the same range, scale and steps. Categories are the options of a choice by their ``repr``, since
they may be objects that cannot be options; that of many is their position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.errors import SpaceError
from searchkit.space import Choice, Float, Int, Parameter
from searchkit.space.labels import shown
from searchkit.space.parameters import changed
from searchkit.space.prior import USUAL, Prior, check_confidence
from searchkit.storage.parameters import distribution_of

MANY = 256  # categories from which they are named by their position: to compare texts of thousands takes time


@dataclass(frozen=True, eq=False)
class Searched:
    """A parameter of a study.

    Attributes:
        name: of the parameter.
        distribution: as Optuna records it.
        parameter: the same as a parameter of a space.
        places: of categories, which of them are options; None: all are. Of equal ones, such as 1 and True, Optuna takes
            the first.
    """

    name: str
    distribution: BaseDistribution
    parameter: Parameter
    places: tuple[int, ...] | None = None

    def code(self, value: Any) -> int | None:
        """The code of a recorded value; None where the value is not in the distribution."""
        try:
            if isinstance(self.distribution, CategoricalDistribution):
                place = int(self.distribution.to_internal_repr(value))
                return place if self.places is None else self.places.index(place)
            return self.parameter.index(value) if isinstance(self.parameter, Choice) else self.parameter.nearest(value)
        except (ValueError, SpaceError):
            return None

    def codes(self, values: Sequence[object]) -> list[int | None]:
        """:meth:`code` of each value; of numbers all at once, which takes a fraction of the time."""
        parameter = self.parameter
        given = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if isinstance(parameter, Choice) or len(given) < len(values):
            return [self.code(value) for value in values]
        inside = [parameter.low <= value <= parameter.high for value in given]
        numbers = np.array([value if ok else parameter.low for value, ok in zip(given, inside, strict=True)], float)
        found = parameter.nearest_codes(numbers).tolist()
        return [code if ok else None for code, ok in zip(found, inside, strict=True)]

    def value(self, code: int) -> Any:
        """The value of a code, as Optuna's trials have it."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.to_external_repr(code if self.places is None else self.places[code])
        return self.parameter.option(code)


def searched(name: str, distribution: BaseDistribution, prior: object = None) -> Searched | None:
    """A parameter of a study; None of a range that no parameter can have, such as of numbers beyond 1e250.

    Args:
        prior: a value that may be good, or ``(value, confidence)``.

    Raises:
        SpaceError: the prior is no value of the distribution, or the confidence not between 0 and 1.
    """
    try:
        places = _places(distribution)
        one = Searched(name, distribution, parameter_of(name, distribution, places), places)
    except SpaceError:
        return None
    return one if prior is None else _guessed(one, prior)


def _guessed(one: Searched, given: object) -> Searched:
    value, confidence = given if isinstance(given, tuple) and len(given) == 2 else (given, USUAL)
    code = one.code(value)
    if code is None:
        raise SpaceError(f"prior of '{one.name}' is {shown(value)}, and the study has {one.distribution}")
    prior = Prior(code, check_confidence(one.name, confidence))
    return replace(one, parameter=changed(one.parameter, prior=prior))


def own(parameter: Parameter) -> Searched:
    """A parameter of the user's own space; the labels of a choice are the categories."""
    return Searched(parameter.name, distribution_of(parameter), parameter)


def _places(distribution: BaseDistribution) -> tuple[int, ...] | None:
    if not isinstance(distribution, CategoricalDistribution) or len(distribution.choices) > MANY:
        return None
    choices = distribution.choices
    first = tuple(i for i, one in enumerate(choices) if int(distribution.to_internal_repr(one)) == i)
    return None if len(first) == len(choices) else first


def parameter_of(name: str, distribution: BaseDistribution, places: Sequence[int] | None = None) -> Parameter:
    """The parameter that a distribution is.

    Args:
        places: of categories, which of them are options; None: all.

    Raises:
        SpaceError: no parameter can have such a range.
    """
    if isinstance(distribution, FloatDistribution):
        return Float(name, distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if isinstance(distribution, IntDistribution):
        return Int(name, distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    assert isinstance(distribution, CategoricalDistribution)
    choices = distribution.choices if places is None else [distribution.choices[i] for i in places]
    return Choice(name, range(len(choices)) if len(choices) > MANY else texts_of(choices))


def texts_of(categories: Sequence[Any]) -> list[str]:
    """A text for each: its ``repr``, which distinguishes 1, "1" and True, with its position where some are equal."""
    texts = [_repr(category) for category in categories]
    return texts if len(set(texts)) == len(texts) else [f"{text} ({i})" for i, text in enumerate(texts)]


def _repr(category: Any) -> str:
    try:
        return repr(category)
    except Exception:  # of the object's own code
        return type(category).__qualname__
