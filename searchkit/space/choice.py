"""A decision and its options; the labels under which options are recorded."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from searchkit.errors import SpaceError, check_name, first_line_said, nearest
from searchkit.space.conditions import When, read_when
from searchkit.space.labels import Label, cut, is_named, key_of, label_text, labels_of, listed, plain, shown
from searchkit.space.prior import Prior, described, read_prior, repr_of

if TYPE_CHECKING:
    from searchkit.space.roles import Role, Roles

__all__ = ["Choice", "Label"]

_COMPARED = 1000  # options, and characters of each, that an error looks through for the nearest


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """One decision and its options.

    Args:
        name: unique within a space.
        options: two or more distinct values (one is allowed: a decision already taken). Anything may be
            an option that has a text (``str``) which is the same in every process, and differs from the others';
            strings and numbers are recorded as they are, functions and classes by name, the rest by that text. 1, 1.0
            and True are three options. The numbers of an array are taken as Python's. An option that can change, such
            as a list, has to be one that ``copy.deepcopy`` copies: every candidate is given its own.
        ordered: the options lie on a scale (widths, depths, a grid of learning rates), so that
            neighbouring options are similar.
        when: where the choice exists, such as ``("optimizer", "sgd")``; see :mod:`searchkit.space.conditions`.
        prior: an option that may be good, or ``(option, confidence)``; see :mod:`searchkit.space.prior`.
        roles: what each option means in any space, one dictionary or None for each: ``{"kind": "conv", "kernel": 3,
            "params": 9, "depthwise": False}``; see :mod:`searchkit.space.roles`. No part of what identifies a space.
    """

    _no_identity = ("roles",)  # for searchkit.runtime.fingerprint

    # Held by those choices alone that have any, so that fingerprints of the others are what they were without.
    when: ClassVar[tuple[When, ...]] = ()
    prior: ClassVar[Prior | None] = None

    name: str
    options: tuple[Any, ...]
    ordered: bool = False
    roles: Roles | None = field(default=None, repr=False)

    def __init__(
        self,
        name: str,
        options: Iterable[object],
        ordered: bool = False,
        roles: Sequence[Role | None] | None = None,
        *,
        when: object = None,
        prior: object = None,
    ) -> None:
        check_name("a choice", name, SpaceError)
        if isinstance(options, str | bytes | set | frozenset):
            why = ", whose order differs between processes" if isinstance(options, set | frozenset) else ""
            kind = {str: "string", frozenset: "set"}.get(type(options), type(options).__name__)
            raise SpaceError(f"choice '{name}' got the {kind} {shown(options)} as options{why}; give a list of options")
        object.__setattr__(self, "name", name)
        try:
            given = tuple(options.tolist() if isinstance(options, np.ndarray) and options.ndim == 1 else options)
        except TypeError:
            raise SpaceError(f"choice '{name}' got {shown(options)} as options; give a sequence of options") from None
        object.__setattr__(self, "options", given)
        object.__setattr__(self, "ordered", bool(ordered))
        if not self.options:
            raise SpaceError(f"choice '{name}' has no options; give at least one")
        object.__setattr__(self, "roles", None if roles is None else self._read_roles(roles))
        object.__setattr__(self, "_labels", labels_of(name, self.options))
        object.__setattr__(self, "_changeable", tuple(map(self._can_change, self.options, self.labels)))
        if when is not None and (conditions := read_when(name, when)):
            object.__setattr__(self, "when", conditions)
        if prior is not None:
            object.__setattr__(self, "prior", read_prior(self, prior))

    def with_options(self, options: Iterable[object]) -> Choice:
        """The same choice of other options, under the same conditions; without roles and prior."""
        return Choice(self.name, options, self.ordered, when=self.when)

    def describe(self) -> dict[str, Any]:
        """What identifies it in a record beside its conditions, as JSON values."""
        found = {"name": self.name, "options": list(self.labels), "ordered": self.ordered}
        return found | described(self.prior, self.labels)

    def _read_roles(self, given: object) -> Roles | None:
        from searchkit.space.roles import read_roles  # few choices have any, and every import takes time

        return read_roles(self.name, len(self.options), given)

    def __eq__(self, other: object) -> bool:
        """Of the same name, order, options and labels; options by :func:`searchkit.space.labels.key_of`."""
        if not isinstance(other, Choice):
            return NotImplemented
        mine, others = ((c.name, c.ordered, [*map(key_of, c.labels)], [*map(key_of, c.options)]) for c in (self, other))
        return mine == others and self.when == other.when

    def __hash__(self) -> int:
        return hash((self.name, self.ordered, self.labels))

    def __repr__(self) -> str:
        both = repr_of(self.when, self.prior, self.options)
        return f"Choice(name={self.name!r}, options={self.options!r}, ordered={self.ordered}{both})"

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_places"}  # keys are of this process

    def option(self, index: int) -> Any:
        """The option of an index, as it is given to a candidate: its own copy where it can change, such as a list."""
        changeable: tuple[bool, ...] = self._changeable  # type: ignore[attr-defined]  # set once in __init__
        return copy.deepcopy(self.options[index]) if changeable[index] else self.options[index]

    def _can_change(self, option: Any, label: Label) -> bool:
        if isinstance(option, ModuleType):
            return False
        try:
            return copy.deepcopy(option) is not option
        except Exception as error:
            raise SpaceError(
                f"choice '{self.name}' has the option {cut(str(label))}, which cannot be copied "
                f"({type(error).__name__}: {first_line_said(error)}), so that a candidate could change it for all "
                "later ones. Give a string, and look the object up by it where you build; or a __deepcopy__ of its "
                "own, which may return itself"
            ) from error

    @property
    def labels(self) -> tuple[Label, ...]:
        """The options as they are recorded: scalars as they are, functions and classes by name, others by ``str``.

        Scalars that compare equal (1, 1.0, True) or that JSON cannot hold (NaN) are recorded by their ``str`` too.
        All labels differ; where the texts of options are equal, their types or a digest of what they hold are added.
        """
        labels: tuple[Label, ...] = self._labels  # type: ignore[attr-defined]  # set once in __init__, not a field
        return labels

    @property
    def texts(self) -> tuple[str, ...]:
        """The labels as texts that all differ, for tables and pages: ``repr`` where several have the same ``str``."""
        times = Counter(map(str, self.labels))
        return tuple(str(label) if times[str(label)] == 1 else repr(label) for label in self.labels)

    def index(self, option: object) -> int:
        """Index of an option, given as itself, as a copy of it, as its label, or as a number equal to it.

        Raises:
            SpaceError: there is no such option, with the nearest one.
        """
        for exact in (option, plain(option)):
            key = key_of(exact)
            if key is not None and key in self._places:
                return self._places[key]
        equal = self._equals(option)
        if equal is not None:
            return equal
        near = nearest(_said(option)[:_COMPARED], [str(label)[:_COMPARED] for label in self.labels[:_COMPARED]])
        hint = f" Did you mean {cut(near)!r}?" if near else ""
        raise SpaceError(
            f"choice '{self.name}' has no option {shown(option)}: choose from {listed(self.labels)}.{hint}"
        )

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        """Key of every option and label -> its index; those of options go first."""
        keys = [*map(key_of, self.options), *map(key_of, self.labels)]
        places: dict[Hashable, int] = {}
        for i, key in enumerate(keys):
            if key is not None:
                places.setdefault(key, i % len(self.options))
        return places

    def _equals(self, option: Any) -> int | None:
        """The first option that is equal, of another type too (8 for 8.0); a bool equals no number."""
        for i, known in enumerate(self.options):
            if known is option or (isinstance(known, bool) == isinstance(option, bool) and _equal(known, option)):
                return i
        return None


def _said(option: Any) -> str:
    try:
        return str(option)
    except Exception:
        return ""


def _equal(known: Any, option: Any) -> bool:
    """Equal, as arrays where they are; objects without an own equality, and their copies, by their text."""
    own = getattr(type(known), "__eq__", None) is not getattr(object, "__eq__", None)
    if not own:
        return type(known) is type(option) and not is_named(known) and label_text(known) == _said(option)
    try:
        same = known == option
        if hasattr(same, "all") and hasattr(known, "shape"):
            return getattr(option, "shape", None) == known.shape and bool(same.all())
        return bool(same)
    except Exception:  # of the object's own code
        return False
