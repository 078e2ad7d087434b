"""Weights of rows and classes: what scikit-learn's estimators take, the searches take, and mean the same by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from searchkit import load_space
from searchkit.data.assembling import assemble
from searchkit.data.splits import Split
from searchkit.data.targets import Moments
from searchkit.errors import DataError, ObjectiveError
from searchkit.integrations.sklearn import SearchClassifier, SearchkitCV, SearchRegressor
from searchkit.integrations.sklearn.data import parts
from searchkit.integrations.sklearn.weights import class_weights
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.training.scores import scores_of
from searchkit.training.train import train

X, Y = load_breast_cancer(return_X_y=True)
XR, YR = load_diabetes(return_X_y=True)
SMALL = load_space("tabular", width=(8, 16), depth=(0, 1))
TINY = {"strategy": "random", "space": SMALL, "budget": 2, "epochs": 3, "random_state": 0}
CPU = torch.device("cpu")


def classifier(**given: Any) -> SearchClassifier:
    return SearchClassifier(**TINY | given)


def regressor(**given: Any) -> SearchRegressor:
    return SearchRegressor(**TINY | given)


def said(search: Any, x: Any) -> Any:
    return search.predict_proba(x) if isinstance(search, SearchClassifier) else search.predict(x)


BOTH = pytest.mark.parametrize(
    ("make", "x", "y"), [(classifier, X, Y), (regressor, XR, YR)], ids=["classes", "quantities"]
)


@pytest.mark.slow
@BOTH
def test_a_weight_of_zero_is_a_row_that_is_not_there(make: Callable[..., Any], x: Any, y: Any) -> None:
    kept = np.random.default_rng(0).random(len(y)) < 0.6
    spoilt = np.where(kept[:, None], x, 1e6)
    weighted = make().fit(spoilt, y, sample_weight=kept.astype(float))
    without = make().fit(x[kept], y[kept])
    np.testing.assert_array_equal(said(weighted, x), said(without, x))


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("weight", [2.5, np.full(1, 3.0), "ones"], ids=["a number", "threes", "ones"])
def test_equal_weights_are_no_weights(make: Callable[..., Any], x: Any, y: Any, weight: Any) -> None:
    given = np.ones(len(y)) if isinstance(weight, str) else np.repeat(weight, len(y)) if np.ndim(weight) else weight
    np.testing.assert_array_equal(said(make().fit(x, y, sample_weight=given), x), said(make().fit(x, y), x))


@pytest.mark.slow
@BOTH
def test_only_ratios_of_weights_matter(make: Callable[..., Any], x: Any, y: Any) -> None:
    weight = np.random.default_rng(0).integers(1, 9, len(y)).astype(float)
    first = said(make().fit(x, y, sample_weight=weight), x)
    for scale in (2.0**-900, 2.0**900):
        np.testing.assert_array_equal(said(make().fit(x, y, sample_weight=weight * scale), x), first)
    assert not np.array_equal(said(make().fit(x, y), x), first)


@pytest.mark.slow
def test_heavy_rows_decide_what_is_learned() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(200, 2)), rng.normal(size=(200, 2))])
    y = np.repeat([0, 1], 200)  # no difference but in number
    for heavy in (0, 1):
        search = classifier(epochs=10).fit(x, y, sample_weight=np.where(y == heavy, 20.0, 1.0))
        assert (search.predict(x) == heavy).mean() > 0.95
        assert search.result_.history.accuracy.max() > 0.9, "the score counts them as well"
    z = np.where(np.arange(400) % 2, 10.0, -10.0)
    for heavy in (-10.0, 10.0):
        search = regressor(epochs=10).fit(x, z, sample_weight=np.where(z == heavy, 20.0, 1.0))
        assert search.predict(x).mean() * heavy > 50


@pytest.mark.slow
def test_images_are_weighted_too() -> None:
    digits = load_digits(n_class=2)
    given = {"space": load_space("nas-bench-201", width=4, cells=1), "budget": 1, "epochs": 1}
    kept = np.arange(len(digits.target)) % 3 > 0
    weighted = classifier(**given).fit(digits.images, digits.target, sample_weight=kept)
    without = classifier(**given).fit(digits.images[kept], digits.target[kept])
    np.testing.assert_array_equal(said(weighted, digits.images[:9]), said(without, digits.images[:9]))
    heavy = classifier(**given).fit(digits.images, digits.target, sample_weight=1.0 + 9 * digits.target)
    assert not np.array_equal(said(heavy, digits.images[:9]), said(without, digits.images[:9]))


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    y, outputs, weight = rng.integers(0, 3, 50), rng.normal(size=(50, 3)), rng.random(50)
    data = parts(torch.zeros(50, 2), y, (0, 1, 2), validation=0.2, test=0, seed=0)
    found = scores_of([(torch.from_numpy(outputs), torch.from_numpy(y))], data, torch.from_numpy(weight))
    guess, shares = outputs.argmax(1), np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, guess, sample_weight=weight))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, guess, sample_weight=weight))
    assert found["log_loss"] == pytest.approx(log_loss(y, shares, sample_weight=weight))
    z, values = rng.normal(size=50), rng.normal(size=50)
    data = replace(parts(torch.zeros(50, 2), z, (), validation=0.2, test=0, seed=0), target=Moments((0.0,), (1.0,)))
    found = scores_of([(torch.from_numpy(values)[:, None], torch.from_numpy(z))], data, torch.from_numpy(weight))
    assert found["r2"] == pytest.approx(r2_score(z, values, sample_weight=weight))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(z, values, sample_weight=weight))


@pytest.mark.parametrize("of_classes", [None, (1.0, 4.0, 0.5)])
def test_the_loss_is_that_of_rows_repeated(of_classes: Any) -> None:
    """Weights are 1 on average: the weighted loss of the whole part is that of every row as often as its weight."""
    times = torch.tensor([1, 3, 2, 1, 1, 4])
    x, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 1, 0, 0])
    split = Split(x, y)
    data = assemble([split, split, split], (0, 1, 2), class_weights=of_classes)
    loss = loss_of(data, Recipe(), CPU)
    scale = 1.0 if of_classes is None else torch.tensor(of_classes)[y.repeat_interleave(times)].mean()
    scale /= 1.0 if of_classes is None else torch.tensor(of_classes)[y].mean()
    weighted = loss(x, y, times / times.float().mean())
    repeated = loss(x.repeat_interleave(times, 0), y.repeat_interleave(times), None)
    torch.testing.assert_close(weighted, repeated * scale)


def test_a_training_of_weighted_rows_is_scored_by_their_weights() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 4, generator=rng), torch.arange(40) % 2
    weight = torch.where(y == 1, 99.0, 1.0).double()
    splits = [Split(x, y, weight)] * 3
    data = assemble(splits, ("a", "b"))
    trained = train(nn.Linear(4, 2), data, recipe=Recipe(epochs=20, batch_size=8), device="cpu")
    assert trained.accuracy > 0.98
    assert trained.scores["balanced_accuracy"] < 0.6
    assert data.fingerprint != assemble([Split(x, y)] * 3, ("a", "b")).fingerprint


WEIGHTS: dict[str, tuple[Any, str]] = {
    "too short": (np.ones(len(Y) - 1), r"sample_weight.shape == \(568,\), expected \(569,\)"),
    "two axes": (np.ones((len(Y), 2)), "Sample weights must be 1D array or scalar"),
    "negative": (-np.ones(len(Y)), "Negative values in data passed to `sample_weight`"),
    "nan": (np.where(Y, np.nan, 1.0), "Input sample_weight contains NaN"),
    "infinite": (np.where(Y, np.inf, 1.0), "Input sample_weight contains infinity"),
    "zeros": (np.zeros(len(Y)), "at least one non-zero number"),
    "one row": (np.eye(1, len(Y))[0], "of 569 rows 1 has a weight above 0"),
    "words": (np.full(len(Y), "a"), "could not convert"),
}


@pytest.mark.parametrize(("weight", "sentence"), WEIGHTS.values(), ids=WEIGHTS.keys())
def test_weights_that_say_nothing_are_refused(weight: Any, sentence: str) -> None:
    for make in (classifier, regressor):
        with pytest.raises(ValueError, match=sentence):
            make().fit(X, Y, sample_weight=weight)


def test_one_class_left_is_one_class() -> None:
    with pytest.raises(
        DataError, match="all rows with a weight above 0 are of one class, .*1.*; a classifier needs two"
    ):
        classifier().fit(X, Y, sample_weight=Y)


TAKEN: dict[str, Callable[[], Any]] = {
    "a list": lambda: (1.0 + Y).tolist(),
    "a series": lambda: pd.Series(1.0 + Y, index=np.arange(len(Y))[::-1]),
    "whole numbers": lambda: 1 + Y,
    "bools": lambda: Y[::-1] > -1,
    "a number": lambda: 2,
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("given", TAKEN.values(), ids=TAKEN.keys())
def test_what_scikit_learns_networks_take_is_taken(given: Callable[[], Any]) -> None:
    search, theirs = classifier(budget=1, epochs=1), MLPClassifier(max_iter=1)
    for one in (search, theirs):
        one.fit(X, Y, sample_weight=given())
    assert search.predict(X).shape == theirs.predict(X).shape


@pytest.mark.slow
def test_weights_are_passed_on_by_pipelines_searches_and_routing() -> None:
    weight = np.where(np.arange(len(Y)) % 2, 5.0, 0.0)
    alone = classifier().fit(StandardScaler().fit_transform(X), Y, sample_weight=weight)
    pipe = make_pipeline(StandardScaler(), classifier())
    pipe.fit(X, Y, searchclassifier__sample_weight=weight)
    np.testing.assert_array_equal(pipe.predict_proba(X), alone.predict_proba(StandardScaler().fit_transform(X)))
    search = SearchkitCV(classifier(), {"epochs": [1, 3]}, cv=2, budget=2).fit(X, Y, sample_weight=weight)
    direct = classifier(epochs=search.best_params_["epochs"]).fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))
    with sklearn.config_context(enable_metadata_routing=True):
        asked = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        routed = cross_validate(asked, X, Y, cv=2, params={"sample_weight": weight})
    plain = cross_validate(classifier(), X, Y, cv=2)
    assert routed["test_score"].tolist() != plain["test_score"].tolist()


# --- weights of classes


def test_balanced_classes_count_rows_by_their_weights() -> None:
    y = np.array([0, 0, 0, 1])
    assert class_weights("balanced", np.array([0, 1]), y, None).tolist() == [4 / 6, 2.0]
    assert class_weights("balanced", np.array([0, 1]), y, np.array([1.0, 1, 1, 3])).tolist() == [1.0, 1.0]
    assert class_weights("balanced", np.array([0, 1]), y, np.array([1.0, 1, 1, 0])).tolist() == [1.0, 1.0]


@pytest.mark.slow
def test_a_class_of_weight_zero_is_not_learned() -> None:
    y = np.arange(len(Y)) % 3
    search = classifier(class_weight={0: 0, 1: 1.0}).fit(X, y)
    assert search.classes_.tolist() == [0, 1, 2]
    without = classifier(objectives=("balanced_accuracy", "params")).fit(X[y > 0], y[y > 0])
    assert np.isfinite(search.result_.history.balanced_accuracy).all()
    assert len(search.result_.history) == len(without.result_.history)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("even", "class_weight is None, 'balanced' or a mapping .*, not 'even'"),
        ([1.0, 2.0], r"not \[1.0, 2.0\]; weights of rows go to fit"),
        ({0: -1.0, 1: 1.0}, "class_weight of class 0 is a number of at least 0, not -1.0"),
        ({0: float("nan")}, "class_weight of class 0 is a number of at least 0, not nan"),
        ({0: "heavy"}, "class_weight of class 0 is a number of at least 0, not 'heavy'"),
    ],
)
def test_weights_of_classes_that_say_nothing_are_refused(given: Any, sentence: str) -> None:
    with pytest.raises(ObjectiveError, match=sentence):
        classifier(class_weight=given).fit(X, Y)


def test_unknown_classes_are_named_as_scikit_learn_does() -> None:
    with pytest.raises(ValueError, match="are not in class_weight"):
        classifier(class_weight={0: 1.0, 7: 2.0}).fit(X, Y)
