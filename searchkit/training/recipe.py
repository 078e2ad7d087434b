"""The settings with which candidates are trained; they are checked when a Recipe is created."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np

from searchkit.data.data import Augment, Data
from searchkit.errors import SearchkitError
from searchkit.problem.numbers import is_whole, shown

Optimiser = Literal["sgd", "adamw"]
Precision = Literal["auto", "float32", "bfloat16"]
Loss = Literal["usual", "cross-entropy", "focal", "dice", "squared-error", "absolute-error", "huber"]


class RecipeError(SearchkitError, ValueError):
    """A recipe with an invalid setting."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; the defaults suit small networks on small images, see :func:`recipe_for`.

    Args:
        epochs: passes over the train part.
        steps: training steps, of which the last pass may be incomplete; None: as many as the epochs have.
        batch_size: examples per step.
        lr: peak of the one-cycle schedule.
        optimiser: "sgd" (Nesterov momentum) or "adamw" (give it a lower lr, about 0.005).
        momentum: of SGD; not used by AdamW.
        weight_decay: applied to weights of two or more dimensions, and not to biases and normalisations.
        label_smoothing: fraction of the target that is spread over all classes.
        warm_up: fraction of the steps in which the learning rate rises.
        augment: of images and signals, in place of what the data say; see :class:`~searchkit.data.data.Data`.
        precision: of convolutions and matrix products in training; weights and the optimiser's state are float32.
            "auto": bfloat16 on a card, and for images on a CPU with AMX; float32 elsewhere. On a CPU, scores are
            computed in float32.
        distillation: share of the loss that is the distance from the answers of the trained network of which the
            space was made (:meth:`searchkit.NetworkSpace.from_model`); the rest is that from the labels. Spaces that
            were made of no network have nobody to learn from.
        loss: by name, "usual" being the first of the task: "cross-entropy" or "focal" for a class or several labels,
            these or "dice" (which adds the soft Dice coefficient) for masks, "squared-error", "absolute-error" or
            "huber" for quantities and maps.
        mixup: parameter of the Beta distribution by whose shares each example of a batch is mixed with another one, and
            their losses as well (Zhang et al., mixup, ICLR 2018, arXiv 1710.09412); 0.2 is usual, 0 mixes nothing.
    """

    epochs: int = 30
    steps: int | None = None
    batch_size: int = 128
    lr: float = 0.1
    optimiser: Optimiser = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warm_up: float = 0.2
    augment: Augment | None = None
    precision: Precision = "auto"
    distillation: float = 0.0
    loss: Loss = "usual"
    mixup: float = 0.0

    def steps_over(self, n: int) -> int:
        """Steps of a training on n examples."""
        return self.steps or self.epochs * (n // min(self.batch_size, n))

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), np.generic):
                object.__setattr__(self, field.name, value.item())
        for name, least in (("epochs", 1), ("steps", 1), ("batch_size", 2)):  # batch normalisation needs two examples
            value = getattr(self, name)
            if name == "steps" and value is None:
                continue
            if not is_whole(value) or value < least:
                raise RecipeError(f"{name} is a whole number of at least {least}, not {shown(value)}")
        if self.optimiser not in get_args(Optimiser):
            raise RecipeError(f"optimiser is one of {', '.join(get_args(Optimiser))}, not {self.optimiser!r}")
        if self.augment is not None and self.augment not in get_args(Augment):
            raise RecipeError(f"augment is one of {', '.join(get_args(Augment))}, or None, not {self.augment!r}")
        if self.precision not in get_args(Precision):
            raise RecipeError(f"precision is one of {', '.join(get_args(Precision))}, not {self.precision!r}")
        if self.loss not in get_args(Loss):
            raise RecipeError(f"loss is one of {', '.join(get_args(Loss))}, not {self.loss!r}")
        numbers = [field.name for field in fields(self) if field.type == "float"]
        for name in numbers:
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise RecipeError(f"{name} is a number, not {value!r}")
        for name in ("momentum", "label_smoothing", "warm_up"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name} is in [0, 1), not {getattr(self, name)!r}")
        if not 0 <= self.mixup < float("inf"):
            raise RecipeError(f"mixup is 0 or more and finite, not {self.mixup!r}")
        if not 0 <= self.distillation <= 1:
            raise RecipeError(f"distillation is in [0, 1], not {self.distillation!r}")
        if not 0 < self.lr < float("inf"):
            raise RecipeError(f"lr is above 0 and finite, not {self.lr!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise RecipeError(f"weight_decay is 0 or more and finite, not {self.weight_decay!r}")


STEPS = 400  # steps that a training should have at least, if batches of the smallest size allow it
SMALLEST, LARGEST = 32, 128  # batches of images
RATE = 0.05  # peak learning rate for batches of the smallest size; it grows with the root of their size
FEW = 8  # passes up to which images are learned as they are
SOME = 18  # passes up to which they are only mirrored, where the data allow that
UNMIRRORED = 12  # passes up to which images that may not be mirrored are learned as they are


def recipe_for(kind: str, n: int, epochs: int | None = None, augment: Augment = "none") -> Recipe:
    """The default recipe of a search.

    Args:
        kind: of the data; all that are no images are trained as tables are.
        n: examples in the train part; small data get smaller batches, so that a training has enough steps.
        epochs: None: the default of :class:`Recipe`.
        augment: the data's augmentation, which only a longer training uses.
    """
    own = Recipe() if epochs is None else Recipe(epochs=epochs)
    return replace(recipe_of_length(kind, n, own.epochs, augment), epochs=own.epochs)


def recipe_of_length(kind: str, n: int, passes: float, augment: Augment = "none") -> Recipe:
    """The recipe for a training of so many passes over n examples; its own epochs and steps are not set.

    Args:
        kind: of the data.
        augment: the data's augmentation.
    """
    if kind == "images":
        batch_size = min(LARGEST, max(SMALLEST, 2 ** round(math.log2(max(1.0, n * passes / STEPS)))))
        return Recipe(batch_size=batch_size, lr=rate_of(batch_size), augment=augmentation(passes, augment))
    batch_size = min(256, max(16, 2 ** round(math.log2(max(n, 1) / 16))))
    # Measured on seven tables of 178 to 4,000 rows, as means over three networks and two seeds. 20 epochs at this rate
    # were better than 50 epochs at 0.003 on four tables and worse on three, by up to 0.006, in less than half the time.
    # 100 epochs at 0.003 lost 0.07 of R^2 on the smallest regression. The default of 30 epochs was not measured.
    return Recipe(batch_size=batch_size, lr=0.01, optimiser="adamw", weight_decay=0.01, label_smoothing=0.0)


def rate_of(batch_size: int) -> float:
    """The default learning rate of images in batches of a size."""
    return round(RATE * math.sqrt(batch_size / SMALLEST), 4)


def augmentation(passes: float, own: Augment) -> Augment:
    """How a training of so many passes augments images whose own augmentation is given.

    With few passes, a network sees each image a few times only, and learns more from the images as they are; shifts
    are what pays last. Measured at 6 to 80 passes over parts of Fashion-MNIST and CIFAR-10 (docs/benchmarks.md).
    """
    if own == "shift":
        return "none" if passes <= UNMIRRORED else own
    if passes <= FEW:
        return "none"
    return "flip" if passes <= SOME and own == "crop-flip" else own


MOST_PASSES = 200  # of a final training
LEAST_STEPS = 60  # of the shortest training that tells anything
GENEROUS = 3.0  # times the steps of a long training for which there seems to be time; it is fitted to the time


def final_recipe(data: Data, n: int, examples: float) -> Recipe:
    """The recipe of a long training that ends in time: it suits the time, and has steps for three times as much.

    Args:
        n: examples that are learned from.
        examples: of all passes over them that there is time for.
    """
    passes = min(float(MOST_PASSES), max(examples, LEAST_STEPS * SMALLEST) / n)
    recipe = recipe_of_passes(data, n, passes)
    assert recipe.steps is not None
    return replace(recipe, steps=round(recipe.steps * min(GENEROUS, MOST_PASSES / passes)))


def recipe_of_passes(data: Data, n: int, passes: float) -> Recipe:
    """The recipe of a training whose steps make so many passes, whole or not, over n examples."""
    recipe = recipe_of_length(data.kind, n, passes, data.augment)
    return replace(recipe, steps=max(LEAST_STEPS, round(passes * n / min(recipe.batch_size, n))))
