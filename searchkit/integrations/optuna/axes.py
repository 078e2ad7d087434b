"""Optuna's parameters as choices of a space: categories as they are, numbers as cells of a grid.

A strategy chooses a cell; the value is drawn inside it, uniformly on the parameter's own scale (logarithmic where the
distribution is). So the grid limits the resolution of the strategy but not the values that can be found, and uniform
choices of cells give uniform values, as Optuna's own random sampler draws them. 64 cells of a learning rate between
1e-5 and 1e-1 are steps of 15 %, smaller than differences in training that can be measured. With one or two parameters
the grid is finer, since the search would exhaust it. Numbers with few values (integers, steps) have one cell each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.space import Choice
from searchkit.types import Floats

LEVELS = 64
FINER = {1: 1024, 2: 256}  # cells by number of parameters: a search would exhaust a space of 64 candidates
LISTED = 256  # up to so many evenly spaced values have a cell each
FEW = 16  # at most so many values are labelled by value, so that equal choices (widths of layers) share option counts

Number = FloatDistribution | IntDistribution


@dataclass(frozen=True, eq=False)
class Axis:
    """One parameter, and the choice that represents it.

    Attributes:
        name: of the parameter.
        distribution: as Optuna records it.
        choice: an option per category or cell.
        centres: ``(m,)`` one value a cell, ascending, in the parameter's unit; empty for categories.
        ends: ``(m + 1,)`` where cells begin and end, on the parameter's scale; empty for categories.
    """

    name: str
    distribution: BaseDistribution
    choice: Choice
    centres: Floats
    ends: Floats

    def code(self, value: object) -> int | None:
        """The option of a recorded value; None where the value is not in the distribution."""
        distribution = self.distribution
        if not isinstance(distribution, Number):
            try:
                return int(distribution.to_internal_repr(value))
            except ValueError:
                return None
        if not isinstance(value, int | float) or not distribution.low <= value <= distribution.high:
            return None
        return int(np.searchsorted(self.ends[1:-1], _scaled(distribution, float(value))))

    def value(self, code: int, rng: np.random.Generator | None = None) -> Any:
        """A value of an option: drawn inside its cell by ``rng``, or its middle without."""
        distribution = self.distribution
        if not isinstance(distribution, Number):
            return distribution.to_external_repr(code)
        value = float(self.centres[code])
        if rng is not None and self.ends[code] < self.ends[code + 1]:
            drawn = float(rng.uniform(self.ends[code], self.ends[code + 1]))
            drawn = _on_step(distribution, math.exp(drawn) if distribution.log else drawn)
            value = drawn if self.code(drawn) == code else value
        return int(value) if isinstance(distribution, IntDistribution) else value


def axes_of(distributions: Mapping[str, BaseDistribution], levels: int | None = None) -> list[Axis]:
    """One axis a parameter, in order.

    Args:
        levels: cells of a number that has more values; see the module where not given.
    """
    levels = levels or FINER.get(len(distributions), LEVELS)
    return [
        _number(name, distribution, levels) if isinstance(distribution, Number) else _categories(name, distribution)
        for name, distribution in distributions.items()
    ]


def choice_axis(choice: Choice) -> Axis:
    """The axis of a choice of the user's own space, whose labels are the categories."""
    return Axis(choice.name, CategoricalDistribution(choice.labels), choice, np.empty(0), np.empty(0))


def _categories(name: str, distribution: BaseDistribution) -> Axis:
    assert isinstance(distribution, CategoricalDistribution)
    return Axis(name, distribution, Choice(name, texts_of(distribution.choices)), np.empty(0), np.empty(0))


def texts_of(categories: Sequence[Any]) -> list[str]:
    """A text for each: its ``repr``, which distinguishes 1, "1" and True, with its position where some are equal."""
    texts = [_repr(category) for category in categories]
    return texts if len(set(texts)) == len(texts) else [f"{text} ({i})" for i, text in enumerate(texts)]


def _repr(category: Any) -> str:
    try:
        return repr(category)
    except Exception:  # of the object's own code
        return type(category).__qualname__


def _number(name: str, distribution: Number, levels: int) -> Axis:
    low, high = _scaled(distribution, distribution.low), _scaled(distribution, distribution.high)
    step = distribution.step
    n_values = math.inf if step is None else round((distribution.high - distribution.low) / step) + 1
    if step is not None and n_values <= LISTED and not distribution.log:
        values = distribution.low + np.arange(int(n_values)) * float(step)
    else:
        middles = low + (np.arange(levels) + 0.5) * ((high - low) / levels)
        values = np.exp(middles) if distribution.log else middles
    # for integers on a logarithmic scale the first cells may contain no integer: they are dropped
    centres: Floats = np.unique(np.array([_on_step(distribution, float(value)) for value in values], dtype=np.float64))
    scaled = [_scaled(distribution, float(centre)) for centre in centres]
    edges = [(a + b) / 2 for a, b in itertools.pairwise(scaled)]
    ends = np.array([low, *edges, high], dtype=np.float64)
    texts = [f"{centre:.12g}" for centre in centres]
    if len(set(texts)) < len(texts):
        texts = [f"{centre:.17g}" for centre in centres]  # different numbers, different texts
    labels = texts if len(texts) <= FEW else [f"{name} {i}: {text}" for i, text in enumerate(texts)]
    return Axis(name, distribution, Choice(name, labels, ordered=True), centres, ends)


def _on_step(distribution: Number, value: float) -> float:
    """The nearest value of the distribution."""
    low, step = distribution.low, distribution.step
    stepped = value if step is None else low + round((value - low) / step) * step
    return float(min(max(stepped, low), distribution.high))


def _scaled(distribution: Number, value: float) -> float:
    return math.log(value) if distribution.log else float(value)
