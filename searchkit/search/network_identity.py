"""What a recorded study of networks must share with the search that continues it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchkit.costs.measure import MEASURED, measured_on
from searchkit.scoring.registry import Configured

if TYPE_CHECKING:
    from searchkit.search.network_task import NetworkTask


def identity_of(task: NetworkTask) -> dict[str, Any]:
    """The parts of a search over networks that decide its outcome, beside objectives and space, as JSON values."""
    identity: dict[str, Any] = {
        "kind": "networks",
        "data": {"name": task.data.name, "fingerprint": task.data.fingerprint},
    }
    if task.trained_by is None:
        identity["epochs"] = "planned" if task.planned else task.training.recipe.epochs
    else:
        identity |= task.trained_by.identity
    if task.split_seed is not None:
        identity["split_seed"] = task.split_seed
    if any(name in task.metrics for name in MEASURED) or any(t.kind == "here" for t in task.targets.values()):
        identity["device"] = measured_on(task.device)
    if task.training.own.described():
        identity["recipe"] = task.training.own.described()
    if task.training.start is not None:
        identity["weights"] = task.training.start.identity
    if task.shared is not None:
        shared = task.shared
        identity["evaluation"] = dict(shared.settings) if isinstance(shared, Configured) else shared.identity
    if task.ladder is not None:
        identity["ladder"] = [rung.written for rung in task.ladder.rungs]
    return identity
