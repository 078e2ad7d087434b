"""Bounds that no value of a metric can meet are refused before any work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import get_scorer, get_scorer_names

import searchkit
from searchkit import Metric
from searchkit.costs.metrics import BUILT_IN, read_metrics
from searchkit.costs.reach import REACH, check_reach
from searchkit.costs.scikit_scores import ends_of_scorer
from searchkit.errors import ConstraintError
from searchkit.problem.objectives import Bound


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ({"accuracy": 95}, r"no network can meet accuracy >= 95: accuracy is from 0 to 1\. Did you mean 0\.95\?"),
        ({"accuracy": 1.5}, r"accuracy >= 1\.5: accuracy is from 0 to 1\.$"),
        ({"accuracy@int8": 90}, r"accuracy@int8 >= 90: accuracy@int8 is from 0 to 1\. Did you mean 0\.9\?"),
        ({"accuracy": (80, 90)}, r"80 <= accuracy <= 90: .* Did you mean 0\.8\?"),
        ({"balanced_accuracy": (None, -1)}, r"balanced_accuracy <= -1: balanced_accuracy is from 0 to 1\.$"),
        ({"log_loss": -0.1}, r"log_loss <= -0\.1: log_loss is at least 0\.$"),
        ({"latency_ms": -1}, r"latency_ms <= -1: latency_ms is at least 0\.$"),
        ({"params": -1}, r"params <= -1: params is at least 0\.$"),
        ({"recall_macro": 95}, r"recall_macro >= 95: recall_macro is from 0 to 1\. Did you mean 0\.95\?"),
        ({"neg_log_loss": 0.5}, r"neg_log_loss >= 0\.5: neg_log_loss is at most 0\. Did you mean -0\.5\?"),
        ({"matthews_corrcoef": 2}, r"matthews_corrcoef >= 2: matthews_corrcoef is from -1 to 1\."),
        ({"params": (float("inf"), None)}, r"'params' leaves nothing: low inf, high inf"),
        ({"accuracy": float("inf")}, r"'accuracy' leaves nothing: low inf, high inf"),
        ({"params": float("-inf")}, r"'params' leaves nothing: low -inf, high -inf"),
    ],
)
def test_refused_before_any_work(constraints: dict[str, object], said: str) -> None:
    with pytest.raises(ConstraintError, match=said):
        searchkit.run(constraints=constraints, budget=2, storage="memory")


def test_of_quantities_too() -> None:
    with pytest.raises(ConstraintError, match=r"r2 >= 90: r2 is at most 1\. Did you mean 0\.9\?"):
        check_reach([Bound("r2", low=90)], BUILT_IN, own_training=False)


def test_what_can_be_met_passes() -> None:
    met = [Bound("accuracy", low=1.0), Bound("accuracy", 0.5, 2.0), Bound("r2", high=-3.0), Bound("params", high=0.0)]
    check_reach(met, BUILT_IN, own_training=False)


def test_of_quantities_by_scikit_learn() -> None:
    metrics, _ = read_metrics(("neg_mean_squared_error", "params"), {"explained_variance": 90})
    with pytest.raises(ConstraintError, match=r"explained_variance is at most 1\. Did you mean 0\.9\?"):
        check_reach([Bound("explained_variance", low=90)], metrics, own_training=False)
    with pytest.raises(ConstraintError, match=r"neg_mean_squared_error is at most 0\. Did you mean -3\?"):
        check_reach([Bound("neg_mean_squared_error", low=3)], metrics, own_training=False)
    check_reach([Bound("neg_mean_squared_error", low=-3)], metrics, own_training=False)


@pytest.mark.filterwarnings("ignore")
def test_every_scorer_of_scikit_learn_keeps_its_ends() -> None:
    y, chance = np.array([0, 1] * 10), np.random.default_rng(0)
    for name in get_scorer_names():
        low, high = ends_of_scorer(name)
        of_quantities = name.startswith("neg_mean_") or name in ("neg_median_absolute_error", "neg_max_error")
        for _ in range(3):
            rated = chance.uniform(0.01, 0.99, 20)
            try:
                found = float(get_scorer(name)._score_func(y, rated if of_quantities else rated > 0.5))
            except (TypeError, ValueError):
                continue  # of predicted chances, or of several labels
            value = get_scorer(name)._sign * found
            assert low <= value <= high or math.isnan(value), name


def test_functions_of_the_user_have_any_value() -> None:
    own = {"latency_ms": Metric("latency_ms", lambda network: -3.0)}
    check_reach([Bound("latency_ms", high=-1)], own, own_training=False)
    check_reach([Bound("accuracy", low=95)], BUILT_IN, own_training=True)


def test_every_built_in_metric_has_its_ends() -> None:
    assert set(REACH) == set(BUILT_IN)
