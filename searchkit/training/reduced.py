"""Cheaper stand-ins for the networks of a space: fewer channels, fewer cells, smaller images; the choices are kept.

Rungs of a fidelity ladder train them, and proxies score them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from searchkit.errors import PASSED_ON, SearchkitError, SpaceError
from searchkit.random_state import seeded
from searchkit.space import NetworkSpace
from searchkit.space.inputs import plain_inputs
from searchkit.space.parameters import check_listed
from searchkit.space.recipe_space import RecipeSpace

TRIED = 4  # networks of a space that have to take smaller images before all are given these

_made: WeakKeyDictionary[NetworkSpace, dict[Reduction, NetworkSpace]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Reduction:
    """What is reduced, as far as a space has it: nothing is refused, and nothing is ever enlarged.

    Args:
        width: factor in (0, 1] on the space's choice or option ``width``; None: all channels.
        cells: at most so many cells a stage, where the space has an option ``cells``; None: all cells.
        resolution: at most so many pixels on the shorter side of the images; None: all pixels. Spaces of which some
            networks cannot take smaller images keep theirs.

    Raises:
        SearchkitError: a factor or a number that is out of range.
    """

    width: float | None = None
    cells: int | None = None
    resolution: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None and (not _is_number(self.width) or not 0 < self.width <= 1):
            raise SearchkitError(
                f"width is a factor above 0 and at most 1, or None for all channels; not {self.width!r}"
            )
        for name in ("cells", "resolution"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SearchkitError(f"{name} is a whole number of at least 1, or None for all; not {value!r}")

    @property
    def is_none(self) -> bool:
        """Whether networks stay as they are."""
        return self == Reduction()

    def of(self, space: NetworkSpace) -> NetworkSpace:
        """The space of the reduced networks, of the same choices; made once for a space."""
        known = _made.setdefault(space, {})
        if self not in known:
            known[self] = self._of(space)
        return known[self]

    def side(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, in pixels, of reduced images."""
        shorter = min(height, width)
        if self.resolution is None or shorter <= self.resolution:
            return height, width
        return max(1, round(height * self.resolution / shorter)), max(1, round(width * self.resolution / shorter))

    def _of(self, space: NetworkSpace) -> NetworkSpace:
        large = _at_most(space, "cells", self.cells)
        thin = self._narrowed(large)
        if len(space.input_shape) != 3:
            return thin
        channels, *sides = space.input_shape
        shape = (channels, *self.side(*sides))
        small = _at_most(large, "resolution", self.resolution)
        try:
            small = small if shape == space.input_shape else small.for_data(shape, space.output_shape)
        except SpaceError:  # it is for images of one size
            return thin
        if small is large:
            return thin
        small = self._narrowed(small)
        return small if _all_run(small) else thin

    def _narrowed(self, space: NetworkSpace) -> NetworkSpace:
        try:
            return space if self.width in (None, 1) else narrower(space, float(self.width or 1))
        except SpaceError:  # it has no width
            return space


def narrower(space: NetworkSpace, factor: float) -> NetworkSpace:
    """The same space with ``factor`` times the ``width`` of each network, which is a choice or an option of the space.

    Raises:
        SpaceError: it has no width, or one that is no number.
    """
    if isinstance(space, RecipeSpace):
        return space.over(narrower(space.networks, factor))
    build = space.builder
    taken = _taken(space)
    if "width" in space.names:
        check_listed([space.choices[space.names.index("width")]], "narrower networks")
        widths = list(space.choices[space.names.index("width")].options)
    elif "width" in space.options and "width" in taken:
        widths = [taken["width"]]
    else:
        has = [*(f"the option {name}" for name in space.options), *(f"the choice {name}" for name in space.names)]
        raise SpaceError(
            f"a rung of the ladder sets width, but space '{space.name}' has no choice of that name, and no option that "
            f"its build function, a functools.partial, was given; it has {', '.join(has)}"
        )
    for width in widths:
        if not _is_number(width):
            raise SpaceError(
                f"a rung of the ladder sets width, but {width!r}, a width of space '{space.name}', is no number"
            )
    if "width" in space.names:
        return space.with_builder(functools.partial(_build_narrow, build, factor))
    return space.with_builder(functools.partial(build, width=_scaled(widths[0], factor)))


def _at_most(space: NetworkSpace, option: str, most: int | None) -> NetworkSpace:
    """The space with a smaller number for an option; itself where it has no such option, or one as small."""
    own = _taken(space).get(option)
    if most is None or option not in space.options or not isinstance(own, int) or own <= most:
        return space
    return space.with_builder(functools.partial(space.builder, **{option: most}))


def _all_run(space: NetworkSpace) -> bool:
    """Whether some random networks take images of the space's shape."""
    with seeded(0), torch.no_grad():
        for code in space.sample(TRIED, np.random.default_rng(0)):
            try:
                space.build(code)(plain_inputs(2, space.input_shape))
            except PASSED_ON:
                raise
            except Exception:
                return False
    return True


def _taken(space: NetworkSpace) -> Mapping[str, Any]:
    """The options that the space's build function was given."""
    return space.builder.keywords if isinstance(space.builder, functools.partial) else {}


def _build_narrow(build: Any, factor: float, choices: Mapping[str, Any], *shape: Any, **options: Any) -> nn.Module:
    network: nn.Module = build({**choices, "width": _scaled(choices["width"], factor)}, *shape, **options)
    return network


def _scaled(width: float, factor: float) -> float:
    return max(1, round(width * factor)) if isinstance(width, int) else width * factor


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float)
