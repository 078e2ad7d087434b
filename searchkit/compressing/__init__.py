"""A trained network made to fit bounds on its cost: :func:`searchkit.compress`."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.compressing.call import compress
    from searchkit.compressing.compressed import Compressed
    from searchkit.compressing.tuning import fine_tuning

__all__ = ["Compressed", "compress", "fine_tuning"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Compressed": "compressed",
        "compress": "call",
        "fine_tuning": "tuning",
    },
)
