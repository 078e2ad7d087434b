"""Targets: other devices whose costs a search asks for, through a command, over ssh, or by a function."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.costs.targets.target import Target

__all__ = ["Target"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Target": "target",
    },
)
