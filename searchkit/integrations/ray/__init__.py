"""searchkit and Ray: an executor for candidates on a cluster, and a search algorithm for Ray Tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchkit.integrations.ray.executor import RayExecutor

if TYPE_CHECKING:
    from searchkit.integrations.ray.searcher import SearchkitSearcher

__all__ = ["RayExecutor", "SearchkitSearcher"]


def __getattr__(name: str) -> object:
    if name == "SearchkitSearcher":  # on demand, since importing Tune takes seconds that the executor does not need
        from searchkit.integrations.ray.searcher import SearchkitSearcher

        return SearchkitSearcher
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
