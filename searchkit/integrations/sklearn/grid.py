"""Parameter grids as scikit-learn writes them -> a space, and candidates of it -> parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from searchkit.errors import SpaceError
from searchkit.integrations.sklearn.distributions import of_distribution
from searchkit.space import Choice, Float, Int, Parameter, Space, is_number
from searchkit.space.conditions import When
from searchkit.space.labels import key_of
from searchkit.space.parameters import changed
from searchkit.types import Codes

DRAWS = 16  # values of what can only be drawn from


@dataclass(frozen=True)
class Grid:
    """A searchable parameter grid.

    Attributes:
        space: one choice or number a parameter; with several dictionaries, first which of them, and then all of theirs.
            Parameters of dictionaries that are not chosen have no effect.
        values: of each parameter of each dictionary, by code, in the order of the columns.
    """

    space: Space
    values: tuple[dict[str, Sequence[Any]], ...]

    def parameters(self, code: Codes) -> dict[str, Any]:
        """The parameters ``{name: value}`` of a candidate ``(d,)``, sorted by name, for ``set_params``."""
        taken, column = (int(code[0]), 1) if self._choose else (0, 0)
        column += sum(len(grid) for grid in self.values[:taken])
        exists = self.space.active(code[None])[0]
        found = {
            name: values[int(code[column + i])]
            for i, (name, values) in enumerate(self.values[taken].items())
            if exists[column + i]
        }
        return dict(sorted(found.items()))

    @property
    def _choose(self) -> bool:
        return len(self.values) > 1 or not self.values[0]


def read_grid(given: object) -> Grid:
    """A grid from ``{parameter: values}``, or a list of such dictionaries, of which each candidate uses one.

    Values are a sequence; a number of a range (:class:`~searchkit.Float`, :class:`~searchkit.Int`); a
    :class:`~searchkit.Choice`; a scipy distribution (:mod:`searchkit.integrations.sklearn.distributions`); or another
    object with ``rvs(random_state=)`` (16 draws, always the same). Monotonic numbers make an ordered choice.

    Raises:
        SpaceError: the values of a parameter cannot be used; names it.
    """
    grids = [given] if isinstance(given, Mapping) else given
    if not isinstance(grids, list | tuple) or not grids or not all(isinstance(grid, Mapping) for grid in grids):
        raise SpaceError(f"param_grid is a dictionary {{parameter: values}} or a list of such, not {given!r}")
    parameters: list[Parameter] = []
    values: list[dict[str, Sequence[Any]]] = []
    owners: list[int] = []
    for i, grid in enumerate(grids):
        values.append({})
        for name, options in grid.items():
            called = str(name) if len(grids) == 1 else f"{name} [{i}]"
            parameter, values[i][str(name)] = _read(str(name), called, options)
            parameters.append(parameter)
            owners.append(i)
    if len(grids) > 1:
        parameters = [_renamed(one, owner, grids[owner]) for one, owner in zip(parameters, owners, strict=True)]
    if len(grids) == 1 and parameters:
        return Grid(Space(parameters, name="parameters"), tuple(values))
    which = Choice("grid", tuple(range(len(grids))))
    if any(is_number(one) or one.when for one in parameters):
        under = [_under(one, owner) for one, owner in zip(parameters, owners, strict=True)]
        return Grid(Space([which, *under], name="parameters"), tuple(values))
    space = Space([which, *parameters], name="parameters", canonical=_Canonical(tuple(owners)))
    return Grid(space, tuple(values))


def _renamed(parameter: Parameter, owner: int, grid: Mapping[Any, Any]) -> Parameter:
    """The parameter, whose conditions name others of its dictionary as they are called in the space."""
    names = {str(name): f"{name} [{owner}]" for name in grid}
    if not parameter.when:
        return parameter
    return changed(
        parameter, when=tuple(replace(one, parent=names.get(one.parent, one.parent)) for one in parameter.when)
    )


def _under(parameter: Parameter, owner: int) -> Parameter:
    """The parameter, which exists where its dictionary is chosen."""
    return changed(parameter, when=(When("grid", (owner,)), *parameter.when))


@dataclass(frozen=True)
class _Canonical:
    """First options in the columns of dictionaries that are not chosen."""

    owners: tuple[int, ...]

    def __call__(self, codes: Codes) -> Codes:
        idle = np.array([-1, *self.owners]) != codes[:, :1]
        idle[:, 0] = False
        return np.where(idle, 0, codes)


def _read(name: str, called: str, given: Any) -> tuple[Parameter, Sequence[Any]]:
    """The parameter of a space, and its values by code."""
    if isinstance(given, Choice | Float | Int):
        return changed(given, name=called), given.options
    if hasattr(given, "ppf"):
        number, values = of_distribution(name, called, given)
        return _choice(called, list(values), True) if number is None else number, values
    found, ordered = _options(name, given)
    return _choice(called, found, ordered), found


def _options(name: str, given: Any) -> tuple[list[Any], bool]:
    """The values of a parameter, and whether they are ordered."""
    if hasattr(given, "rvs"):
        return _draws(name, given)
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise SpaceError(f"parameter '{name}' has an array of {given.ndim} axes; give one of a single axis, or a list")
    if isinstance(given, str) or not (isinstance(given, Sequence) or hasattr(given, "__array__")):
        raise SpaceError(
            f"parameter '{name}' has {given!r}: give a list of values (of one, where it is fixed) or a distribution"
        )
    found = list(given)
    if not found:
        raise SpaceError(f"parameter '{name}' has no values; give at least one")
    return found, _is_scale(found)


def _draws(name: str, distribution: Any) -> tuple[list[Any], bool]:
    """Values of what has no quantiles, drawn as RandomizedSearchCV does, and whether they are ordered."""
    state = np.random.RandomState(0)
    found: list[Any] = []
    for _ in range(DRAWS):
        value = distribution.rvs(random_state=state)
        if not any(value is other or key_of(value) == key_of(other) for other in found):
            found.append(value)
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in found):
        if not np.isfinite(found).all():
            raise SpaceError(f"parameter '{name}' has a distribution that draws values that are not finite")
        return sorted(found), True
    return found, False


def _is_scale(values: list[Any]) -> bool:
    kinds = {type(value) for value in values}
    if bool in kinds or not all(isinstance(value, int | float | np.number) for value in values):
        return False
    return len({after > before for before, after in pairwise(values)}) == 1 and len(set(values)) == len(values)


def _choice(name: str, values: list[Any], ordered: bool) -> Choice:
    """The values as options; where they cannot be (objects without a name, equal ones), their texts, numbered."""
    try:
        return Choice(name, values, ordered)
    except SpaceError:
        texts = [_text(value) for value in values]
        return Choice(name, [f"{text} ({i})" for i, text in enumerate(texts)], ordered)


def _text(value: Any) -> str:
    try:
        return str(value).partition(" at 0x")[0]
    except Exception:  # of the object's own code
        return type(value).__name__
