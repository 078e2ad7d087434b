"""Results: the outcome of a search as tables, networks, exports, plots and a report."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.results.result import Result
    from searchkit.results.studies import list_studies, load

__all__ = ["Result", "list_studies", "load"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Result": "result",
        "list_studies": "studies",
        "load": "studies",
    },
)
