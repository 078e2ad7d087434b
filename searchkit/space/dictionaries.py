"""Candidates as dictionaries of options and values: what users write and evaluations are given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SpaceError, nearest
from searchkit.space.choice import Choice
from searchkit.space.labels import Label
from searchkit.space.parameters import Parameter
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.space.space import Space

_MISSING = object()


def encoded(space: Space, choices: Mapping[str, object] | Iterable[Mapping[str, object]]) -> Codes:
    """``(n, d)`` codes of one dictionary, or several; not canonical. See :meth:`searchkit.Space.encode`."""
    dictionaries = [choices] if isinstance(choices, Mapping) else list(choices)
    codes = np.zeros((len(dictionaries), space.n_choices), dtype=np.int64)
    said = np.ones(codes.shape, dtype=bool)
    known = set(space.names)
    wrong: dict[tuple[int, int], SpaceError] = {}
    for i, dictionary in enumerate(dictionaries):
        for name in dictionary:
            if name not in known:
                near = nearest(name, space.names)
                hint = f" Did you mean '{near}'?" if near else ""
                raise SpaceError(f"space '{space.name}' has no choice {name!r}: it has {list(space.names)}.{hint}")
        for j, choice in enumerate(space.choices):
            value = dictionary.get(choice.name, _MISSING)
            if choice.when and (value is _MISSING or _is_nothing(choice, value)):
                said[i, j] = False
            elif value is not _MISSING:
                try:
                    codes[i, j] = choice.index(value)
                except SpaceError as error:
                    if not choice.when:
                        raise
                    wrong[i, j] = error  # it makes no difference where the parameter does not exist
            else:
                raise SpaceError(f"candidate {i} says nothing of choice '{choice.name}'")
    exists = space.active(codes)
    for place, reason in wrong.items():
        if exists[place]:
            raise reason
    _check_said(space, codes, said)
    return codes


def _is_nothing(choice: Parameter, value: object) -> bool:
    """Whether a value is what tables have where a parameter does not exist, and is none of its options."""
    if value is None or value is getattr(sys.modules.get("pandas"), "NA", _MISSING):
        return not any(option is None for option in choice.options) if isinstance(choice, Choice) else True
    return isinstance(value, float) and value != value and not isinstance(choice, Choice)


def _check_said(space: Space, codes: Codes, said: Any) -> None:
    """Refuse candidates that say nothing of a parameter that exists in them."""
    lacking = np.argwhere(~said & space.active(codes))
    if len(lacking):
        i, j = lacking[0].tolist()
        raise SpaceError(
            f"candidate {i} says nothing of '{space.names[j]}', which exists with its other values "
            f"(when={space.choices[j].when!r})"
        )


def decoded(space: Space, rows: Codes) -> list[dict[str, Any]]:
    """One dictionary for each of valid codes ``(n, d)``; see :meth:`searchkit.Space.decode`."""
    options = [choice.option for choice in space.choices]
    if space.conditions is None:
        return [
            {name: option(i) for name, option, i in zip(space.names, options, row, strict=True)}
            for row in rows.tolist()
        ]
    exists = space.active(rows)
    return [
        {space.names[j]: options[j](int(row[j])) for j in np.flatnonzero(on)}
        for row, on in zip(rows, exists, strict=True)
    ]


def asked(space: Space, code_of: Callable[[int], int]) -> Codes:
    """``(d,)`` a candidate whose parameters are asked for one after another, of those that exist; not canonical.

    Args:
        code_of: column -> the code of its parameter. Those that decide whether a parameter exists are asked before it.
    """
    conditions = space.conditions
    code = np.zeros(space.n_choices, dtype=np.int64)
    for j in range(len(code)) if conditions is None else conditions.order:
        if conditions is None or conditions.active(code[None])[0, j]:
            code[j] = code_of(j)
    return code


def labelled(space: Space, code: Codes) -> dict[str, Label]:
    """The options of a candidate ``(d,)`` as they are recorded, of the parameters that exist in it."""
    exists = space.active(code[None])[0].tolist()
    return {
        choice.name: choice.labels[place]
        for choice, place, on in zip(space.choices, code.tolist(), exists, strict=True)
        if on
    }
