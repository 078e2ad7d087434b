"""Data: the examples that networks learn from."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.data.data import Data, Split, load_data

__all__ = ["Data", "Split", "load_data"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Data": "data",
        "Split": "data",
        "load_data": "data",
    },
)
