"""With which settings shared weights are trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from searchkit.data.data import Data
from searchkit.errors import ProxyError
from searchkit.space import NetworkSpace
from searchkit.training.own_recipe import own_space, read_recipe
from searchkit.training.recipe import Recipe, recipe_for

ELSEWHERE = {"batch_size": "batch", "steps": "epochs", "epochs": "epochs"}  # settings that are arguments
UNUSED = ("mixup", "distillation")


def recipe_of(
    space: NetworkSpace, data: Data, batch: int, lr: float | None, given: Mapping[str, object] | None
) -> Recipe:
    """The settings of the training: the user's, before the space's own, before those that suit sharing."""
    usual = replace(recipe_for(data.kind, len(data.train)), augment=None)
    if data.kind == "images":
        usual = replace(usual, optimiser="sgd", lr=0.05, weight_decay=3e-4)
        if data.augment == "shift":  # each network has few steps; digits rank better without, CIFAR-10 with crop-flip
            usual = replace(usual, augment="none")
    _check(given or {}, lr)
    own = dict(given or {}) | {"batch_size": batch} | ({} if lr is None else {"lr": lr})
    _, read = own_space(space, read_recipe(own))
    if read.choices or read.epochs is not None:
        raise ProxyError("the recipe of shared weights has one value of each setting; epochs= says how long it is")
    n = len(data.train)
    applied = read.applied(usual, data.kind, n)
    return applied if "lr" in read.options | dict(read.usual) else replace(applied, lr=usual.lr)


def _check(given: Mapping[str, object], lr: float | None) -> None:
    """Refuse settings that another argument says, or that a training of shared weights does not have.

    Raises:
        ProxyError: it names the setting.
    """
    for name in ELSEWHERE.keys() & given.keys():
        raise ProxyError(f"{name} of the recipe of shared weights is their argument {ELSEWHERE[name]}=: give it there")
    for name in UNUSED:
        if given.get(name):
            raise ProxyError(f"shared weights are trained without {name}, so that the recipe cannot set it")
    if lr is not None and "lr" in given:
        raise ProxyError(f"lr is {lr}, and {given['lr']!r} in recipe: leave one of them out")


def check_numbers(**given: object) -> None:
    """Refuse what is neither None nor a finite number above 0.

    Raises:
        ProxyError: of which argument, by its name.
    """
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):  # type: ignore[operator]
            raise ProxyError(f"{name} is a number above 0, not {value!r}")


STEPS = 3000  # of a training whose length nobody gave
LEAST_EPOCHS, MOST_EPOCHS = 20, 200


def usual_epochs(n: int, batch: int) -> int:
    """Epochs of a training on n examples: enough for :data:`STEPS` steps, within bounds."""
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, -(-STEPS // max(1, n // min(batch, n)))))
