"""Storage: the record of a study, and the locks that let one search at a time write it."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.storage.optuna_record import OptunaRecord
    from searchkit.storage.record import Memory, Record

__all__ = ["Memory", "OptunaRecord", "Record"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Memory": "record",
        "OptunaRecord": "optuna_record",
        "Record": "record",
    },
)
