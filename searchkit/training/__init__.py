"""Training: one network is trained and scored."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.training.recipe import Recipe

__all__ = ["Recipe"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Recipe": "recipe",
    },
)
