"""Search: one search from start to end."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.search.callbacks import watched
    from searchkit.search.loop import Search

__all__ = ["Search", "watched"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "watched": "callbacks",
        "Search": "loop",
    },
)
