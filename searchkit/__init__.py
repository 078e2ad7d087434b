"""searchkit: networks on a trade-off of accuracy and cost, while training almost none of them.

``import searchkit`` loads numpy and little else; torch and the optimisers come when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, StopSearch
from searchkit.plugins import load_space
from searchkit.space import Choice, NetworkSpace, Node, Space

if TYPE_CHECKING:
    from searchkit.api import run
    from searchkit.costs.metrics import Metric
    from searchkit.data.data import load_data
    from searchkit.rating import score
    from searchkit.results.result import Result
    from searchkit.results.studies import list_studies, load

__version__ = "0.1.0"

_LATER = {
    "Metric": "searchkit.costs.metrics",
    "Result": "searchkit.results.result",
    "list_studies": "searchkit.results.studies",
    "load": "searchkit.results.studies",
    "load_data": "searchkit.data.data",
    "run": "searchkit.api",
    "score": "searchkit.rating",
}

__all__ = [
    "Choice",
    "Metric",
    "NetworkSpace",
    "Node",
    "Result",
    "SearchkitError",
    "Space",
    "StopSearch",
    "list_studies",
    "load",
    "load_data",
    "load_space",
    "run",
    "score",
]


def __getattr__(name: str) -> Any:
    if name == "benchmarks":
        return importlib.import_module("searchkit.benchmarks")
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'searchkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
