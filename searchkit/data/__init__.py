"""Data: the examples that networks learn from."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.data.loading import load_data
    from searchkit.data.splits import Split

__all__ = ["Data", "Split", "load_data"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Data": "data",
        "Split": "splits",
        "load_data": "loading",
    },
)
