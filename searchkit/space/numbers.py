"""Numbers among the parameters of a space: of a range, on a linear or a logarithmic scale, with or without steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final, overload

import numpy as np

from searchkit.errors import SpaceError, check_name
from searchkit.space.conditions import When, read_when
from searchkit.space.grids import Grid, Reals, Steps
from searchkit.space.labels import shown
from searchkit.space.prior import Prior, described, read_prior, repr_of
from searchkit.space.ranges import check_range, n_steps, real, whole
from searchkit.types import Codes, Floats

SAME = 1e-6  # of a step, within which a value is on it: floats are computed with


class Values(Sequence[Any]):
    """The values of a number in ascending order, made when they are asked for: there may be a million of millions."""

    def __init__(self, number: Float | Int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number.n_values

    @overload
    def __getitem__(self, index: int) -> int | float: ...
    @overload
    def __getitem__(self, index: slice) -> list[int | float]: ...
    def __getitem__(self, index: int | slice) -> int | float | list[int | float]:
        if isinstance(index, slice):
            return [self._number.option(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"'{self._number.name}' has {len(self):,} values, and none at {index}")
        return self._number.option(index % len(self))

    def __iter__(self) -> Iterator[int | float]:
        return (self._number.option(i) for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and self._number.range == other._number.range

    def __hash__(self) -> int:
        return hash(self._number.range)

    def __repr__(self) -> str:
        return f"<values of {self._number.said}>"


class _Number:
    """What :class:`Float` and :class:`Int` share: a name, a range, a scale, and values that are numbered from 0."""

    ordered: Final = True
    roles: Final = None

    name: str
    low: int | float
    high: int | float
    log: bool
    step: int | float | None
    when: tuple[When, ...]
    prior: Prior | None
    _grid: Grid

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return self._grid.size

    @property
    def range(self) -> tuple[str, int | float, int | float, bool, int | float | None]:
        """What decides the values: kind, ends, scale, step."""
        return type(self).__name__, self.low, self.high, self.log, self.step

    @property
    def said(self) -> str:
        """The range in words."""
        scale = ", on a logarithmic scale" if self.log else ""
        steps = "" if self.step in (None, 1) else f" in steps of {self.step}"
        return f"'{self.name}' from {self.low} to {self.high}{steps}{scale}"

    @property
    def options(self) -> Values:
        """All values in ascending order."""
        return Values(self)  # type: ignore[arg-type]  # there are no others than the two kinds

    @property
    def labels(self) -> Values:
        """The values as they are recorded: themselves."""
        return self.options

    def option(self, index: int) -> int | float:
        """The value of a code."""
        raise NotImplementedError

    def index(self, option: object) -> int:
        """The code of a value.

        Raises:
            SpaceError: it is no number, outside of the range, or between two steps; with the nearest value.
        """
        value, code = self._checked(option), self.nearest(option)
        near = self.option(code)
        if self.step is not None and abs(value - near) > SAME * self.step:
            raise SpaceError(f"{type(self).__name__} {self.said} has no value {shown(option)}; the nearest is {near}")
        return code

    def nearest(self, option: object) -> int:
        """The code of the value that is nearest to a number of the range.

        Raises:
            SpaceError: it is no number, or outside of the range.
        """
        return int(self.nearest_codes(np.array([self._checked(option)], dtype=np.float64))[0])

    def nearest_codes(self, values: Floats) -> Codes:
        """``(n,)`` :meth:`nearest` of numbers ``(n,)`` of the range."""
        return self._grid.codes(values)

    def _checked(self, option: object) -> int | float:
        if isinstance(option, np.generic | np.ndarray) and getattr(option, "ndim", 0) == 0:
            option = option.item()
        if isinstance(option, bool) or not isinstance(option, int | float) or not self.low <= option <= self.high:
            raise SpaceError(f"{type(self).__name__} {self.said} has no value {shown(option)}")
        return option

    def values(self, codes: Codes) -> Floats:
        """``(n,)`` values of codes, as float64."""
        return self._grid.values(codes)

    def positions(self, codes: Codes) -> Floats:
        """``(n,)`` where on the scale the values lie, from 0 to 1."""
        low, high = self._ends
        if low == high:
            return np.zeros(len(codes))
        values = self.values(codes)
        places = (np.log(values) if self.log else values) - low
        return np.clip(places / (high - low), 0.0, 1.0)

    def at(self, positions: Floats) -> Codes:
        """``(n,)`` codes of values near positions on the scale, which are cut to 0 and 1; floats of 12 digits."""
        low, high = self._ends
        places = low + np.clip(positions, 0.0, 1.0) * (high - low)
        return self._grid.codes(self._grid.short(np.exp(places) if self.log else places))

    def drawn(self, uniform: Floats) -> Codes:
        """``(n,)`` codes that are uniform on the scale, of uniform numbers in [0, 1)."""
        raise NotImplementedError

    @property
    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.log else (float(self.low), float(self.high))

    def describe(self) -> dict[str, Any]:
        """What identifies it in a record beside its conditions, as JSON values."""
        kind, low, high, log, step = self.range
        found = {"name": self.name, "kind": kind.lower(), "low": low, "high": high, "log": log, "step": step}
        return found | described(self.prior, self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Number):
            return NotImplemented
        return (self.name, self.range, self.when) == (other.name, other.range, other.when)

    def __hash__(self) -> int:
        return hash((self.name, self.range))

    def __repr__(self) -> str:
        more = [f", log={self.log}" if self.log else "", f", step={self.step}" if self.step not in (None, 1) else ""]
        both = repr_of(self.when, self.prior, self.options)
        return f"{type(self).__name__}({self.name!r}, {self.low!r}, {self.high!r}{''.join(more)}{both})"


class Float(_Number):
    """A real number of a range.

    It is searched as what it is: strategies move on its scale, and no grid is laid over it.

    Args:
        name: unique within a space.
        low, high: the ends; both may be taken.
        log: the scale is logarithmic, as of a learning rate.
        step: only ``low``, ``low + step`` ... are taken; the steps end at ``high``. Not with ``log``.
        when: where the parameter exists, such as ``("optimizer", "sgd")``; see :mod:`searchkit.space.conditions`.
        prior: a value that may be good, or ``(value, confidence)`` with a confidence between 0 and 1; see
            :mod:`searchkit.space.prior`.

    Raises:
        SpaceError: an argument is none of these; the message says what to give.
    """

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        *,
        log: bool = False,
        step: float | None = None,
        when: object = None,
        prior: object = None,
    ) -> None:
        check_name("a Float", name, SpaceError)
        self.name, self.log = name, bool(log)
        self.low, self.high = (real(name, side, value) for side, value in (("low", low), ("high", high)))
        check_range(self, "Float")
        self.step = None if step is None else real(name, "step", step)
        if self.low == self.high:
            self._grid = Steps(self.low, 1.0, 1)
        elif self.step is not None:
            self._grid = Steps(self.low, self.step, n_steps(self, self.step))
        else:
            self._grid = Reals(self.low, self.high, self.log)
        self.when = read_when(name, when)
        self.prior = read_prior(self, prior)

    def option(self, index: int) -> float:
        """The value of a code."""
        return self._grid.value(index)

    def drawn(self, uniform: Floats) -> Codes:
        """See :class:`Int`; of a range without steps, the nearest value."""
        if self.step is None:
            return self.at(uniform)
        return np.minimum((uniform * self.n_values).astype(np.int64), self.n_values - 1)


class Int(_Number):
    """A whole number of a range.

    A range of a million of millions costs no more than one of ten.

    Args:
        name: unique within a space.
        low, high: the ends; both may be taken.
        log: the scale is logarithmic.
        step: only ``low``, ``low + step`` ... are taken; the steps end at ``high``. Not with ``log``.
        when, prior: as for :class:`Float`.

    Raises:
        SpaceError: an argument is none of these; the message says what to give.
    """

    def __init__(
        self,
        name: str,
        low: int,
        high: int,
        *,
        log: bool = False,
        step: int = 1,
        when: object = None,
        prior: object = None,
    ) -> None:
        check_name("an Int", name, SpaceError)
        self.name, self.log = name, bool(log)
        self.low, self.high, self.step = (
            whole(name, side, value) for side, value in (("low", low), ("high", high), ("step", step))
        )
        check_range(self, "Int")
        self._low, self._step = self.low, self.step
        self._grid = Steps(float(self.low), float(self.step), n_steps(self, self.step))
        self.when = read_when(name, when)
        self.prior = read_prior(self, prior)

    def option(self, index: int) -> int:
        """The value of a code."""
        return self._low + index * self._step

    def nearest(self, option: object) -> int:
        """See :class:`Float`; exact for all whole numbers."""
        return round((Fraction(self._checked(option)) - self._low) / self._step)

    def drawn(self, uniform: Floats) -> Codes:
        """``(n,)`` codes of uniform numbers in [0, 1): each value's chance is its share of the scale."""
        if not self.log:
            return np.minimum((uniform * self.n_values).astype(np.int64), self.n_values - 1)
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return self._grid.codes(np.rint(np.exp(low + uniform * (high - low))))
