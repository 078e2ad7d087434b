"""searchkit: networks on a trade-off of accuracy and cost, while training almost none of them.

``import searchkit`` loads numpy and little else; torch and the optimisers come when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from searchkit.errors import SearchkitError, StopSearch
from searchkit.moved import MOVED, announce
from searchkit.plugins import load_space
from searchkit.space import Choice, Float, Int, NetworkSpace, Node, Space
from searchkit.version import __version__ as __version__

if TYPE_CHECKING:
    from searchkit import benchmarks as benchmarks
    from searchkit.api import run
    from searchkit.ask_and_tell import AskAndTell
    from searchkit.compressing import Compressed, compress
    from searchkit.costs.metrics import Metric
    from searchkit.costs.targets.target import Target
    from searchkit.data.loading import load_data
    from searchkit.option_values import Proxies, Training
    from searchkit.preview import plan
    from searchkit.proxy_layer.comparisons import Comparisons
    from searchkit.proxy_layer.ranking import score
    from searchkit.results.comparing import compare
    from searchkit.results.removal import remove
    from searchkit.results.result import Result
    from searchkit.results.studies import list_studies, load
    from searchkit.sharing import SharedWeights
    from searchkit.storage.repair import repair
    from searchkit.training.recipe import Recipe

announce()

_LATER = {
    "AskAndTell": "searchkit.ask_and_tell",
    "Comparisons": "searchkit.proxy_layer.comparisons",
    "Compressed": "searchkit.compressing",
    "Metric": "searchkit.costs.metrics",
    "Proxies": "searchkit.option_values",
    "Recipe": "searchkit.training.recipe",
    "Result": "searchkit.results.result",
    "SharedWeights": "searchkit.sharing",
    "Target": "searchkit.costs.targets.target",
    "Training": "searchkit.option_values",
    "list_studies": "searchkit.results.studies",
    "load": "searchkit.results.studies",
    "load_data": "searchkit.data.loading",
    "repair": "searchkit.storage.repair",
    "plan": "searchkit.preview",
    "run": "searchkit.api",
    "compare": "searchkit.results.comparing",
    "compress": "searchkit.compressing",
    "remove": "searchkit.results.removal",
    "score": "searchkit.proxy_layer.ranking",
}

__all__ = [
    "AskAndTell",
    "Choice",
    "Comparisons",
    "Compressed",
    "Float",
    "Int",
    "Metric",
    "NetworkSpace",
    "Node",
    "Proxies",
    "Recipe",
    "Result",
    "SearchkitError",
    "SharedWeights",
    "Space",
    "StopSearch",
    "Target",
    "Training",
    "compare",
    "compress",
    "list_studies",
    "load",
    "load_data",
    "load_space",
    "plan",
    "remove",
    "repair",
    "run",
    "score",
]


def __getattr__(name: str) -> object:
    if name == "benchmarks":
        return importlib.import_module("searchkit.benchmarks")
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = value
        return value
    if name in MOVED:
        raise AttributeError(f"'searchkit.{name}' is now 'searchkit.{MOVED[name]}'")
    raise AttributeError(f"module 'searchkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
