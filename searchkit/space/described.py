"""Spaces in JSON or TOML: what a program in any language writes, and the command line reads.

A space is an object of parameters by name. A list is the options of a choice; an object is one of

    {"options": ["a", "b"], "ordered": false}
    {"float": [0.0001, 0.1], "log": true, "step": null}
    {"int": [1, 100], "log": false, "step": 1}

each with ``"when": ["trees", ">", 99]`` and ``"prior": 0.01`` where it has them, see :class:`searchkit.Choice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searchkit.errors import SpaceError, UnknownNameError
from searchkit.space.choice import Choice
from searchkit.space.numbers import Float, Int
from searchkit.space.parameters import Parameter
from searchkit.space.space import Space

KINDS = {  # what says the kind of a parameter: what else it may have
    "options": ("ordered",),
    "float": ("log", "step"),
    "int": ("log", "step"),
}
BOTH = ("when", "prior")


def read_space(described: object, name: str = "space") -> Space:
    """The space that is described.

    Raises:
        SpaceError: it is no space; the message names the parameter and what is wrong.
    """
    if not isinstance(described, Mapping) or not described:
        raise SpaceError(
            f'a space is an object of parameters, such as {{"lr": {{"float": [0.0001, 0.1], "log": true}}, "kind": '
            f'["a", "b"]}}, not {_shown(described)}'
        )
    return Space([_parameter(str(one), value) for one, value in described.items()], name=name)


def _parameter(name: str, value: object) -> Parameter:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _parameter(name, {"options": value})
    kinds = [kind for kind in KINDS if isinstance(value, Mapping) and kind in value]
    if not isinstance(value, Mapping) or len(kinds) != 1:
        raise SpaceError(
            f'parameter \'{name}\' is a list of options, or an object with one of "options", "float" and "int", not '
            f"{_shown(value)}"
        )
    kind = kinds[0]
    allowed = (kind, *KINDS[kind], *BOTH)
    for key, setting in value.items():
        if key not in allowed:
            raise UnknownNameError.of(f"setting of parameter '{name}'", key, allowed)
        if key in ("ordered", "log") and not isinstance(setting, bool | None):
            raise SpaceError(f"'{key}' of parameter '{name}' is true or false, not {_shown(setting)}")
    more: dict[str, Any] = {key: _as_given(value[key]) for key in allowed[1:] if value.get(key) is not None}
    if kind == "options":
        return Choice(name, _listed(name, kind, value[kind], 1), **more)
    low, high = _listed(name, kind, value[kind], 2)[:2]
    return Float(name, low, high, **more) if kind == "float" else Int(name, low, high, **more)


def _listed(name: str, kind: str, value: object, least: int) -> tuple[Any, ...]:
    """The options of a choice, or the two ends of a range."""
    found = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(found) < least or (least == 2 and len(found) != 2):
        what = "a list of options" if least == 1 else "a list of its lowest and its highest value"
        raise SpaceError(f"'{kind}' of parameter '{name}' is {what}, not {_shown(value)}")
    for one in found:
        if isinstance(one, list | dict):
            raise SpaceError(
                f"options of parameter '{name}' are texts, numbers, true, false or null, not {_shown(one)}"
            )
    return found


def _as_given(value: Any) -> Any:
    """A list as the tuple, and a list of lists as the list of tuples, that parameters take."""
    if isinstance(value, list):
        inner = [tuple(one) if isinstance(one, list) else one for one in value]
        return inner if any(isinstance(one, tuple) for one in inner) else tuple(inner)
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
