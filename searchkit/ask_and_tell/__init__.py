"""Searches whose candidates are evaluated elsewhere, by whom and in whatever language: asked for, and told later."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.ask_and_tell.recorded import ELSEWHERE
    from searchkit.ask_and_tell.study import AskAndTell, Asked

__all__ = ["ELSEWHERE", "AskAndTell", "Asked"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "ELSEWHERE": "recorded",
        "AskAndTell": "study",
        "Asked": "study",
    },
)
