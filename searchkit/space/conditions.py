"""Conditions: parameters that exist only where others have certain values.

``when=("optimizer", "sgd")`` says that a parameter exists where the optimizer is sgd; ``("optimizer", ["sgd",
"rmsprop"])`` where it is one of the two, ``("optimizer", "!=", "adam")`` where it is another; ``("layers", ">=", 3)``
where a number is large enough. A list of these has to
hold as a whole. Where a parameter does not exist, those under it do not exist either. Candidates that differ in such
parameters alone are one candidate: its code has 0 there, and its dictionary leaves them out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SpaceError, nearest
from searchkit.space.labels import plain, shown
from searchkit.types import Bools, Codes

if TYPE_CHECKING:
    from searchkit.space.parameters import Parameter

SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
EQUAL = ("==", "in")  # the same as without a sign
FORM = '(parameter, value), (parameter, [values]) or (parameter, ">=", number)'


@dataclass(frozen=True)
class When:
    """One condition.

    Attributes:
        parent: name of the parameter that decides.
        values: of the parent, any of which it needs; empty with a sign.
        sign, number: "<", "<=", ">" or ">=", and what the parent is compared with; "" without. "!=" with the values
            that it must not have.
    """

    parent: str
    values: tuple[Any, ...]
    sign: str = ""
    number: float = 0.0

    def describe(self, parent: Parameter) -> list[Any]:
        """The condition as JSON values: the parent's options by their labels."""
        if self.sign in SIGNS:
            return [self.parent, self.sign, self.number]
        values = [parent.labels[parent.index(value)] for value in self.values]
        return [self.parent, self.sign, values] if self.sign else [self.parent, values]

    def __repr__(self) -> str:
        if self.sign in SIGNS:
            return repr((self.parent, self.sign, self.number))
        values = self.values[0] if len(self.values) == 1 else list(self.values)
        return repr((self.parent, self.sign, values) if self.sign else (self.parent, values))


def read_when(name: str, given: object) -> tuple[When, ...]:
    """The conditions of a parameter; see the module.

    Raises:
        SpaceError: they have another form.
    """
    if given is None or (isinstance(given, tuple | list) and not given):
        return ()
    if isinstance(given, When):
        return (given,)
    several = isinstance(given, tuple | list) and not isinstance(given[0], str)
    parts = list(given) if several else [given]  # type: ignore[call-overload]  # it is a list or a tuple there
    return tuple(_read(name, part) for part in parts)


def _read(name: str, given: object) -> When:
    if isinstance(given, When):
        return given
    if not isinstance(given, tuple | list) or len(given) not in (2, 3) or not isinstance(given[0], str):
        raise SpaceError(f"when of '{name}' is {FORM}, or a list of these, not {shown(given)}")
    if len(given) == 2:
        values = given[1]
        several = isinstance(values, list | set | frozenset | range)
        if several and not values:
            raise SpaceError(f"when of '{name}' names no value of '{given[0]}': it is {FORM}")
        return When(given[0], tuple(values) if several else (values,))
    parent, sign, number = given
    if not isinstance(sign, str):
        sign = shown(sign)
    if sign in EQUAL:
        return _read(name, (parent, list(number) if sign == "in" and not isinstance(number, str) else number))
    if sign == "!=":
        return When(parent, tuple(number) if isinstance(number, list) else (number,), sign)
    if sign not in SIGNS:
        raise SpaceError(
            f"when of '{name}' compares by {', '.join(SIGNS)}, == or !=, not by {shown(sign)}; it is {FORM}"
        )
    number = plain(number)
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        raise SpaceError(f"when of '{name}' compares '{parent}' with a number, not with {shown(number)}")
    return When(parent, (), sign, number)


