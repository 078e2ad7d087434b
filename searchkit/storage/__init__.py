"""Storage: the record of a study, and who may write it."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.storage.record import Memory, OptunaRecord, Record

__all__ = ["Memory", "OptunaRecord", "Record"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Memory": "record",
        "OptunaRecord": "record",
        "Record": "record",
    },
)
