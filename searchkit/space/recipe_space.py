"""Networks and how they are trained as one space: a network space with further choices, of settings of the training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from searchkit.errors import SpaceError
from searchkit.space.choice import Choice
from searchkit.space.network_space import NetworkSpace
from searchkit.space.parameters import Parameter, is_number, read_parameters
from searchkit.space.space import Space
from searchkit.space.wider_space import WiderSpace
from searchkit.types import Codes

Setting = str | int | float | bool | None  # the value of a setting


class RecipeSpace(WiderSpace):
    """A network space with further choices, which say how its networks are trained.

    ``searchkit.run(recipe={"lr": [0.02, 0.1]})`` searches such a space, and ``result.space`` is it; its ``networks``
    is the space that was given. Candidates that differ in settings alone are the same network.

    Args:
        networks: the space of the networks.
        settings: the further choices, one or more, named as the settings of a training.
        usual: setting -> option that :attr:`reference` and :meth:`encode` take where nothing else is said; the first
            option where it is not given, or is no option.

    Raises:
        SpaceError: a choice of the networks has the name of a setting.
    """

    def __init__(
        self, networks: NetworkSpace, settings: Sequence[Parameter], usual: Mapping[str, object] | None = None
    ) -> None:
        shared = [choice.name for choice in settings if choice.name in networks.names]
        if shared:
            raise SpaceError(
                f"the recipe has options for '{shared[0]}', and space '{networks.name}' has a choice of that name: "
                "rename the choice of the space, or leave the setting out of the recipe"
            )
        super().__init__(networks, settings)
        self.settings = self.further
        self._usual = {choice.name: _place(choice, dict(usual or {})) for choice in settings}

    @property
    def usual_options(self) -> dict[str, object]:
        return {choice.name: choice.options[self._usual[choice.name]] for choice in self.settings}

    @property
    def usual(self) -> Codes:
        """``(k,)`` codes of the usual settings."""
        return np.array([self._usual[choice.name] for choice in self.settings], dtype=np.int64)

    def settings_of(self, code: Codes) -> dict[str, Setting]:
        """The settings that a candidate ``(d,)`` has chosen, by name."""
        return cast(dict[str, Setting], self.chosen(code))

    def over(self, networks: NetworkSpace) -> RecipeSpace:
        """The same settings over another space of networks with the same choices."""
        return RecipeSpace(networks, self.settings, self.usual_options)

    def encode(self, choices: Mapping[str, object] | Iterable[Mapping[str, object]]) -> Codes:
        """See :meth:`Space.encode`; settings that a dictionary leaves out are the usual ones."""
        usual = self.usual_options
        given = [choices] if isinstance(choices, Mapping) else list(choices)
        return super().encode([usual | dict(one) for one in given])

    def describe(self) -> dict[str, Any]:
        """See :class:`NetworkSpace`; ``settings`` has the further choices with their options, which are JSON values."""
        return super().describe() | {
            "settings": {one.name: one.said if is_number(one) else list(one.options) for one in self.settings}
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
    recorded = {choice["name"]: choice for choice in described["choices"]}
    settings = read_parameters([recorded[name] for name in described.get("settings") or {}])
    return RecipeSpace(networks, settings) if settings and not isinstance(networks, RecipeSpace) else networks


def listed_choice(name: str, options: Sequence[object]) -> Choice:
    """The choice of a setting from a list of its options; numbers that rise or fall lie on a scale."""
    choice = Choice(name, options)
    numbers = [one for one in choice.options if isinstance(one, int | float) and not isinstance(one, bool)]
    rising = len(numbers) == len(choice.options) and numbers in (sorted(numbers), sorted(numbers, reverse=True))
    return Choice(name, choice.options, ordered=True) if rising and len(numbers) > 1 else choice


def _place(choice: Parameter, usual: Mapping[str, object]) -> int:
    """Index of the usual option of a setting; 0 where there is none."""
    try:
        return choice.index(usual[choice.name]) if choice.name in usual else 0
    except SpaceError:
        return 0