class Conditions:
    """The conditions of a space: which parameters of a candidate exist.

    Args:
        parameters: of the space, in column order.

    Raises:
        SpaceError: a condition names an unknown parameter, itself, or a value that it does not have; or parameters are
            each under the other.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._columns = {one.name: j for j, one in enumerate(parameters)}
        self._under = {
            j: [(self._columns[self._parent(one.name, when)], _test(one.name, when, parameters)) for when in one.when]
            for j, one in enumerate(parameters)
            if one.when
        }
        self._order = self._sorted(parameters)

    def __bool__(self) -> bool:
        return bool(self._under)

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns of the parameters that have conditions."""
        return tuple(sorted(self._under))

    @property
    def order(self) -> tuple[int, ...]:
        """All columns, each after those that decide whether its parameter exists."""
        free = [j for j in range(len(self._columns)) if j not in self._under]
        return (*free, *self._order)

    def parents(self, column: int) -> tuple[int, ...]:
        """Columns that decide whether a parameter exists."""
        return tuple(parent for parent, _ in self._under.get(column, ()))

    def active(self, codes: Codes) -> Bools:
        """``(n, d)`` bool: which parameters of candidates ``(n, d)`` exist."""
        exists = np.ones(codes.shape, dtype=bool)
        for column in self._order:
            for parent, test in self._under[column]:
                exists[:, column] &= exists[:, parent] & test(codes[:, parent])
        return exists

    def canonical(self, codes: Codes) -> Codes:
        """The candidates with 0 where a parameter does not exist."""
        return np.where(self.active(codes), codes, 0)

    def _parent(self, name: str, when: When) -> str:
        if when.parent not in self._columns:
            near = nearest(when.parent, list(self._columns))
            hint = f" Did you mean '{near}'?" if near else ""
            raise SpaceError(
                f"'{name}' exists when '{when.parent}' has a value, and the space has no such parameter: it has "
                f"{list(self._columns)}.{hint}"
            )
        if when.parent == name:
            raise SpaceError(f"'{name}' exists when it has a value itself; its condition names another parameter")
        return when.parent

    def _sorted(self, parameters: Sequence[Parameter]) -> list[int]:
        """Columns with conditions, each after those that decide it."""
        order: list[int] = []
        waiting = set(self._under)
        while waiting:
            ready = sorted(j for j in waiting if not waiting & {parent for parent, _ in self._under[j]})
            if not ready:
                names = ", ".join(f"'{parameters[j].name}'" for j in sorted(waiting))
                raise SpaceError(f"conditions go round in a circle: whether {names} exist depends on each other")
            order += ready
            waiting -= set(ready)
        return order


def _test(name: str, when: When, parameters: Sequence[Parameter]) -> Callable[[Codes], Bools]:
    """Whether the parent's codes ``(n,)`` fulfil a condition."""
    from searchkit.space.choice import Choice  # which imports this module

    parent = next(one for one in parameters if one.name == when.parent)
    if when.sign in ("", "!="):
        try:
            codes = sorted({parent.index(value) for value in when.values})
        except SpaceError as error:
            several = any(isinstance(value, tuple) for value in when.values)
            hint = "; several values are a list" if several else ""
            raise SpaceError(f"when of '{name}': {error}{hint}") from None
        return _OneOf(np.array(codes, dtype=np.int64), when.sign == "!=")
    holds = SIGNS[when.sign]
    if not isinstance(parent, Choice):
        if not holds(parent.low, when.number) and not holds(parent.high, when.number):
            raise SpaceError(f"when of '{name}': no value of {parent.said} is {when.sign} {when.number}")
        return _Compared(parent.values, holds, when.number)
    for option in parent.options:
        if isinstance(option, bool) or not isinstance(option, int | float):
            raise SpaceError(
                f"when of '{name}' compares '{when.parent}' with {when.number}, and it has the option "
                f"{shown(option)}, which is no number; name its values"
            )
    held = np.flatnonzero([holds(option, when.number) for option in parent.options])
    if not len(held):
        raise SpaceError(f"when of '{name}': no option of '{when.parent}' is {when.sign} {when.number}")
    return _OneOf(held.astype(np.int64))


@dataclass(frozen=True)
class _OneOf:
    codes: Codes
    others: bool = False  # all but these

    def __call__(self, codes: Codes) -> Bools:
        return np.isin(codes, self.codes, invert=self.others)


@dataclass(frozen=True)
class _Compared:
    values: Callable[[Codes], Any]
    holds: Callable[[Any, Any], Any]
    number: float

    def __call__(self, codes: Codes) -> Bools:
        return np.asarray(self.holds(self.values(codes), self.number), dtype=bool)
