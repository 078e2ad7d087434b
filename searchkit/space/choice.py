"""A decision and its options; the labels under which options are recorded."""

from __future__ import annotations

import copy
import enum
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from searchkit.errors import SpaceError, first_line_said, nearest

Label = str | int | float | bool | None

_LOOKED_UP = (str, int, float, bool, type(None), tuple)  # types whose equal values have equal hashes


@dataclass(frozen=True)
class Choice:
    """One decision and its options.

    Args:
        name: unique within a space.
        options: two or more distinct values (one is allowed: a decision already taken). Anything may be
            an option; strings and numbers are recorded as they are, functions and classes by name, the rest by
            ``str``. An option that can change, such as a list, has to be one that ``copy.deepcopy`` copies: every
            candidate is given its own.
        ordered: the options lie on a scale (widths, depths, a grid of learning rates), so that
            neighbouring options are similar.
    """

    name: str
    options: tuple[Any, ...]
    ordered: bool = False

    def __init__(self, name: str, options: Iterable[Any], ordered: bool = False) -> None:
        if not isinstance(name, str) or not name:
            raise SpaceError(f"a choice's name is a non-empty string, not {name!r}")
        if isinstance(options, str):
            raise SpaceError(f"choice '{name}' got the string {options!r} as options; give a sequence of options")
        object.__setattr__(self, "name", name)
        plain = (option.item() if isinstance(option, np.generic) else option for option in options)
        object.__setattr__(self, "options", tuple(plain))
        object.__setattr__(self, "ordered", bool(ordered))
        if not self.options:
            raise SpaceError(f"choice '{name}' has no options; give at least one")
        object.__setattr__(self, "_labels", _labels(self.options))
        object.__setattr__(self, "_places", _places(self.options, self.labels))
        labels = [str(label) for label in self.labels]
        for label in labels:
            if " at 0x" in label:
                raise SpaceError(
                    f"choice '{name}' has an option without a name, {label}: a record could not tell it in another "
                    "process. Give strings, and look the objects up by them where you build; or a __str__ of its own"
                )
        object.__setattr__(self, "_changeable", tuple(map(self._can_change, self.options, labels)))
        twice = {label for label, n in Counter(labels).items() if n > 1}
        if twice:
            hint = "; define functions by def, each under its own name" if "<lambda>" in "".join(twice) else ""
            raise SpaceError(
                f"choice '{name}' lists {', '.join(sorted(twice))} more than once; options must differ{hint}"
            )

    def option(self, index: int) -> Any:
        """The option of an index, as it is given to a candidate: its own copy where it can change, such as a list."""
        changeable: tuple[bool, ...] = self._changeable  # type: ignore[attr-defined]  # set once in __init__
        return copy.deepcopy(self.options[index]) if changeable[index] else self.options[index]

    def _can_change(self, option: Any, label: str) -> bool:
        if isinstance(option, ModuleType):
            return False
        try:
            return copy.deepcopy(option) is not option
        except Exception as error:
            raise SpaceError(
                f"choice '{self.name}' has the option {label}, which cannot be copied ({type(error).__name__}: "
                f"{first_line_said(error)}), so that a candidate could change it for all later ones. Give a string, "
                "and look the object up by it where you build; or a __deepcopy__ of its own, which may return itself"
            ) from error

    def _place(self, option: Any) -> int | None:
        """The index of an option or label that has a hash by value; None where it has to be compared with each."""
        plain = option.item() if isinstance(option, np.generic) else option
        if not _is_looked_up(plain):
            return None
        places: dict[tuple[type, Any], int] = self._places  # type: ignore[attr-defined]  # set once in __init__
        found = places.get((type(plain), plain))
        return places.get((object, plain)) if found is None and not isinstance(plain, bool) else found

    @property
    def labels(self) -> tuple[Label, ...]:
        """The options as they are recorded: scalars as they are, functions and classes by name, others by ``str``.

        Scalars that compare equal (1, 1.0, True) or that JSON cannot hold (NaN) are recorded by their ``str`` too.
        """
        labels: tuple[Label, ...] = self._labels  # type: ignore[attr-defined]  # set once in __init__, not a field
        return labels

    def index(self, option: Any) -> int:
        """Index of an option, given as itself or as its label."""
        place = self._place(option)
        if place is not None:
            return place
        for group in (self.options, self.labels):
            for i, known in enumerate(group):
                if known is option or (type(known) is type(option) and _equal(known, option)):
                    return i
        for i, known in enumerate(self.options):  # 8 for 8.0, numpy scalars: equal but of another type
            if not isinstance(option, bool) and not isinstance(known, bool) and _equal(known, option):
                return i
        near = nearest(option, [str(label) for label in self.labels])
        hint = f" Did you mean {near!r}?" if near else ""
        raise SpaceError(f"choice '{self.name}' has no option {option!r}: choose from {list(self.labels)}.{hint}")


def _places(options: tuple[Any, ...], labels: tuple[Label, ...]) -> dict[tuple[type, Any], int]:
    """Type and value of each option or label that has a hash by value -> its index; under ``object``, numbers by value.

    With it an option is found in a time that does not grow with their number. The first of equal ones counts, an option
    before a label.
    """
    places: dict[tuple[type, Any], int] = {}
    for group in (options, labels):
        for i, known in enumerate(group):
            if _is_looked_up(known):
                places.setdefault((type(known), known), i)
    for i, known in enumerate(options):
        if type(known) in (int, float):
            places.setdefault((object, known), i)
    return places


def _labels(options: tuple[Any, ...]) -> tuple[Label, ...]:
    """One label per option that a record can hold: the option itself where possible."""
    equal = Counter(o for o in options if _is_scalar(o))
    labels: list[Label] = [o if _is_scalar(o) and equal[o] == 1 else _name(o) for o in options]
    texts = [str(label) for label in labels]
    alike = Counter(texts)
    return tuple(
        f"{option.__module__}.{label}" if _is_named(option) and alike[text] > 1 else label
        for option, label, text in zip(options, labels, texts, strict=True)
    )


def _is_scalar(option: Any) -> bool:
    """Of a type that JSON restores exactly; a subclass, such as an enumeration's, would be restored as another type."""
    return type(option) in (str, int, bool, type(None)) or (type(option) is float and math.isfinite(option))


def _is_looked_up(option: Any) -> bool:
    """Of a type that is compared by value, and with a hash: a tuple that holds a list has none."""
    if type(option) is tuple:
        try:
            hash(option)
        except Exception:  # of a list inside, or of whatever object the user's is
            return False
    return type(option) in _LOOKED_UP


def _is_named(option: Any) -> bool:
    return callable(option) and hasattr(option, "__qualname__") and hasattr(option, "__module__")


def _name(option: Any) -> str:
    if isinstance(option, enum.Enum):
        return f"{type(option).__qualname__}.{option.name}"
    return str(option.__qualname__ if _is_named(option) else option)


def _equal(known: Any, option: Any) -> bool:
    """Equal, as arrays where they are; objects without an own equality, and their copies, by their text."""
    own = getattr(type(known), "__eq__", None) is not getattr(object, "__eq__", None)
    if not own and type(known) is type(option) and not _is_named(known):
        return _name(known) == _name(option)
    try:
        same = known == option
        if hasattr(same, "all") and hasattr(known, "shape"):
            return getattr(option, "shape", None) == known.shape and bool(same.all())
        return bool(same)
    except (TypeError, ValueError):
        return type(known) is type(option) and _name(known) == _name(option)
