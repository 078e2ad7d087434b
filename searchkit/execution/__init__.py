"""Execution: the executors that run evaluations, and the outcomes of those that fail."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.execution.executors import Pool
    from searchkit.execution.interleaved import Interleaved
    from searchkit.execution.outcome import Outcome

__all__ = ["Interleaved", "Outcome", "Pool"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Pool": "executors",
        "Interleaved": "interleaved",
        "Outcome": "outcome",
    },
)
