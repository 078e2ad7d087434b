"""Scores by the names that scikit-learn's scorers have, such as "f1_macro" or "neg_mean_absolute_error"."""

from __future__ import annotations

from functools import lru_cache

from searchkit.types import Task

_OF_QUANTITIES = ("explained_variance", "max_error", "neg_max_error", "d2_absolute_error_score")


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    from sklearn.metrics import get_scorer_names

    return frozenset(get_scorer_names())


def is_scorer(name: str) -> bool:
    """Whether scikit-learn has a scorer of that name; what it gives is better the higher it is."""
    return name.isidentifier() and name in _names()


def scorer_tasks(name: str) -> tuple[Task, ...]:
    """The tasks that a scorer is for."""
    quantities = name in _OF_QUANTITIES or (name.startswith("neg_") and name.endswith(("_error", "_deviance")))
    return ("regression",) if quantities else ("classification", "multilabel")
