"""Search spaces: a candidate is a row of whole numbers, and all methods take batches of rows.

``codes`` is always an ``(n, d)`` int64 matrix: n candidates, d parameters, entry = index of the chosen option, or of
the value of a number (:mod:`searchkit.space.numbers`).
:meth:`Space.encode` and :meth:`Space.decode` convert from and to dictionaries.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, check_functions, first_line_said, plural
from searchkit.space.choice import Choice
from searchkit.space.conditions import Conditions
from searchkit.space.dictionaries import decoded, encoded
from searchkit.space.indicators import indicators
from searchkit.space.neighbours import neighbours
from searchkit.space.numbers import Float, Int
from searchkit.space.parameters import Parameter, at_positions, drawn, is_number, on_its_scale, positions
from searchkit.types import Bools, Codes, Floats


class Space:
    """A space: every combination of one option per choice, and of one value per number.

    Args:
        choices: the parameters, in column order: :class:`~searchkit.Choice`, :class:`~searchkit.Float` and
            :class:`~searchkit.Int`. They may exist under conditions (``when=``); a candidate's dictionary has those
            that exist.
        name: of the space in errors and records.
        canonical: ``(n, d) -> (n, d)``, maps every candidate to the representative of those equal to it; idempotent.
            So equal candidates have equal rows and are evaluated once. Identity where not given.

    Raises:
        SpaceError: no choices, two of one name, or conditions that name unknown parameters or go round in a circle;
            and wherever ``canonical`` is called, if it raises or returns something else.
    """

    def __init__(
        self,
        choices: Sequence[Parameter],
        *,
        name: str = "custom",
        canonical: Callable[[Codes], Codes] | None = None,
    ) -> None:
        self.choices: tuple[Parameter, ...] = tuple(choices)
        self.name = name
        self._canonical = canonical
        check_functions(canonical=("(codes) -> codes (n, d)", canonical))
        if not self.choices:
            raise SpaceError("a space needs at least one choice")
        for choice in self.choices:
            if not isinstance(choice, Choice | Float | Int):
                raise SpaceError(
                    f"a space is made of Choice, Float and Int objects, not {type(choice).__name__}: {choice!r}"
                )
        self.names = tuple(choice.name for choice in self.choices)
        twice = {name for name, n in Counter(self.names).items() if n > 1}
        if twice:
            raise SpaceError(f"choices must have different names; {', '.join(sorted(twice))} appears more than once")
        self.n_options: npt.NDArray[np.int64] = np.array([len(c.options) for c in self.choices], dtype=np.int64)
        conditions = Conditions(self.choices) if any(choice.when for choice in self.choices) else None
        numbers = tuple((j, choice) for j, choice in enumerate(self.choices) if is_number(choice))
        if conditions is not None or numbers:  # attributes of these spaces alone: fingerprints of others stay
            self._conditions, self._numbers = conditions, numbers

    _conditions: Conditions | None = None
    _numbers: tuple[tuple[int, Float | Int], ...] = ()

    @property
    def conditions(self) -> Conditions | None:
        """Which parameters exist under which conditions; None where all always do."""
        return self._conditions

    @property
    def numbers(self) -> tuple[tuple[int, Float | Int], ...]:
        """The columns of the numbers of a range (Float and Int), and these."""
        return self._numbers

    @property
    def numeric(self) -> Bools:
        """``(d,)`` bool: the parameters that are numbers of a range (Float and Int)."""
        return np.isin(np.arange(self.n_choices), [j for j, _ in self._numbers])

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are choices that always exist, so that options can be counted and listed."""
        return not self._numbers and self._conditions is None

    def active(self, codes: Codes) -> Bools:
        """``(n, d)`` bool: which parameters of canonical candidates exist."""
        return np.ones(codes.shape, dtype=bool) if self._conditions is None else self._conditions.active(codes)

    def positions(self, codes: Codes) -> Floats:
        """``(n, d)`` candidates as points: numbers and ordered choices from 0 to 1 on their scales, others by index.

        NaN where a parameter does not exist.
        """
        exists = None if self._conditions is None else self._conditions.active(codes)
        return positions(self.choices, codes, exists)

    def from_positions(self, points: Floats) -> Codes:
        """``(n, d)`` the canonical candidates that are nearest to points, see :meth:`positions`."""
        return self.canonical(at_positions(self.choices, points))

    def __repr__(self) -> str:
        candidates = f"{readable_size(self.size)} candidate{'s' * (self.size != 1)}"
        return f"{type(self).__name__}('{self.name}', {plural(len(self.choices), 'choice')}, {candidates})"

    @property
    def canonical_function(self) -> Callable[[Codes], Codes] | None:
        """The function that the space was made with as ``canonical=``; None without one."""
        return self._canonical

    @property
    def n_choices(self) -> int:
        """Number of decisions, d."""
        return len(self.choices)

    @property
    def size(self) -> int:
        """Number of combinations (before equal ones are merged); of a number, its floats are counted."""
        return math.prod(int(n) for n in self.n_options)

    def sample(self, n: int, rng: np.random.Generator | int) -> Codes:
        """``(n, d)`` canonical codes, each parameter uniform on its scale and independent; rows may repeat.

        Args:
            rng: a generator, or the seed of one.
        """
        rng = np.random.default_rng(rng)  # a generator is left as it is
        if self._numbers:
            return self.canonical(drawn(self.choices, n, rng))
        return self.canonical(rng.integers(0, self.n_options, size=(n, self.n_choices)))

    def check(self, codes: npt.ArrayLike) -> Codes:
        """Validate codes and return them canonical, as ``(n, d)`` int64; one row may be given as ``(d,)``.

        Raises:
            SpaceError: rows of another length, entries that are not whole, or no option has such an index.
        """
        return self.canonical(self._valid(codes))

    def _valid(self, codes: npt.ArrayLike) -> Codes:
        """Validated codes ``(n, d)`` int64, as they are; see :meth:`check`."""
        try:
            given = np.asarray(codes)
        except ValueError:
            raise SpaceError(
                f"candidates of space '{self.name}' are rows of {self.n_choices} option indices each, not {codes!r:.80}"
            ) from None
        rows = np.atleast_2d(given)
        if rows.ndim != 2 or rows.shape[1] != self.n_choices:
            raise SpaceError(
                f"candidates of space '{self.name}' have {plural(self.n_choices, 'choice')}; got an array of shape "
                f"{given.shape}"
            )
        if rows.dtype.kind not in "iuf":
            raise SpaceError(f"candidates are rows of whole option indices; got dtype {rows.dtype}")
        if rows.dtype.kind == "f" and not np.all(rows == np.floor(rows)):
            raise SpaceError(f"candidates are rows of whole option indices; got {rows[rows != np.floor(rows)][0]}")
        bad = np.argwhere((rows < 0) | (rows >= self.n_options))
        if len(bad):
            row, column = bad[0]
            choice = self.choices[column]
            raise SpaceError(
                f"candidate {row} takes option {rows[row, column]} of choice '{choice.name}', "
                f"which has {len(choice.options)} (0 to {len(choice.options) - 1})"
            )
        return rows.astype(np.int64)

    def check_one(self, code: npt.ArrayLike) -> Codes:
        """Validate one candidate, ``(d,)`` or ``(1, d)``, and return it canonical, as ``(d,)``."""
        rows = self.check(code)
        if len(rows) != 1:
            raise SpaceError(f"one candidate of space '{self.name}' is wanted, and the array has {len(rows)} rows")
        row: Codes = rows[0]
        return row

    def canonical(self, codes: Codes) -> Codes:
        """Map valid codes to their representatives; the shape is kept."""
        if self._conditions is None:
            return codes if self._canonical is None else self._by_function(self._canonical, codes)
        rows = self._conditions.canonical(codes)
        return rows if self._canonical is None else self._conditions.canonical(self._by_function(self._canonical, rows))

    def _by_function(self, function: Callable[[Codes], Codes], codes: Codes) -> Codes:
        """What the user's function makes of codes, checked."""
        said = f"canonical of space '{self.name}'"
        try:
            rows = np.asarray(function(codes.copy()))
        except Exception as error:
            raise SpaceError(
                f"{said} raised {type(error).__name__}: {first_line_said(error)}; it is a function of codes "
                "(n, d), and returns an array of the same shape"
            ) from error
        if rows.shape != codes.shape or rows.dtype.kind not in "iuf" or not np.all(rows == np.floor(rows)):
            raise SpaceError(
                f"{said} returned shape {rows.shape} and type {rows.dtype} for codes of shape {codes.shape}: "
                "it returns whole option indices of the same shape"
            )
        if np.any((rows < 0) | (rows >= self.n_options)):
            raise SpaceError(f"{said} returned an option that a choice does not have: {rows.tolist()!r:.80}")
        return rows.astype(np.int64, copy=False)

    def encode(self, choices: Mapping[str, object] | Iterable[Mapping[str, object]]) -> Codes:
        """One dictionary of options, or several, to canonical codes ``(n, d)``.

        A parameter that does not exist in a candidate may be left out; what is said of it makes no difference.
        """
        return self.check(encoded(self, choices))

    def decode(self, codes: npt.ArrayLike) -> list[dict[str, Any]]:
        """Codes ``(n, d)``, or ``(d,)`` of one candidate, to one dictionary of options per row.

        A parameter that does not exist in a candidate is not in its dictionary.
        Options that can change, such as lists, are copies: what is done to them changes no other candidate's.

        Raises:
            SpaceError: as of :meth:`check`.
        """
        return decoded(self, self._valid(codes))

    def neighbours(self, code: npt.ArrayLike, most: int | None = None, rng: np.random.Generator | None = None) -> Codes:
        """All distinct candidates one decision away from ``code`` ``(d,)``, canonical, without itself.

        Of numbers some: steps of several lengths on their scales.

        Args:
            most: at most so many: of more, the adjacent options of ordered choices, and others at random.
            rng: draws them where there are more; not touched where there are not.
        """
        return neighbours(self, self.check_one(code), most, rng)

    def features(self, codes: Codes) -> Floats:
        """``(n, p)`` numbers in [0, 1] for models: one column per ordered choice, one-hot for the others.

        A choice of thousands of options has a few hundred columns (:mod:`searchkit.space.indicators`).
        """
        columns: list[Floats] = []
        for j, choice in enumerate(self.choices):
            if choice.ordered:
                columns.append(on_its_scale(choice, codes[:, j])[:, None])
            else:
                columns.append(indicators(codes[:, j], len(choice.options)))
        return np.concatenate(columns, axis=1)

    def enumerate(self, limit: int = 200_000) -> Codes:
        """All distinct canonical candidates, in lexicographic order; refused above ``limit`` combinations."""
        if self.size > limit:
            raise SpaceError(
                f"space '{self.name}' has {readable_size(self.size)} combinations, more than the limit of {limit:,}"
            )
        places = np.append(np.cumprod(self.n_options[:0:-1])[::-1], 1)  # candidate i as a number of mixed radix
        codes = np.arange(self.size)[:, None] // places % self.n_options
        return np.unique(self.canonical(codes), axis=0)

    def narrowed(self, options: Mapping[str, Iterable[object]]) -> Space:
        """The candidates that take some of the options alone, as a space: of networks where this one is.

        See :func:`searchkit.space.narrower_space.narrowed`.

        Args:
            options: choice -> the options that are left, one or more; other choices keep theirs.

        Raises:
            UnknownNameError: there is no such choice.
            SpaceError: there is no such option, or none is left.
        """
        from searchkit.space.narrower_space import narrowed

        return narrowed(self, options)

    def describe(self) -> dict[str, Any]:
        """What identifies the space in a record, as JSON values."""
        parents = dict(zip(self.names, self.choices, strict=True))
        conditions = [[one.describe(parents[one.parent]) for one in choice.when] for choice in self.choices]
        return {
            "name": self.name,
            "choices": [
                choice.describe() | ({"when": when} if when else {})
                for choice, when in zip(self.choices, conditions, strict=True)
            ],
        }


def readable_size(size: int) -> str:
    """1,234 or 1.2e+30; also for numbers beyond the largest float."""
    if size < 10**15:
        return f"{size:,}"
    exponent = int(math.log10(size))
    mantissa = f"{size / 10**exponent:.1f}"
    return f"{mantissa}e+{exponent}" if mantissa != "10.0" else f"1.0e+{exponent + 1}"
