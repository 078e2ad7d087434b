"""Training: one network is trained and scored."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.training.recipe import Recipe
    from searchkit.training.stopping_rules import Halving, Median

__all__ = ["Halving", "Median", "Recipe"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Halving": "stopping_rules",
        "Median": "stopping_rules",
        "Recipe": "recipe",
    },
)
