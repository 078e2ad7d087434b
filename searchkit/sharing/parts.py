"""Weights of a space for the networks of a part of it, and for the same networks in several precisions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from searchkit.data.data import Data
from searchkit.errors import SpaceError
from searchkit.sharing.shared_weights import SharedWeights
from searchkit.space import Choice, NetworkSpace, Space
from searchkit.space.precision_space import precision_names
from searchkit.space.recipe_space import networks_of
from searchkit.training.starts import Start, Trained
from searchkit.types import Codes, Floats

log = logging.getLogger("searchkit")

Given = TypeVar("Given")
OWN_OPTIONS = ("precisions",)  # of a space, that change no parameter of its networks


class Into:
    """Codes of a space as codes of another one, whose choices have the same options or more.

    Precisions of blocks, which change no parameter, may be choices of either.

    Args:
        space: of the networks that are searched, without settings of a training, which codes may have behind theirs.
        other: of whose networks the weights are.
        narrower: whether networks may be made with other options, such as another width.

    Raises:
        SpaceError: the other space lacks a choice or an option, or its networks are made with other options.
    """

    def __init__(self, space: NetworkSpace, other: NetworkSpace, narrower: bool = False) -> None:
        self._other, self._n = other, space.n_choices
        self.same = space.describe()["choices"] == other.describe()["choices"]
        self._tables: list[tuple[int, Codes] | None] = []  # for each choice there: the column here, and its options
        if not self.same:
            self._tables = _tables(space, other)
        here, there = (_options(one) for one in (space, other))
        if not narrower and here != there:
            raise SpaceError(
                f"the weights are of space '{other.name}' with the options {there}, and the networks to begin with "
                f"them are of {here}: these have other parameters"
            )

    def __call__(self, codes: Codes) -> Codes:
        """``(..., d)`` codes of the searched space as canonical ones ``(..., d')`` of the other."""
        codes = codes[..., : self._n]
        if self.same:
            return codes
        rows = np.atleast_2d(codes)
        none = np.zeros(len(rows), dtype=np.int64)
        columns = [none if table is None else table[1][rows[:, table[0]]] for table in self._tables]
        found: Codes = self._other.canonical(np.stack(columns, axis=1))
        return found.reshape(*codes.shape[:-1], -1)


def _options(space: NetworkSpace) -> dict[str, object]:
    return {name: value for name, value in space.options.items() if name not in OWN_OPTIONS}


def _tables(space: NetworkSpace, other: NetworkSpace) -> list[tuple[int, Codes] | None]:
    said = f"the weights are of space '{other.name}', whose choices are not those of space '{space.name}', which is "
    precisions = precision_names(space) | precision_names(other)
    lacking = [name for name in space.names if name not in other.names and name not in precisions]
    missing = [name for name in other.names if name not in space.names and name not in precisions]
    if lacking or missing or not (space.is_finite and other.is_finite):
        raise SpaceError(f"{said}searched")
    tables: list[tuple[int, Codes] | None] = []
    for choice in other.choices:
        if choice.name in precisions:
            tables.append(None)
            continue
        column = space.names.index(choice.name)
        here = space.choices[column]
        assert isinstance(here, Choice)
        assert isinstance(choice, Choice)
        lacks = [label for label in here.labels if label not in choice.labels]
        if lacks:
            raise SpaceError(f"{said}searched: they know no option {lacks[0]!r} of '{choice.name}'")
        tables.append((column, np.array([choice.index(option) for option in here.options], dtype=np.int64)))
    return tables


def proxy_of_part(given: Given, space: Space, data: Data | None) -> Given | SharedOfPart:
    """A proxy for the space that is searched: shared weights told in their own space; others stay as they are.

    Raises:
        SpaceError: shared weights of a space that lacks a choice or an option of this one.
    """
    if not isinstance(given, SharedWeights) or not isinstance(space, NetworkSpace):
        return given
    networks = networks_of(space)
    into = Into(networks, given.space, narrower=True)
    _say_other(given, networks, data)
    return given if into.same and networks is space else SharedOfPart(given, into)


def _say_other(shared: SharedWeights, networks: NetworkSpace, data: Data | None) -> None:
    """Log where shared weights judge other networks, or learned from other data, than those of a search."""
    here, there = _options(networks), _options(shared.space)
    if here != there:
        log.warning(
            "the shared weights are of networks of %s with %s, and judge those with %s in their place",
            shared.space.name, there, here,
        )  # fmt: skip
    if data is not None and data.without_test().fingerprint != shared.data.fingerprint:
        log.warning(
            "the shared weights were trained on other data than those of this search, and say how well networks "
            "learn those"
        )


def of_part(given: Start, into: Into) -> Start:
    """Weights for the networks of the space that is searched."""
    if into.same:
        return given
    return TrainedOfPart(given, into) if isinstance(given, Trained) else StartOfPart(given, into)


@dataclass(frozen=True)
class StartOfPart:
    """See :class:`~searchkit.training.starts.Start`."""

    given: Start
    into: Into

    @property
    def identity(self) -> str:
        return self.given.identity

    def start(self, code: Codes) -> Mapping[str, Tensor]:
        return self.given.start(self.into(code))


@dataclass(frozen=True)
class TrainedOfPart(StartOfPart):
    """See :class:`~searchkit.training.starts.Trained`."""

    def initial(self, code: Codes) -> Mapping[str, Tensor]:
        assert isinstance(self.given, Trained)
        return self.given.initial(self.into(code))


@dataclass
class SharedOfPart:
    """Shared weights as a proxy of the space that is searched; higher is better."""

    shared: SharedWeights
    into: Into
    name: str = SharedWeights.name
    needs_networks: bool = True

    def score(self, codes: Codes) -> Floats:
        """See :meth:`~searchkit.sharing.SharedWeights.score`."""
        return self.shared.score(self.into(codes))

    def why_none(self, code: Codes) -> str | None:
        """See :meth:`~searchkit.sharing.SharedWeights.why_none`."""
        return self.shared.why_none(self.into(code))
