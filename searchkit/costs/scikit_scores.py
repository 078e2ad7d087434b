"""Scores by the names that scikit-learn's scorers have, such as "f1_macro" or "neg_mean_absolute_error"."""

from __future__ import annotations

import math
from functools import lru_cache

from searchkit.types import Task

_OF_QUANTITIES = ("explained_variance", "max_error", "neg_max_error", "d2_absolute_error_score")
_SHARES = (
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "f1",
    "jaccard",
    "precision",
    "recall",
    "roc_auc",
    "top_k_accuracy",
)  # the beginnings of names of scores from 0 to 1
_AT_MOST_ONE = ("explained_variance", "r2", "d2_")
_CORRELATION = "matthews_corrcoef"


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


def ends_of_scorer(name: str) -> tuple[float, float]:
    """The least and the most that a scorer can give; infinite where it has no end."""
    if name.startswith("neg_"):  # of errors and losses
        return -math.inf, 0.0
    if name.startswith(_SHARES):
        return 0.0, 1.0
    if name.startswith(_AT_MOST_ONE):
        return -math.inf, 1.0
    return (-1.0, 1.0) if name == _CORRELATION else (-math.inf, math.inf)
