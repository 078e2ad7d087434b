"""Networks and how they are trained as one space: a network space with further choices, of settings of the training."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError
from searchkit.space.choice import Choice
from searchkit.space.network_space import Builder, NetworkSpace, Node
from searchkit.space.space import Space
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from torch import nn

Setting = str | int | float | bool | None  # the value of a setting


class RecipeSpace(NetworkSpace):
    """A network space with further choices, which say how its networks are trained.

    ``searchkit.run(recipe={"lr": [0.02, 0.1]})`` searches such a space, and ``result.space`` is it; its ``networks``
    is the space that was given.

    The choices of the networks come first, so that the first columns of a code are a code of the network space. All
    that is asked of a network (building, counting, nodes, graph features, canonical form) is asked of that space.

    Args:
        networks: the space of the networks.
        settings: the further choices, one or more, named as the settings of a training.
        usual: setting -> option that :attr:`reference` and :meth:`encode` take where nothing else is said; the first
            option where it is not given, or is no option.

    Raises:
        SpaceError: a choice of the networks has the name of a setting.
    """

    def __init__(
        self, networks: NetworkSpace, settings: Sequence[Choice], usual: Mapping[str, object] | None = None
    ) -> None:
        shared = [choice.name for choice in settings if choice.name in networks.names]
        if shared:
            raise SpaceError(
                f"the recipe has options for '{shared[0]}', and space '{networks.name}' has a choice of that name: "
                "rename the choice of the space, or leave the setting out of the recipe"
            )
        super().__init__(
            (*networks.choices, *settings),
            networks.builder,
            name=networks.name,
            canonical=networks.canonical_function,
            input_shape=networks.input_shape,
            n_classes=networks.n_classes,
            options=networks.options,
            count=None if networks.count is None else _count,
            graph=None if networks.graph_features is None else functools.partial(_graph, networks),
        )
        self.networks, self.settings = networks, tuple(settings)
        self._usual = {choice.name: _place(choice, dict(usual or {})) for choice in settings}

    @property
    def _usual_options(self) -> dict[str, object]:
        return {choice.name: choice.options[self._usual[choice.name]] for choice in self.settings}

    def of_networks(self, codes: Codes) -> Codes:
        """``(n, d)`` codes, or one ``(d,)``, without the columns of the settings."""
        part: Codes = codes[..., : self.networks.n_choices]
        return part

    def settings_of(self, code: Codes) -> dict[str, Setting]:
        """The settings that a candidate ``(d,)`` has chosen, by name."""
        chosen = zip(self.settings, code[self.networks.n_choices :], strict=True)
        return {choice.name: choice.option(int(i)) for choice, i in chosen}

    def over(self, networks: NetworkSpace) -> RecipeSpace:
        """The same settings over another space of networks with the same choices."""
        return RecipeSpace(networks, self.settings, self._usual_options)

    def canonical(self, codes: Codes) -> Codes:
        """See :meth:`Space.canonical`; of the networks' columns, the settings are as they are."""
        rows = self.networks.canonical(self.of_networks(codes))
        return np.concatenate([rows, codes[:, self.networks.n_choices :]], axis=1)

    def encode(self, choices: Mapping[str, object] | Iterable[Mapping[str, object]]) -> Codes:
        """See :meth:`Space.encode`; settings that a dictionary leaves out are the usual ones."""
        usual = self._usual_options
        given = [choices] if isinstance(choices, Mapping) else list(choices)
        return super().encode([usual | dict(one) for one in given])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """See :class:`NetworkSpace`; settings have no nodes."""
        return self.networks.nodes

    @property
    def teacher(self) -> nn.Module | None:
        """See :class:`NetworkSpace`."""
        return self.networks.teacher

    @property
    def teacher_ms(self) -> float | None:
        """See :class:`NetworkSpace`."""
        return self.networks.teacher_ms

    def fine_tuned(self, code: Codes) -> bool:
        """See :class:`NetworkSpace`."""
        return self.networks.fine_tuned(self.of_networks(code))

    @property
    def reference(self) -> Codes:
        """See :class:`NetworkSpace`; each design with the usual settings."""
        rows = self.networks.reference
        usual = [self._usual[choice.name] for choice in self.settings]
        return np.concatenate([rows, np.tile(np.array(usual, dtype=np.int64), (len(rows), 1))], axis=1)

    def build(self, code: npt.ArrayLike) -> nn.Module:
        """See :class:`NetworkSpace`: candidates that differ in settings alone are the same network."""
        return self.networks.build(self.of_networks(self.check_one(code)))

    def for_data(self, input_shape: Sequence[int], n_classes: int) -> RecipeSpace:
        """See :class:`NetworkSpace`."""
        return self.over(self.networks.for_data(input_shape, n_classes))

    def with_builder(self, build: Builder) -> RecipeSpace:
        """See :class:`NetworkSpace`."""
        return self.over(self.networks.with_builder(build))

    def describe(self) -> dict[str, Any]:
        """See :class:`NetworkSpace`; ``settings`` has the further choices with their options, which are JSON values."""
        return self.networks.describe() | {
            "choices": super().describe()["choices"],
            "settings": {choice.name: list(choice.options) for choice in self.settings},
        }


def networks_of(space: NetworkSpace) -> NetworkSpace:
    """The space of the networks alone: that of a :class:`RecipeSpace`, or the space itself."""
    return space.networks if isinstance(space, RecipeSpace) else space


def settings_of(space: NetworkSpace, code: Codes) -> dict[str, Setting]:
    """The settings that a candidate ``(d,)`` has chosen, by name; none where the space has no such choices."""
    return space.settings_of(code) if isinstance(space, RecipeSpace) else {}


def setting_names(space: Space) -> frozenset[str]:
    """Names of the choices that are settings; none where the space has no such choices."""
    return frozenset(choice.name for choice in space.settings) if isinstance(space, RecipeSpace) else frozenset()


def with_settings(networks: NetworkSpace, described: Mapping[str, Any]) -> NetworkSpace:
    """The space with the settings that a record has, see :meth:`RecipeSpace.describe`; the same space without any."""
    ordered = {choice["name"]: choice["ordered"] for choice in described["choices"]}
    settings = [Choice(name, options, ordered[name]) for name, options in (described.get("settings") or {}).items()]
    return RecipeSpace(networks, settings) if settings and not isinstance(networks, RecipeSpace) else networks


def listed_choice(name: str, options: Sequence[object]) -> Choice:
    """The choice of a setting from a list of its options; numbers that rise or fall lie on a scale."""
    choice = Choice(name, options)
    numbers = [one for one in choice.options if isinstance(one, int | float) and not isinstance(one, bool)]
    rising = len(numbers) == len(choice.options) and numbers in (sorted(numbers), sorted(numbers, reverse=True))
    return Choice(name, choice.options, ordered=True) if rising and len(numbers) > 1 else choice


def _place(choice: Choice, usual: Mapping[str, object]) -> int:
    """Index of the usual option of a setting; 0 where there is none."""
    try:
        return choice.index(usual[choice.name]) if choice.name in usual else 0
    except SpaceError:
        return 0


def _count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    assert isinstance(space, RecipeSpace)
    counter = space.networks.count
    assert counter is not None
    return counter(space.networks, space.of_networks(codes))


def _graph(networks: NetworkSpace, codes: Codes) -> Floats:
    assert networks.graph_features is not None
    return networks.graph_features(codes[:, : networks.n_choices])
