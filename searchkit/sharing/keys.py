"""Which parameters of two networks of a space are the same one: those of one key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from searchkit.errors import ProxyError, nearest
from searchkit.space import NetworkSpace, Node
from searchkit.space.precision_space import precision_names
from searchkit.types import Codes

Share = Literal["exact", "slice"]


@dataclass(frozen=True)
class Key:
    """What identifies a shared parameter.

    Attributes:
        name: dotted, in a network.
        shape: of the parameter; where slices are shared its number of axes alone, as of ``(-1, -1)``.
        options: ``((choice, option), ...)`` of the node that governs the name; empty where none does. Two options may
            have parameters of equal names and shapes (the batch norms after a 1x1 and after a 3x3 convolution), which
            are to learn apart.
    """

    name: str
    shape: tuple[int, ...]
    options: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        chosen = ", ".join(f"{choice}={option}" for choice, option in self.options)
        return f"{self.name} {self.shape}" + (f" [{chosen}]" if chosen else "")


class Keys:
    """Finds the keys of a space's parameters.

    Args:
        space: its nodes say with their ``module`` which names they govern. In a space without nodes, parameters of one
            name and shape are the same.
        share: "exact": parameters of different shapes are different ones. "slice": those of one name and number of
            axes are one, of which each network takes a part; options that are numbers (widths, kernels, expansions)
            then do not tell parameters apart, while other options (kinds of layers) do.
    """

    def __init__(self, space: NetworkSpace, share: Share) -> None:
        self.share = share
        precisions = precision_names(space)  # a network is trained in float32 whatever they are
        self.described = f"{share}, the same in all precisions" if precisions else str(share)
        self._columns = {name: column for column, name in enumerate(space.names) if name not in precisions}
        self._kinds = {choice.name for choice in space.choices if not all(map(_is_size, choice.options))}
        governing = [node for node in space.nodes if node.module]
        self._nodes = sorted(governing, key=lambda node: -len(node.module.split(".")))
        self._patterns = [_pattern(node) for node in self._nodes]
        self._found: dict[str, tuple[str, ...]] = {}

    def without(self, modules: Collection[str]) -> Node | None:
        """A node whose module is none of these; None where all are there."""
        pairs = zip(self._nodes, self._patterns, strict=True)
        return next((node for node, pattern in pairs if not any(map(pattern.match, modules))), None)

    @property
    def governed(self) -> bool:
        """Whether any node says which names it governs."""
        return bool(self._nodes)

    def of(self, name: str, shape: tuple[int, ...], code: Codes) -> Key:
        """The key of a parameter of the network of a canonical candidate ``(d,)``."""
        options = tuple((choice, int(code[self._columns[choice]])) for choice in self._choices(name))
        if self.share == "exact":
            return Key(name, shape, options)
        return Key(name, (-1,) * len(shape), tuple(pair for pair in options if pair[0] in self._kinds))

    def _choices(self, name: str) -> tuple[str, ...]:
        """The choices of the innermost node that governs a name."""
        if name not in self._found:
            found = (node for node, pattern in zip(self._nodes, self._patterns, strict=True) if pattern.match(name))
            node = next(found, None)
            self._found[name] = () if node is None else tuple(c for c in node.choices if c in self._columns)
        return self._found[name]


def read_share(given: object, space: NetworkSpace) -> Share:
    """What ``share=`` means; None is "slice" where a choice is a scale of numbers (widths, kernels), else "exact".

    Raises:
        ProxyError: it is nothing that there is.
    """
    if given is None:
        sizes = (choice.ordered and all(map(_is_size, choice.options)) for choice in space.choices)
        return "slice" if any(sizes) else "exact"
    for one in get_args(Share):
        if given == one:
            return one  # type: ignore[no-any-return]
    near = nearest(given, get_args(Share)) if isinstance(given, str) else None
    hint = f"; is {near!r} meant?" if near else ""
    raise ProxyError(f"share is one of {', '.join(get_args(Share))}, not {given!r}{hint}")


def _is_size(option: object) -> bool:
    return isinstance(option, int | float | np.number) and not isinstance(option, bool)


def _pattern(node: Node) -> re.Pattern[str]:
    parts = ["[^.]+" if part == "*" else re.escape(part) for part in node.module.split(".")]
    return re.compile(r"\.".join(parts) + r"(\.|$)")


def as_plain(key: Key) -> list[object]:
    """A key as JSON values."""
    return [key.name, list(key.shape), [list(pair) for pair in key.options]]


def read_key(plain: Mapping[int, object] | list[object]) -> Key:
    """The inverse of :func:`as_plain`."""
    name, shape, options = plain[0], plain[1], plain[2]
    assert isinstance(shape, list)
    assert isinstance(options, list)
    return Key(str(name), tuple(shape), tuple((str(choice), int(option)) for choice, option in options))
