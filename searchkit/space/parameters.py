"""The kinds of parameters that a space has, and what depends on which of them one is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from searchkit.errors import SpaceError
from searchkit.space.choice import Choice
from searchkit.space.numbers import Float, Int
from searchkit.types import Bools, Codes, Floats

Parameter = Choice | Float | Int

LISTED = 1000  # values of a number up to which they can be listed


def is_number(parameter: Parameter) -> TypeGuard[Float | Int]:
    """Whether it is a number of a range, not a choice of options."""
    return isinstance(parameter, Float | Int)


def changed(parameter: Parameter, **attributes: object) -> Parameter:
    """A copy of a parameter with other attributes, such as its ``name``, its ``when`` or its ``prior``."""
    other = copy.copy(parameter)
    for name, value in attributes.items():
        object.__setattr__(other, name, value)
    return other


def on_its_scale(parameter: Parameter, codes: Codes) -> Floats:
    """``(n,)`` where codes of a number or an ordered choice lie on its scale, from 0 to 1."""
    return parameter.positions(codes) if is_number(parameter) else codes / max(1, len(parameter.options) - 1)


def positions(parameters: Sequence[Parameter], codes: Codes, exists: Bools | None) -> Floats:
    """``(n, d)`` numbers and ordered choices from 0 to 1 on their scales, others by index; NaN where one is missing.

    Args:
        codes: ``(n, d)``.
        exists: ``(n, d)`` bool, which parameters exist; None where all do.
    """
    found = codes.astype(np.float64)
    for j, one in enumerate(parameters):
        if one.ordered:
            found[:, j] = on_its_scale(one, codes[:, j])
    return found if exists is None else np.where(exists, found, np.nan)


def at_positions(parameters: Sequence[Parameter], points: Floats) -> Codes:
    """``(n, d)`` the codes nearest to :func:`positions`; 0 in place of NaN. Not canonical."""
    points = np.nan_to_num(points, nan=0.0)
    codes = np.empty(points.shape, dtype=np.int64)
    for j, one in enumerate(parameters):
        if is_number(one):
            codes[:, j] = one.at(points[:, j])
        else:
            most = len(one.options) - 1
            codes[:, j] = np.clip(np.rint(points[:, j] * (max(1, most) if one.ordered else 1)), 0, most)
    return codes


def drawn(parameters: Sequence[Parameter], n: int, rng: np.random.Generator) -> Codes:
    """``(n, d)`` random codes, each parameter uniform on its scale and independent. Not canonical."""
    uniform = rng.random((n, len(parameters)))
    columns = [
        one.drawn(u) if is_number(one) else np.minimum((u * len(one.options)).astype(np.int64), len(one.options) - 1)
        for one, u in zip(parameters, uniform.T, strict=True)
    ]
    return np.column_stack(columns)


def texts_of(parameter: Parameter, codes: Iterable[int]) -> list[str]:
    """The options or values of codes as people read them; see :attr:`searchkit.Choice.texts`."""
    if isinstance(parameter, Choice):
        texts = parameter.texts
        return [texts[code] for code in codes]
    values = map(parameter.option, codes)
    return [str(value) if isinstance(value, int) else f"{value:.6g}" for value in values]


def read_parameters(described: Sequence[Mapping[str, Any]]) -> list[Parameter]:
    """The parameters that a record describes, see ``describe`` of each kind."""
    return [_read(one) for one in described]


def _read(one: Mapping[str, Any]) -> Parameter:
    more: dict[str, Any] = {"when": [tuple(part) for part in one.get("when") or ()] or None}
    more["prior"] = tuple(one["prior"]) if one.get("prior") else None
    if "options" in one:
        return Choice(one["name"], one["options"], one["ordered"], **more)
    if one["kind"] == "int":
        return Int(one["name"], one["low"], one["high"], log=one["log"], step=one["step"], **more)
    return Float(one["name"], one["low"], one["high"], log=one["log"], step=one["step"], **more)


def check_listed(parameters: Sequence[Parameter], what: str) -> None:
    """Refuse numbers of more values than can be listed.

    Args:
        what: lists the options, in the error: "shared weights".

    Raises:
        SpaceError: there is one.
    """
    for one in parameters:
        if is_number(one) and one.n_values > LISTED:
            raise SpaceError(
                f"{what} need options that can be listed, and {type(one).__name__} {one.said} has {one.n_values:,} "
                f"values; give it steps, or make it a Choice of at most {LISTED:,}"
            )
