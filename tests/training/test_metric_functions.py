"""Metrics of predictions: functions of the user's, and scikit-learn's scorers by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.dense import masked, pixelwise
from sklearn.metrics import cohen_kappa_score, get_scorer_names, mean_absolute_error

import searchkit
from searchkit import Metric
from searchkit.costs.scikit_scores import scorer_tasks
from searchkit.errors import ObjectiveError, SearchkitError

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(200, 4))
NAMES = np.where(TABLE[:, 0] > 0, "up", "down")
CLASSES = np.digitize(TABLE[:, 0], [-0.5, 0.5]) + 7
LABELS = (TABLE[:, :3] > 0.3).astype(int)
QUANTITY = TABLE @ [1.0, 2.0, 0.0, -1.0] * 50


def share_of_ups(y_true: Any, y_pred: Any) -> float:
    assert set(y_true) == {"up", "down"}
    return float((y_pred == "up").mean())


def worst_pixel(y_true: Any, y_pred: Any) -> float:
    assert y_true.shape == y_pred.shape
    return float(np.abs(y_true - y_pred).max())


def found(data: Any, *objectives: Any, **given: Any) -> Any:
    return searchkit.run(
        "random", data=data, objectives=objectives, budget=2, epochs=5, storage="memory", progress=False, **given
    )


@pytest.mark.slow
def test_a_function_of_predictions_gets_the_users_labels() -> None:
    kappa = Metric("kappa", cohen_kappa_score, direction="max")
    ups = Metric("ups", share_of_ups)
    assert (kappa.of_predictions, kappa.stage, kappa.trained) == (True, "trained", True)
    result = found((TABLE, NAMES), kappa, ups, "params")
    data, network = searchkit.load_data((TABLE, NAMES)), result.build(0)
    with torch.inference_mode():
        said = np.array(data.classes)[network(data.val.x).argmax(1)]
    row = result.front.iloc[0]
    assert row["kappa"] == pytest.approx(cohen_kappa_score(np.array(data.classes)[data.val.y], said))
    assert row["ups"] == pytest.approx((said == "up").mean())


def test_a_function_of_one_argument_is_one_of_a_network() -> None:
    for function in (lambda network: 1.0, lambda network, scale=2: 1.0, lambda *networks: 1.0, max):
        assert not Metric("one", function).of_predictions


@pytest.mark.slow
def test_quantities_and_maps_are_in_their_units() -> None:
    far = Metric("far", mean_absolute_error)
    result = found((TABLE, QUANTITY), "r2", far)
    errors = found((TABLE, QUANTITY), "r2", "neg_mean_absolute_error")
    assert result.front["far"].tolist() == pytest.approx((-errors.front["neg_mean_absolute_error"]).tolist())
    assert result.front["far"].min() > 1
    X, masks = masked()
    found((X, X / 9.0), "rmse", Metric("worst", worst_pixel), space=pixelwise())
    found((X, masks), "miou", Metric("worst", worst_pixel), space=pixelwise())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "names"),
    [
        (NAMES, ("roc_auc", "neg_log_loss", "f1_macro", "average_precision")),
        (CLASSES, ("roc_auc_ovr", "f1_weighted", "matthews_corrcoef", "neg_log_loss", "top_k_accuracy")),
        (LABELS, ("roc_auc", "f1_micro", "average_precision", "jaccard_macro")),
        (QUANTITY, ("neg_mean_absolute_error", "max_error", "explained_variance", "neg_median_absolute_error")),
    ],
)
def test_scorers_of_scikit_learn_are_objectives_by_name(y: Any, names: tuple[str, ...]) -> None:
    if y is NAMES:
        names = tuple(name for name in names if name != "average_precision")  # which wants a positive label
    names = tuple({"max_error": "neg_max_error"}.get(name, name) for name in names)
    names = tuple(name for name in names if name in get_scorer_names())
    result = found((TABLE, y), *names, "params")
    assert set(names) <= set(result.front.columns)
    assert result.goals.names[0] == names[0]
    assert result.front[list(names)].notna().all().all()


@pytest.mark.slow
def test_the_log_loss_of_scikit_learn_is_ours() -> None:
    result = found((TABLE, CLASSES), "neg_log_loss", "log_loss")
    assert (-result.front["neg_log_loss"]).tolist() == pytest.approx(result.front["log_loss"].tolist(), rel=1e-5)


@pytest.mark.slow
def test_what_cannot_be_computed_is_said_before_work() -> None:
    with pytest.raises(ObjectiveError, match="metric 'worse' cannot be computed for data .*classification.: Zero"):
        found((TABLE, CLASSES), "accuracy", Metric("worse", lambda y_true, y_pred: 1 / 0))
    with pytest.raises(ObjectiveError, match="metric 'roc_auc' cannot be computed .*multi_class must be in"):
        found((TABLE, CLASSES), "roc_auc", "params")
    with pytest.raises(SearchkitError, match="neg_mean_absolute_error is a score of regression, but"):
        found(searchkit.load_data((TABLE, CLASSES)), "neg_mean_absolute_error", "params")
    with pytest.raises(ObjectiveError, match="accuracy is a score of classification and neg_max_error is one of regr"):
        found((TABLE, CLASSES), "accuracy", "neg_max_error" if "neg_max_error" in get_scorer_names() else "max_error")
    with pytest.raises(SearchkitError, match="no objective 'f1_macr'|f1_macro|Did you mean"):
        found((TABLE, CLASSES), "f1_macr", "params")


def test_every_scorer_has_a_task() -> None:
    quantities = {name for name in get_scorer_names() if scorer_tasks(name) == ("regression",)}
    assert {"neg_mean_squared_error", "neg_root_mean_squared_error", "explained_variance"} <= quantities
    assert not {"neg_log_loss", "neg_brier_score", "f1_macro", "accuracy"} & quantities
