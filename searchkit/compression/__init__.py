"""A trained network of the user's, cut into blocks whose cheaper alternatives learn from it and are put together."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.compression.alternatives import Library, library_of
    from searchkit.compression.assembled import ModelSpace, model_space
    from searchkit.compression.cutting import Cut, CutNode, cut

__all__ = ["Cut", "CutNode", "Library", "ModelSpace", "cut", "library_of", "model_space"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Cut": "cutting",
        "CutNode": "cutting",
        "cut": "cutting",
        "Library": "alternatives",
        "library_of": "alternatives",
        "ModelSpace": "assembled",
        "model_space": "assembled",
    },
)
