"""A search whose accuracy is that of shared weights: ``evaluation="one-shot"``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from searchkit.costs.metrics import Metric
from searchkit.costs.task_scores import SCORES
from searchkit.errors import SearchkitError, nearest
from searchkit.scoring.registry import Configured
from searchkit.sharing.settings import read_settings
from searchkit.sharing.shared_weights import SharedWeights

log = logging.getLogger("searchkit")

EVALUATIONS = ("training", "one-shot")
ONE_SHOT = SharedWeights.name
Shared = SharedWeights | Configured  # the user's, or those that a search makes with the user's settings
_SCORES = {name for names in SCORES.values() for name in names}


def read_evaluation(given: object, objectives: Any, constraints: object, own: bool) -> tuple[Any, Shared | None]:
    """The objectives of a search, and the shared weights that the user gave, or said how to train.

    With "one-shot", or shared weights, minus the loss of a network with its part of shared weights stands in place of
    the score of a trained network; it is no accuracy, and has a name of its own, "one-shot".

    Args:
        given: None, "training", "one-shot", :class:`searchkit.sharing.SharedWeights`, or settings of these by name.
        objectives: of the call, as they were written.
        own: whether a function of the user's trains.

    Raises:
        SearchkitError: there is no such evaluation, or objectives and bounds need trained networks.
    """
    if given is None or given == EVALUATIONS[0]:
        return objectives, None
    shared: Shared | None = given if isinstance(given, SharedWeights) else None
    if isinstance(given, Mapping):
        shared = Configured(ONE_SHOT, read_settings(given))
    elif shared is None and given != ONE_SHOT:
        near = nearest(given, EVALUATIONS) if isinstance(given, str) else None
        hint = f"; is {near!r} meant?" if near else ""
        raise SearchkitError(
            f"evaluation is {' or '.join(map(repr, EVALUATIONS))}, settings of shared weights such as "
            f"{{'policy': 'fair'}}, or searchkit.SharedWeights, not {given!r:.80}{hint}"
        )
    if own:
        raise SearchkitError("evaluation='one-shot' trains no candidate, and training= is a function that does")
    bounded = [str(getattr(key, "name", key)) for key in constraints] if isinstance(constraints, Mapping) else []
    for name in bounded:
        if name in _SCORES:
            raise SearchkitError(
                f"evaluation='one-shot' trains no candidate, so that no bound on {name} can be kept; bound costs, such "
                "as params or latency_ms"
            )
    return _replaced(objectives), shared


def say_bounds(shared: Shared | None, bounded: Sequence[str]) -> None:
    """Log which bounds of shared weights are none of the search, whose candidates over them can have no score."""
    if shared is None:
        return
    given = shared.bounds if isinstance(shared, SharedWeights) else shared.settings.get("bounds", {})
    assert isinstance(given, Mapping)  # as read_settings has it
    free = [name for name in given if name not in bounded]
    if free:
        log.warning(
            "bounds of the shared weights on %s keep networks from their training, and not from the search: give the "
            "same constraints= (--constraint), since what was in no step has no score",
            ", ".join(free),
        )


def _replaced(objectives: Any) -> Any:
    """The objectives with "one-shot" in place of the one score of trained networks."""
    listed: Sequence[Any] = [objectives] if isinstance(objectives, str | Metric) else list(objectives)
    names = [str(getattr(one, "name", one)) for one in listed]
    scores = [name for name in names if name in _SCORES]
    if ONE_SHOT in names:
        return objectives
    if len(scores) != 1:
        what = "none of them is" if not scores else f"{', '.join(scores)} are"
        raise SearchkitError(
            f"evaluation='one-shot' stands for one score of trained networks among the objectives, and {what}: write "
            "objectives=('accuracy', 'params'), or such"
        )
    if isinstance(objectives, Mapping):
        directions = zip(objectives.items(), names, strict=True)
        return dict((ONE_SHOT, "max") if name == scores[0] else pair for pair, name in directions)
    return tuple(ONE_SHOT if name == scores[0] else one for one, name in zip(listed, names, strict=True))
