"""What can be chosen: a candidate is a row of option indices, and a space is batch first.

``codes`` is everywhere an ``(n, d)`` int64 matrix: n candidates, d decisions, entry = index of the chosen
option. Dictionaries exist only at the two doors, :meth:`Space.encode` and :meth:`Space.decode`.
"""

from __future__ import annotations

import copy
import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, nearest

if TYPE_CHECKING:
    from torch import nn

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Label = str | int | float | bool | None


@dataclass(frozen=True)
class Choice:
    """One decision and its options.

    Args:
        name: unique within a space.
        options: two or more distinct values (one is allowed: a decision already taken). Anything may be
            an option; strings and numbers are recorded as they are, functions and classes by name, the rest by
            ``str``.
        ordered: the options lie on a scale (widths, depths, a grid of learning rates), so that
            neighbouring options are alike.
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
        labels = [str(label) for label in self.labels]
        for label in labels:
            if " at 0x" in label:
                raise SpaceError(
                    f"choice '{name}' has an option without a name, {label}: a record could not tell it in another "
                    "process. Give strings, and look the objects up by them where you build; or a __str__ of its own"
                )
        twice = {label for label in labels if labels.count(label) > 1}
        if twice:
            hint = "; define functions by def, each under its own name" if "<lambda>" in "".join(twice) else ""
            raise SpaceError(
                f"choice '{name}' lists {', '.join(sorted(twice))} more than once; options must differ{hint}"
            )

    @property
    def labels(self) -> tuple[Label, ...]:
        """The options as they are recorded: scalars as they are, functions and classes by name, others by ``str``.

        Scalars that compare equal (1, 1.0, True) or that JSON cannot hold (NaN) are recorded by their ``str`` too.
        """
        labels: tuple[Label, ...] = self._labels  # type: ignore[attr-defined]  # made once, not part of its identity
        return labels

    def index(self, option: Any) -> int:
        """Index of an option, given as itself or as its label."""
        for group in (self.options, self.labels):
            for i, known in enumerate(group):
                if known is option or (type(known) is type(option) and _equal(known, option)):
                    return i
        for i, known in enumerate(self.options):  # 8 for 8.0, numpy scalars: equal is enough
            if not isinstance(option, bool) and not isinstance(known, bool) and _equal(known, option):
                return i
        near = nearest(option, [str(label) for label in self.labels])
        hint = f" Did you mean {near!r}?" if near else ""
        raise SpaceError(f"choice '{self.name}' has no option {option!r}: choose from {list(self.labels)}.{hint}")


class Space:
    """A finite space: every combination of one option per choice.

    Args:
        choices: the decisions, in column order.
        name: what errors and records call it.
        canonical: ``(n, d) -> (n, d)``, maps every candidate to the representative of its equals; idempotent.
            Equal candidates then have equal rows, so that none is paid for twice. Identity where not given.
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
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise SpaceError(f"choices must have different names; {', '.join(sorted(twice))} appears more than once")
        self.n_options: npt.NDArray[np.int64] = np.array([len(c.options) for c in self.choices], dtype=np.int64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.name}', {len(self.choices)} choices, {_readable(self.size)} candidates)"

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
        """Validate codes and return them canonical, as ``(n, d)`` int64; one row may be given as ``(d,)``."""
        given = np.asarray(codes)
        rows = np.atleast_2d(given)
        if rows.ndim != 2 or rows.shape[1] != self.n_choices:
            raise SpaceError(
                f"candidates of space '{self.name}' have {self.n_choices} choices; got an array of shape {given.shape}"
            )
        if rows.dtype.kind not in "iu" and (rows.dtype.kind != "f" or not np.all(rows == np.floor(rows))):
            raise SpaceError(f"candidates are rows of whole option indices; got dtype {rows.dtype}")
        rows = rows.astype(np.int64)
        bad = np.argwhere((rows < 0) | (rows >= self.n_options))
        if len(bad):
            row, column = bad[0]
            choice = self.choices[column]
            raise SpaceError(
                f"candidate {row} takes option {rows[row, column]} of choice '{choice.name}', "
                f"which has {len(choice.options)} (0 to {len(choice.options) - 1})"
            )
        return self.canonical(rows)

    def canonical(self, codes: Codes) -> Codes:
        """Map valid codes to the representatives of their equals; shape kept."""
        return codes if self._canonical is None else self._canonical(codes)

    def encode(self, choices: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> Codes:
        """One dictionary of options, or several, to canonical codes ``(n, d)``."""
        dictionaries = [choices] if isinstance(choices, Mapping) else list(choices)
        codes = np.empty((len(dictionaries), self.n_choices), dtype=np.int64)
        for i, dictionary in enumerate(dictionaries):
            for name in dictionary:
                if name not in self.names:
                    near = nearest(name, self.names)
                    hint = f" Did you mean '{near}'?" if near else ""
                    raise SpaceError(f"space '{self.name}' has no choice {name!r}: it has {list(self.names)}.{hint}")
            for j, choice in enumerate(self.choices):
                if choice.name not in dictionary:
                    raise SpaceError(f"candidate {i} says nothing of choice '{choice.name}'")
                codes[i, j] = choice.index(dictionary[choice.name])
        return self.check(codes)

    def decode(self, codes: npt.ArrayLike) -> list[dict[str, Any]]:
        """Codes to one dictionary of options per row."""
        options = [choice.options for choice in self.choices]
        rows = np.atleast_2d(np.asarray(codes)).tolist()
        return [{name: o[i] for name, o, i in zip(self.names, options, row, strict=True)} for row in rows]

    def neighbours(self, code: npt.ArrayLike) -> Codes:
        """All distinct candidates one decision away from ``code`` ``(d,)``, canonical, without itself."""
        home = self.check(code)
        steps = [
            np.where(np.arange(self.n_choices) == j, option, home[0])
            for j in range(self.n_choices)
            for option in range(int(self.n_options[j]))
            if option != home[0, j]
        ]
        if not steps:
            return home[:0]
        found: Codes = np.unique(self.canonical(np.stack(steps)), axis=0)
        away: Codes = found[(found != home).any(axis=1)]
        return away

    def features(self, codes: Codes) -> Floats:
        """``(n, p)`` numbers in [0, 1] for models: one column per ordered choice, one-hot for the others."""
        columns: list[Floats] = []
        for j, choice in enumerate(self.choices):
            if choice.ordered:
                columns.append(codes[:, j : j + 1] / max(1, len(choice.options) - 1))
            else:
                columns.append((codes[:, j : j + 1] == np.arange(len(choice.options))).astype(np.float64))
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

    def describe(self) -> dict[str, Any]:
        """What identifies the space in a record, as JSON values."""
        return {
            "name": self.name,
            "choices": [{"name": c.name, "options": list(c.labels), "ordered": c.ordered} for c in self.choices],
        }


@dataclass(frozen=True)
class Node:
    """A block node of a modular space: the choices that decide it, and the shapes it maps between.

    Shapes are ``(channels, height, width)`` of one image, without the batch.

    Args:
        choices: whose options are the node's alternatives.
        block: nodes of one name form a block, such as the layers of a stage. The space's canonical map may move things
            within a block, and not between blocks. A node without a name is a block of its own.
        module: dotted name of the node's module in a built network, such as "stages.0.1"; empty where there is no one
            module (the edges of a cell that is repeated).
        optional: ``(choice, least)``: the node is there only where the option of that choice is at least ``least``,
            such as ``("depth", 3)`` for a third layer. Elsewhere it is "no block". The choice belongs to the block.
    """

    name: str
    choices: tuple[str, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    block: str = ""
    module: str = ""
    optional: tuple[str, Any] | None = None


Builder = Callable[..., "nn.Module"]
Counter = Callable[["NetworkSpace", Codes], Mapping[str, Floats]]


class NetworkSpace(Space):
    """A space whose candidates are torch networks.

    Args:
        choices, name, canonical: as for :class:`Space`.
        build: ``build(choices, input_shape, n_classes) -> nn.Module``; ``choices`` is the dictionary of
            options, ``input_shape`` is ``(channels, height, width)`` of the images. The network returns logits
            ``(batch, n_classes)``. A module-level function where candidates are trained in other processes.
        input_shape, n_classes: of the data. ``searchkit.run`` sets them from its data. A space for tables says so by an
            input_shape ``(features,)``, of any number; in regression n_classes is 1.
        options: whatever the space was made with; recorded, so that two settings are not confused.
        count: optional ``count(space, codes) -> {"params": (n,), "macs": (n,)}``, exact and vectorised. Without
            it every candidate is built on the meta device and counted, some 20 ms each.
        nodes: optional ``nodes(space) -> tuple[Node, ...]`` for block-wise methods.
        graph: optional ``codes (n, d) -> (n, g)``, features of the networks' graph that models learn from.
    """

    def __init__(
        self,
        choices: Sequence[Choice],
        build: Builder,
        *,
        name: str = "custom",
        canonical: Callable[[Codes], Codes] | None = None,
        input_shape: tuple[int, ...] = (3, 32, 32),
        n_classes: int = 10,
        options: Mapping[str, Any] | None = None,
        count: Counter | None = None,
        nodes: Callable[[NetworkSpace], tuple[Node, ...]] | None = None,
        graph: Callable[[Codes], Floats] | None = None,
    ) -> None:
        super().__init__(choices, name=name, canonical=canonical)
        if not callable(build):
            raise SpaceError(f"build is a function (choices, input_shape, n_classes) -> nn.Module, not {build!r}")
        self.input_shape = tuple(int(n) for n in input_shape)
        self.n_classes = int(n_classes)
        self.options = dict(options or {})
        self.count = count
        self._build = build
        self._nodes = nodes
        self.graph_features = graph

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The block nodes, in depth order; empty where the space names none."""
        return () if self._nodes is None else self._nodes(self)

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """A freshly initialised network for one candidate ``(d,)``; seed torch before for a fixed draw."""
        choices = self.decode(self.check(code))[0]
        return self._build(choices, self.input_shape, self.n_classes)

    def for_data(self, input_shape: Sequence[int], n_classes: int) -> NetworkSpace:
        """The same space for images of another shape or another number of classes."""
        other = copy.copy(self)
        other.input_shape = tuple(int(n) for n in input_shape)
        other.n_classes = int(n_classes)
        return other

    def describe(self) -> dict[str, Any]:
        """What identifies the space in a record, as JSON values."""
        return super().describe() | {
            "options": self.options,
            "input_shape": list(self.input_shape),
            "n_classes": self.n_classes,
        }


def keys(codes: Codes) -> list[bytes]:
    """One hashable key per row; equal rows, equal keys."""
    rows = np.ascontiguousarray(codes, dtype=np.int64)
    found: list[bytes] = rows.view(f"V{8 * rows.shape[1]}").ravel().tolist()  # four times as fast as row.tobytes()
    return found


def _labels(options: tuple[Any, ...]) -> tuple[Label, ...]:
    """One label an option: what a record can hold, and as much like the option as that allows."""
    scalars = [o for o in options if _is_scalar(o)]
    labels: list[Label] = [
        o if _is_scalar(o) and sum(o == other for other in scalars) == 1 else _name(o) for o in options
    ]
    texts = [str(label) for label in labels]
    return tuple(
        f"{option.__module__}.{label}" if _is_named(option) and texts.count(text) > 1 else label
        for option, label, text in zip(options, labels, texts, strict=True)
    )


def _is_scalar(option: Any) -> bool:
    """Exactly a type that JSON gives back: a subclass, such as an enumeration's, would come back as another type."""
    return type(option) in (str, int, bool, type(None)) or (type(option) is float and math.isfinite(option))


def _is_named(option: Any) -> bool:
    return callable(option) and hasattr(option, "__qualname__") and hasattr(option, "__module__")


def _name(option: Any) -> str:
    if isinstance(option, enum.Enum):
        return f"{type(option).__qualname__}.{option.name}"
    return str(option.__qualname__ if _is_named(option) else option)


def _readable(size: int) -> str:
    """1,234 or 1.2e+30; also of numbers beyond the largest float."""
    if size < 10**15:
        return f"{size:,}"
    exponent = int(math.log10(size))
    mantissa = f"{size / 10**exponent:.1f}"
    return f"{mantissa}e+{exponent}" if mantissa != "10.0" else f"1.0e+{exponent + 1}"


def _equal(known: Any, option: Any) -> bool:
    try:
        return bool(known == option)
    except (TypeError, ValueError):
        return False
