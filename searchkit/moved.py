"""Modules that were documented under another path: importing one says where it is now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "additive": "blocks.additive",
    "additive_fit": "blocks.fit",
    "callbacks": "search.callbacks",
    "cost_tables": "blocks.cost_tables",
    "deploy": "results.export",
    "exact": "blocks.exact",
    "executors": "execution.executors",
    "interleaved": "execution.interleaved",
    "ladder": "training.fidelity",
    "latency": "costs.latency",
    "metrics": "costs.metrics",
    "objectives": "problem.objectives",
    "observations": "problem.observations",
    "pareto": "problem.pareto",
    "passes": "scoring.passes",
    "passes_forward": "scoring.passes.forward",
    "proxy": "scoring.protocols",
    "ranks": "problem.ranks",
    "recipe": "training.recipe",
    "report": "results.report",
    "result": "results.result",
    "signals": "proxy_layer.signals",
    "solve": "blocks.solve",
    "studies": "results.studies",
    "trial": "problem.trial",
}


class _Moved(MetaPathFinder):
    """Comes last among the finders, so it is asked for what no other found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package == "searchkit" and name in MOVED:
            # "from searchkit import exact" would swallow an error with the name that it looks for
            raise ModuleNotFoundError(f"'{fullname}' is now 'searchkit.{MOVED[name]}'", name=f"searchkit.{MOVED[name]}")
        return None


def announce() -> None:
    """Have an import of an old path fail with the new one; ``import searchkit`` calls this."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
