"""Bounds that no value of a metric can meet are refused before any work."""

from __future__ import annotations

import pytest

import searchkit
from searchkit import Metric
from searchkit.costs.metrics import BUILT_IN
from searchkit.costs.reach import REACH, check_reach
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


def test_functions_of_the_user_have_any_value() -> None:
    own = {"latency_ms": Metric("latency_ms", lambda network: -3.0)}
    check_reach([Bound("latency_ms", high=-1)], own, own_training=False)
    check_reach([Bound("accuracy", low=95)], BUILT_IN, own_training=True)


def test_every_built_in_metric_has_its_ends() -> None:
    assert set(REACH) == set(BUILT_IN)
