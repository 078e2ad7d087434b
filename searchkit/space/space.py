"""Search spaces: a candidate is a row of option indices, and all methods take batches of rows.

``codes`` is always an ``(n, d)`` int64 matrix: n candidates, d decisions, entry = index of the chosen option.
:meth:`Space.encode` and :meth:`Space.decode` convert from and to dictionaries.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, first_line_said, nearest, plural
from searchkit.space.choice import Choice
from searchkit.space.indicators import indicators
from searchkit.types import Codes, Floats

_SEED_BYTES = 7  # of a digest: fits every generator's signed 64 bits


class Space:
    """A finite space: every combination of one option per choice.

    Args:
        choices: the decisions, in column order.
        name: of the space in errors and records.
        canonical: ``(n, d) -> (n, d)``, maps every candidate to the representative of those equal to it; idempotent.
            So equal candidates have equal rows and are evaluated once. Identity where not given.

    Raises:
        SpaceError: no choices, or two of one name; and wherever ``canonical`` is called, if it raises or returns
            something else.
    """

    def __init__(
        self,
        choices: Sequence[Choice],
        *,
        name: str = "custom",
        canonical: Callable[[Codes], Codes] | None = None,
    ) -> None:
        self.choices = tuple(choices)
        self.name = name
        self._canonical = canonical
        if not self.choices:
            raise SpaceError("a space needs at least one choice")
        for choice in self.choices:
            if not isinstance(choice, Choice):
                raise SpaceError(f"a space is made of Choice objects, not {type(choice).__name__}: {choice!r}")
        self.names = tuple(choice.name for choice in self.choices)
        twice = {name for name, n in Counter(self.names).items() if n > 1}
        if twice:
            raise SpaceError(f"choices must have different names; {', '.join(sorted(twice))} appears more than once")
        self.n_options: npt.NDArray[np.int64] = np.array([len(c.options) for c in self.choices], dtype=np.int64)

    def __repr__(self) -> str:
        candidates = f"{_readable(self.size)} candidate{'s' * (self.size != 1)}"
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
        """Number of combinations (before equal ones are merged)."""
        return math.prod(int(n) for n in self.n_options)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """``(n, d)`` canonical codes, each decision uniform and independent; rows may repeat."""
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
        return codes if self._canonical is None else self._by_function(self._canonical, codes)

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
        """One dictionary of options, or several, to canonical codes ``(n, d)``."""
        dictionaries = [choices] if isinstance(choices, Mapping) else list(choices)
        codes = np.empty((len(dictionaries), self.n_choices), dtype=np.int64)
        known = set(self.names)
        for i, dictionary in enumerate(dictionaries):
            for name in dictionary:
                if name not in known:
                    near = nearest(name, self.names)
                    hint = f" Did you mean '{near}'?" if near else ""
                    raise SpaceError(f"space '{self.name}' has no choice {name!r}: it has {list(self.names)}.{hint}")
            for j, choice in enumerate(self.choices):
                if choice.name not in dictionary:
                    raise SpaceError(f"candidate {i} says nothing of choice '{choice.name}'")
                codes[i, j] = choice.index(dictionary[choice.name])
        return self.check(codes)

    def decode(self, codes: npt.ArrayLike) -> list[dict[str, Any]]:
        """Codes ``(n, d)``, or ``(d,)`` of one candidate, to one dictionary of options per row.

        Options that can change, such as lists, are copies: what is done to them changes no other candidate's.

        Raises:
            SpaceError: as of :meth:`check`.
        """
        options = [choice.option for choice in self.choices]
        rows = self._valid(codes).tolist()
        return [{name: option(i) for name, option, i in zip(self.names, options, row, strict=True)} for row in rows]

    def neighbours(self, code: npt.ArrayLike, most: int | None = None, rng: np.random.Generator | None = None) -> Codes:
        """All distinct candidates one decision away from ``code`` ``(d,)``, canonical, without itself.

        Args:
            most: at most so many: of more, the adjacent options of ordered choices, and others at random.
            rng: draws them where there are more; not touched where there are not.
        """
        home = self.check_one(code)
        columns = np.repeat(np.arange(self.n_choices), self.n_options)
        options = np.arange(len(columns)) - np.repeat(np.cumsum(self.n_options) - self.n_options, self.n_options)
        other = options != home[columns]
        columns, options = columns[other], options[other]
        if most is not None and len(columns) > most:
            kept = self._drawn(np.abs(options - home[columns]), columns, most, rng or np.random.default_rng(0))
            columns, options = columns[kept], options[kept]
        steps = np.tile(home, (len(columns), 1))
        steps[np.arange(len(columns)), columns] = options
        found: Codes = np.unique(self.canonical(steps), axis=0) if len(steps) else steps
        away: Codes = found[(found != home).any(axis=1)]
        return away

    def _drawn(self, distances: Codes, columns: Codes, most: int, rng: np.random.Generator) -> Codes:
        """Which of the single changes ``(n,)`` are looked at: those to adjacent options of ordered choices go first."""
        ordered = np.array([choice.ordered for choice in self.choices])
        order = rng.permutation(len(columns))
        adjacent = (ordered[columns] & (distances == 1))[order]
        drawn: Codes = np.concatenate([order[adjacent], order[~adjacent]])[:most]
        return drawn

    def features(self, codes: Codes) -> Floats:
        """``(n, p)`` numbers in [0, 1] for models: one column per ordered choice, one-hot for the others.

        A choice of thousands of options has a few hundred columns (:mod:`searchkit.space.indicators`).
        """
        columns: list[Floats] = []
        for j, choice in enumerate(self.choices):
            if choice.ordered:
                columns.append(codes[:, j : j + 1] / max(1, len(choice.options) - 1))
            else:
                columns.append(indicators(codes[:, j], len(choice.options)))
        return np.concatenate(columns, axis=1)

    def enumerate(self, limit: int = 200_000) -> Codes:
        """All distinct canonical candidates, in lexicographic order; refused above ``limit`` combinations."""
        if self.size > limit:
            raise SpaceError(
                f"space '{self.name}' has {_readable(self.size)} combinations, more than the limit of {limit:,}"
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
        return {
            "name": self.name,
            "choices": [{"name": c.name, "options": list(c.labels), "ordered": c.ordered} for c in self.choices],
        }


def keys(codes: Codes) -> list[bytes]:
    """One hashable key per row; equal rows, equal keys."""
    rows = np.ascontiguousarray(codes, dtype=np.int64)
    found: list[bytes] = rows.view(f"V{8 * rows.shape[1]}").ravel().tolist()  # four times as fast as row.tobytes()
    return found


def network_seed(code: Codes, seed: int) -> int:
    """A seed that depends on a canonical candidate ``(d,)`` and the seed alone, not on the order of candidates."""
    digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=_SEED_BYTES)
    digest.update(str(seed).encode())
    return int.from_bytes(digest.digest(), "little")


def distinct_rows(codes: Codes) -> Codes:
    """``(m, d)`` rows of ``(n, d)`` codes without those that were there before, in their order."""
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]


def _readable(size: int) -> str:
    """1,234 or 1.2e+30; also for numbers beyond the largest float."""
    if size < 10**15:
        return f"{size:,}"
    exponent = int(math.log10(size))
    mantissa = f"{size / 10**exponent:.1f}"
    return f"{mantissa}e+{exponent}" if mantissa != "10.0" else f"1.0e+{exponent + 1}"
