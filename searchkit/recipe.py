"""How a candidate is trained, checked when it is written down."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from searchkit.errors import SearchkitError

Optimiser = Literal["sgd", "adamw"]


class RecipeError(SearchkitError, ValueError):
    """A recipe that cannot be followed."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; the defaults suit small networks on small images.

    Args:
        epochs: passes over the train part.
        batch_size: examples a step.
        lr: peak of the one-cycle schedule.
        optimiser: "sgd" (Nesterov momentum) or "adamw" (give it a lower lr, about 0.005).
        momentum: of SGD.
        weight_decay: of weights of two or more dimensions; not of biases and normalisations.
        label_smoothing: share of the target that is spread over all classes.
        warm_up: share of the steps in which the rate rises.
    """

    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.1
    optimiser: Optimiser = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warm_up: float = 0.2

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2)):  # a batch of one has no variance to normalise by
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise RecipeError(f"{name} is a whole number of at least {least}, not {value!r}")
        if self.optimiser not in get_args(Optimiser):
            raise RecipeError(f"optimiser is one of {', '.join(get_args(Optimiser))}, not {self.optimiser!r}")
        numbers = [field.name for field in fields(self) if field.type == "float"]
        for name in numbers:
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise RecipeError(f"{name} is a number, not {value!r}")
        for name in ("momentum", "label_smoothing", "warm_up"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name} is in [0, 1), not {getattr(self, name)!r}")
        if not 0 < self.lr < float("inf"):
            raise RecipeError(f"lr is above 0 and finite, not {self.lr!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise RecipeError(f"weight_decay is 0 or more and finite, not {self.weight_decay!r}")
