"""Pages that live: the report of every study of a storage, in a browser of this machine, refreshed as searches run."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.serving.server import Server, serve

__all__ = ["Server", "serve"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Server": "server",
        "serve": "server",
    },
)
