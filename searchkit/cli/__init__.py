"""The command line."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.cli.entry import main

__all__ = ["main"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "main": "entry",
    },
)
