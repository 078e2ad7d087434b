"""Settings of the training that the user gives: fixed values, and choices of which the search takes one a candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from searchkit.data.data import Data
from searchkit.errors import nearest
from searchkit.space import Choice, Float, Int, NetworkSpace, Parameter, is_number
from searchkit.space.recipe_space import RecipeSpace, Setting, listed_choice, networks_of
from searchkit.training.recipe import LEAST_STEPS, Recipe, RecipeError, rate_of
from searchkit.training.tasks.losses import LOSSES

SETTINGS = tuple(field.name for field in fields(Recipe))
LENGTH = ("epochs", "steps")  # settings that say how long a training is
_OTHER_NAMES = {"learning_rate": "lr", "rate": "lr", "wd": "weight_decay", "optim": "optimiser"}
_CALLED = {"regression": "a regression", "maps": "maps"}
_EXAMPLE = '{"lr": 0.05} or {"lr": [0.02, 0.05, 0.1]}'


@dataclass(frozen=True)
class OwnRecipe:
    """The user's settings.

    Attributes:
        fixed: settings with their values, without epochs.
        choices: settings of which the search chooses, named as they.
        epochs: of every training; None where that is not fixed.
        usual: settings that the space of the networks brings, see :class:`~searchkit.NetworkSpace`. Those of the user
            come before them; where these are of another optimiser, the space's do not hold.
    """

    fixed: tuple[tuple[str, Setting], ...] = ()
    choices: tuple[Parameter, ...] = ()
    epochs: int | None = None
    usual: tuple[tuple[str, Setting], ...] = ()

    @property
    def given(self) -> bool:
        """Whether the user has set anything."""
        return bool(self.fixed or self.choices or self.epochs)

    @property
    def options(self) -> dict[str, list[Setting]]:
        """Setting -> the values that it may have, as JSON values: one where it is fixed; without epochs that are.

        Of a number of a range, its ends.
        """
        return {name: [value] for name, value in self.fixed} | {c.name: _values(c) for c in self.choices}

    @property
    def sets_length(self) -> bool:
        """Whether it says how long trainings are, so that no time decides it."""
        return self.epochs is not None or any(name in self.options for name in LENGTH)

    @property
    def lacks_rate(self) -> bool:
        """Whether the user has set AdamW and nobody a learning rate for it."""
        return "adamw" in self.options.get("optimiser", []) and "lr" not in self.options | dict(self.usual)

    def described(self) -> dict[str, Setting | list[Setting]]:
        """The settings as JSON values, choices as lists; without epochs that are fixed."""
        return dict(self.fixed) | {choice.name: list(_values(choice)) for choice in self.choices}

    def over(self, networks: NetworkSpace, usual: Recipe) -> NetworkSpace:
        """The space of the networks, with the choices of the recipe where it has any.

        Args:
            usual: the recipe without these settings; designs to begin with are trained with its values where they are
                options.

        Raises:
            SpaceError: the space has a choice with the name of a setting.
        """
        return RecipeSpace(networks, self.choices, dataclasses.asdict(usual)) if self.choices else networks

    def applied(
        self, recipe: Recipe, kind: str, n: int, chosen: Mapping[str, Setting] | None = None, *, length: bool = True
    ) -> Recipe:
        """A recipe with these settings in place of its own; applied twice it is the same as once.

        Batches have no more than n examples. With batches of another size and no learning rate, images are learned at
        the default rate for that size; and a number of steps that the user has not given changes, so that they make as
        many passes.

        Args:
            kind: "images" or "table".
            n: examples that are learned from.
            chosen: what a candidate takes of the choices.
            length: False: the length is that of the recipe.
        """
        settings: dict[str, Any] = dict(self.fixed) | dict(chosen or {})
        usual = dict(self.usual)
        if settings.get("optimiser") in (None, usual.get("optimiser")):
            settings = usual | settings
        settings = {name: value for name, value in settings.items() if length or name not in LENGTH}
        size = settings.get("batch_size")
        if size is not None:
            size = settings["batch_size"] = min(size, max(n, 2))
            if "lr" not in settings and kind == "images":
                settings["lr"] = rate_of(size)
            if recipe.steps is not None and "steps" not in settings:
                examples = recipe.steps * min(recipe.batch_size, n)
                settings["steps"] = max(min(LEAST_STEPS, recipe.steps), round(examples / size))
        return replace(recipe, **settings)


NOTHING = OwnRecipe()


def read_recipe(given: object) -> OwnRecipe:
    """What ``recipe=`` of :func:`searchkit.run` means.

    Raises:
        RecipeError: it is no mapping and no :class:`Recipe`, has an unknown setting, or a value that is not allowed.
        SpaceError: the options of a setting make no choice.
    """
    if given is None:
        return NOTHING
    if isinstance(given, Recipe):
        values = dataclasses.asdict(given)
        del values["steps" if given.steps is None else "epochs"]
    elif isinstance(given, Mapping):
        values = dict(given)
    else:
        raise RecipeError(f"recipe is a mapping of settings, such as {_EXAMPLE}, or a Recipe, not {given!r:.80}")
    for name in values:
        _check_name(name)
    if all(name in values for name in LENGTH):
        raise RecipeError("recipe sets epochs and steps, and both say how long a training is: leave one of them out")
    fixed: dict[str, Any] = {}
    choices: list[Parameter] = []
    for name in SETTINGS:  # in one order, whatever the order they are given in
        if name not in values:
            continue
        value = values[name]
        if isinstance(value, Choice | Float | Int | list | tuple | range | np.ndarray | set | frozenset):
            choices.append(_choice(name, value))
        elif name != "steps" or value is not None:
            fixed[name] = _checked(name, value)
    Recipe(**fixed)
    epochs = fixed.pop("epochs", None)
    return OwnRecipe(tuple(fixed.items()), tuple(choices), epochs)


def own_space(space: NetworkSpace, own: OwnRecipe) -> tuple[NetworkSpace, OwnRecipe]:
    """The space of the networks, and the recipe with the settings that the space brings.

    These are its usual ones, and the choices of a space that has settings, as a result's may.

    Raises:
        RecipeError: both have a setting, or a usual one is not allowed.
    """
    own = replace(own, usual=_usual(space))
    if not isinstance(space, RecipeSpace):
        return space, own
    for choice in space.settings:
        _check_name(choice.name)
        if choice.name in own.options or (choice.name == "epochs" and own.epochs is not None):
            raise RecipeError(
                f"recipe sets '{choice.name}', and space '{space.name}' has the recipe's choice of that name already: "
                "leave it out, or give the space of the networks alone, space.networks"
            )
    choices = tuple(_choice(choice.name, choice) for choice in space.settings)
    return networks_of(space), replace(own, choices=(*choices, *own.choices))


def _usual(space: NetworkSpace) -> tuple[tuple[str, Setting], ...]:
    for name in space.recipe:
        if name not in SETTINGS or name in LENGTH:
            raise RecipeError(
                f"space '{space.name}' brings recipe={dict(space.recipe)!r}; what a space may bring is "
                f"{', '.join(setting for setting in SETTINGS if setting not in LENGTH)}"
            )
    return tuple((name, _checked(name, value)) for name, value in space.recipe.items())


def recorded_recipe(context: Mapping[str, Any], space: NetworkSpace) -> OwnRecipe:
    """The recipe of a study, from the context of its record and its space; epochs that were fixed are the call's.

    Raises:
        RecipeError: the record has a setting that a recipe does not have.
    """
    recorded = (context.get("call") or {}).get("recipe") or {}
    fixed = read_recipe({name: value for name, value in recorded.items() if not isinstance(value, list)})
    return own_space(space, fixed)[1]


_AUGMENT = {
    "table": "augment is of images, and data '{data}' are a table",
    "tokens": "augment is of images and signals, and data '{data}' are token sequences",
}


def check_effect(own: OwnRecipe, recipe: Recipe, data: Data, space: NetworkSpace) -> None:
    """Refuse settings that would have no effect on these data, unless their value is the default.

    Args:
        recipe: the default of the search, with the fixed settings.
        space: of the networks.

    Raises:
        RecipeError: there is one; the message says why, and what to do.
    """
    options, usual = own.options, Recipe()
    for name, useless in {
        "augment": _AUGMENT.get(data.kind, ""),
        "mixup": f"mixup mixes numbers, and data '{data.name}' are tokens" if data.kind == "tokens" else "",
        "label_smoothing": f"label_smoothing is of classes, and data '{{data}}' are {_CALLED[data.task]}"
        if data.target is not None
        else "",
        "momentum": "momentum is of sgd, and no candidate is trained with it"
        if "sgd" not in options.get("optimiser", [recipe.optimiser])
        else "",
        "distillation": f"distillation learns from the trained network that a space was made of, and space "
        f"'{space.name}' was made of none"
        if space.teacher is None
        else "",
    }.items():
        least = (getattr(usual, name), "none", 0.0)
        if useless and any(value not in least for value in options.get(name, [])):
            raise RecipeError(f"{useless.format(data=data.name)}: leave it out of the recipe")
    for loss in options.get("loss", []):
        if loss not in ("usual", *LOSSES[data.task]):
            raise RecipeError(
                f"loss '{loss}' is not one for {data.task}, the task of data '{data.name}': choose among "
                f"{', '.join(LOSSES[data.task])}"
            )


def told(options: Mapping[str, Sequence[Setting]]) -> str:
    """Settings with their values as text: "lr 0.02, 0.05 or 0.1; optimiser sgd"; see :attr:`OwnRecipe.options`."""
    return "; ".join(f"{name} {either(values)}" for name, values in options.items())


def either(values: Sequence[Setting]) -> str:
    """Values as text: "0.02, 0.05 or 0.1"."""
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    if isinstance(values, Ends):
        return " to ".join(texts)
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _check_name(name: object) -> None:
    if name in SETTINGS:
        return
    near = _OTHER_NAMES.get(str(name)) or nearest(name, SETTINGS)
    hint = f" Did you mean '{near}'?" if near else ""
    raise RecipeError(f"a recipe has no setting {name!r}: its settings are {', '.join(SETTINGS)}.{hint}")


def _checked(name: str, value: Any) -> Any:
    """A value of a setting as the recipe holds it: Python's numbers, and a float where the setting is one.

    Raises:
        RecipeError: it is not allowed.
    """
    kept = getattr(Recipe(**{name: value}), name)
    kind = next(field.type for field in fields(Recipe) if field.name == name)
    return float(kept) if kind == "float" else kept


class Ends(list[Setting]):
    """The two ends of a number's range, as a JSON value."""


def _values(choice: Parameter) -> list[Setting]:
    return Ends([choice.low, choice.high]) if is_number(choice) else list(choice.options)


def _choice(name: str, given: Any) -> Parameter:
    if isinstance(given, Choice | Float | Int) and given.name != name:
        kind = type(given).__name__
        raise RecipeError(f"the choice of setting '{name}' is named '{given.name}': give {kind}('{name}', ...)")
    if isinstance(given, Float | Int):
        for end in (given.low, given.high):
            if _checked(name, end) != end:
                raise RecipeError(f"setting '{name}' is a whole number: give Int('{name}', ...)")
        return given
    if isinstance(given, set | frozenset):
        return Choice(name, given)  # it says why that is refused
    given_options = given.options if isinstance(given, Choice) else np.ravel(given).tolist() if _array(given) else given
    if name == "steps" and None in given_options:
        raise RecipeError("steps is a whole number in each of its options, and None is not: choose of epochs instead")
    options = [_checked(name, one) for one in given_options]
    return given.with_options(options) if isinstance(given, Choice) else listed_choice(name, options)


def _array(given: Any) -> bool:
    return isinstance(given, np.ndarray)
