"""Simple models beside the networks: right scores, bounded work, and a reason where there is no score."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, r2_score, root_mean_squared_error

import searchkit
from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.splits import split_of
from searchkit.training.baselines import baselines
from searchkit.training.simple_models import SIMPLE_MODELS, Examples, spread_rows

CLASSIFIERS = ["majority class", "logistic regression", "random forest", "MLP"]
RNG = np.random.default_rng(0)
LONG = 600.0  # seconds, so that the clock of a busy machine cuts nothing


def table(n: int, *, regression: bool = False, seed: int = 0) -> Data:
    x = np.random.default_rng(seed).normal(size=(n, 6))
    y = 3 + 50 * x[:, 0] if regression else np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    return searchkit.load_data((x, y), task="regression" if regression else None)


def of_parts(x: Any, y: Any, **more: Any) -> Data:
    """The same rows as train, validation and test part, as arrays of a user's own."""
    weight = more.pop("weight", None)
    classes = more.pop("classes", None)
    classes = tuple(range(int(max(y)) + 1)) if classes is None else classes
    return assemble([split_of(np.asarray(x, np.float32), np.asarray(y), weight) for _ in range(3)], classes, **more)


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in rows}


@pytest.mark.slow
def test_models_are_scored_on_both_parts_and_better_than_chance() -> None:
    data = searchkit.load_data("digits", limit=500)
    rows = baselines(data, seconds=LONG)
    assert [row["model"] for row in rows] == CLASSIFIERS
    assert rows[0]["validation"]["balanced_accuracy"] == pytest.approx(0.1)
    for row in rows[1:]:
        assert row["validation"]["accuracy"] > 0.85, row
        assert row["test"]["accuracy"] > 0.85
        assert row["validation"]["log_loss"] < 0.9
        assert (row["rows"], row["reason"]) == (len(data.train), "")
        assert row["seconds"] > 0


@pytest.mark.slow
def test_scores_are_those_of_scikit_learn_on_the_same_parts() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    data = table(300, regression=True)
    found = by_name(baselines(data, seconds=LONG))
    assert list(found) == ["mean", "ridge regression", "random forest", "MLP"]
    scaler = StandardScaler().fit(data.train.x.numpy())
    model = Ridge().fit(scaler.transform(data.train.x.numpy()), data.train.y.numpy())
    for name, part in (("validation", data.val), ("test", data.test)):
        predicted = model.predict(scaler.transform(part.x.numpy()))
        mean = np.full(len(part), data.train.y.mean())
        for row, said in ((found["ridge regression"], predicted), (found["mean"], mean)):
            assert row[name]["r2"] == pytest.approx(r2_score(part.y, said), abs=1e-5)
            assert row[name]["rmse"] == pytest.approx(root_mean_squared_error(part.y, said), abs=1e-3)
    assert found["MLP"]["test"]["r2"] > 0.9


@pytest.mark.slow
def test_the_majority_class_is_scored_as_scikit_learn_scores_it() -> None:
    y = np.array([0] * 30 + [1] * 60 + [2] * 10)
    data = of_parts(RNG.normal(size=(100, 2)), y)
    found = baselines(data, seconds=LONG)[0]["test"]
    assert found["accuracy"] == pytest.approx(accuracy_score(y, np.ones(100)))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, np.ones(100)))
    assert found["log_loss"] == pytest.approx(log_loss(y, np.tile([0.3, 0.6, 0.1], (100, 1))), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True])
def test_the_same_split_gives_the_same_and_leaves_random_states_and_threads(regression: bool) -> None:
    data = table(200, regression=regression)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state(legacy=False), random.getstate(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    first = baselines(data, seconds=LONG)
    after = np.random.get_state(legacy=False), random.getstate(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    assert np.array_equal(before[0]["state"]["key"], after[0]["state"]["key"])
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])
    assert before[3] == after[3]
    np.random.seed(2)  # noqa: NPY002
    again = baselines(data, seconds=LONG)
    assert [row | {"seconds": 0} for row in first] == [row | {"seconds": 0} for row in again]


@pytest.mark.slow
def test_nothing_is_printed_and_nothing_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    x = 1e6 * RNG.normal(size=(120, 40))  # does not converge
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = baselines(of_parts(x, RNG.integers(0, 3, 120)), seconds=LONG)
    assert [row["reason"] for row in rows] == [""] * 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_larger_data_are_fitted_on_fewer_rows_and_the_number_is_said() -> None:
    data = table(4000)
    found = by_name(baselines(data, seconds=0.5))
    assert found["majority class"]["rows"] == len(data.train)
    assert 50 <= found["random forest"]["rows"] < len(data.train)
    assert by_name(baselines(data, seconds=0.25))["random forest"]["rows"] < found["random forest"]["rows"]


def test_a_limit_that_is_over_is_a_reason() -> None:
    for row in baselines(table(200), seconds=1e-9)[1:]:
        assert row["validation"] == row["test"] == {}
        assert "are enough for 0 of 120 rows only" in row["reason"]


@pytest.mark.filterwarnings("ignore")  # of a fit that was cut short; baselines() gives none
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_fit_whose_time_is_over_ends_with_what_it_has_and_says_so(task: str) -> None:
    x = np.random.default_rng(0).normal(size=(300, 60)).cumsum(1).astype(np.float32)
    y = np.arange(300) % 3 if task == "classification" else x[:, 0]
    for model in SIMPLE_MODELS[task]:
        fitted = model.fit(Examples(x, y, None, 3 if task == "classification" else 0, 0.0))
        assert model.name == "ridge regression" or "at its limit of time" in fitted.note, model.name
        assert np.isfinite(fitted.predict(x)).all()


@pytest.mark.parametrize("m", [1, 7, 30, 64])
def test_chosen_rows_have_classes_as_frequent_as_all(m: int) -> None:
    y = np.repeat(np.arange(4), [40, 20, 3, 1])
    rows = spread_rows(y, m, np.random.default_rng(0))
    assert len(rows) == len(set(rows.tolist())) == m
    assert (np.diff(rows) > 0).all()
    if m >= 8:
        assert set(y[rows]) == {0, 1, 2, 3}
    assert abs(int((y[rows] == 0).sum()) - m * 40 / 64) <= 2


def test_chosen_rows_of_quantities_are_spread_over_them() -> None:
    y = np.random.default_rng(0).exponential(size=1000)
    rows = spread_rows(y, 100, np.random.default_rng(0))
    for q in (0.1, 0.5, 0.9):
        assert np.mean(y[rows] <= np.quantile(y, q)) == pytest.approx(q, abs=0.011)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["weight", "class_weights"])
def test_weights_decide_what_is_learned_as_in_training(how: str) -> None:
    """Two classes that no feature tells apart: the rarer one is predicted where it weighs more."""
    y = np.array([0] * 150 + [1] * 50)
    x = np.zeros((200, 3))
    given: dict[str, Any] = (
        {"weight": np.where(y == 1, 9.0, 1.0)} if how == "weight" else {"class_weights": (1.0, 9.0), "weight": None}
    )
    plain, weighted = (by_name(baselines(of_parts(x, y, **more), seconds=LONG)) for more in ({}, given))
    for name in CLASSIFIERS:
        assert plain[name]["validation"]["accuracy"] == 0.75, name
        counted = 450 / 600 if how == "weight" else 0.25  # weights of rows count in scores too; of classes not
        assert weighted[name]["validation"]["accuracy"] == pytest.approx(counted), name


@pytest.mark.slow
def test_weights_decide_in_regression_and_rows_of_weight_0_are_left_out() -> None:
    x, y = np.zeros((200, 3)), np.array([0.0] * 150 + [8.0] * 50)
    weight = np.where(y == 0, 0.0, 2.0)
    given = {"classes": (), "weight": weight}
    for row in baselines(of_parts(x, y, **given), seconds=LONG):
        assert row["rows"] == 50
        assert row["validation"]["rmse"] == pytest.approx(0, abs=0.3), row


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uint8", "float32", "colour", pytest.param("large", marks=pytest.mark.thorough)])
def test_pictures_of_every_kind(kind: str) -> None:
    y = np.repeat([0, 1], 60)
    side, channels = (100, 3) if kind == "large" else (9, 3 if kind == "colour" else 1)
    x = np.random.default_rng(0).integers(0, 100, (120, channels, side, side))
    x[y == 1, :, : side // 2] += 60
    images = torch.from_numpy(x.astype(np.float32) / 255 if kind == "float32" else x.astype(np.uint8))
    data = searchkit.load_data((images, y), channels="first")
    found = baselines(data, seconds=LONG)
    assert [row["reason"] for row in found] == [""] * 4
    assert all(row["test"]["accuracy"] > 0.9 for row in found[1:])


def assert_reasons(rows: list[dict[str, Any]], said: str) -> None:
    for row in rows:
        assert row["validation"] == row["test"] == {}, row
        assert said in row["reason"]
        assert "\n" not in row["reason"]


def test_one_class_to_learn_from() -> None:
    x = RNG.normal(size=(40, 3))
    x = x.astype(np.float32)
    parts = [split_of(x, np.zeros(40, np.int64)), *(split_of(x, np.arange(40) % 2) for _ in range(2))]
    rows = baselines(assemble(parts, (0, 1)))
    assert rows[0]["validation"]["accuracy"] == 0.5
    assert math.isfinite(rows[0]["validation"]["log_loss"])
    assert_reasons(rows[1:], "all rows of the train part are of one class")


@pytest.mark.slow
def test_ten_thousand_classes_of_few_rows() -> None:
    y = np.repeat(np.arange(10_000), 2)
    rows = baselines(of_parts(RNG.normal(size=(20_000, 8)), y))
    assert rows[0]["validation"]["log_loss"] == pytest.approx(math.log(10_000))
    assert "scored on" in rows[0]["reason"]
    assert_reasons([rows[1]], "its 1.5 s are enough for")
    assert_reasons([rows[2]], "with 10,000 classes its trees would take more than 512 MB")
    assert_reasons([rows[3]], "its 4 s are enough for")


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True])
def test_three_rows(regression: bool) -> None:
    x, y = RNG.normal(size=(3, 2)), np.array([0.5, 1.5, 2.5]) if regression else np.array([0, 1, 1])
    rows = baselines(of_parts(x, y, **({"classes": ()} if regression else {})), seconds=LONG)
    assert [row["rows"] for row in rows] == [3] * 4
    assert all(math.isfinite(value) for row in rows for value in row["validation"].values())
    assert all(row["validation"] for row in rows)


@pytest.mark.slow
def test_a_class_that_is_in_other_parts_only_has_a_finite_loss() -> None:
    x, y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    known = y < 2
    parts = [split_of(x[known], y[known]), split_of(x, y), split_of(x, y)]
    for row in baselines(assemble(parts, (0, 1, 2)), seconds=LONG):
        assert math.isfinite(row["test"]["log_loss"])
        assert row["test"]["accuracy"] < 0.7


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["train", "validation", "target"])
def test_values_that_are_no_numbers_are_a_reason_and_no_score(bad: float, where: str) -> None:
    x, y = RNG.normal(size=(60, 3)).astype(np.float32), RNG.normal(size=60)
    spoiled = x.copy()
    spoiled[3, 1] = bad
    target = y.copy()
    target[3] = bad
    parts = [
        split_of(spoiled if where == "train" else x, target if where == "target" else y),
        split_of(spoiled if where == "validation" else x, y),
        split_of(x, y),
    ]
    with np.errstate(all="ignore"):
        data = assemble(parts, ())
    rows = baselines(data, seconds=LONG)
    assert all(not row["validation"] and "finite" in row["reason"] for row in rows[1:]), rows


@pytest.mark.slow
def test_parts_that_are_empty_have_no_scores() -> None:
    x, y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    parts = [split_of(x, y), split_of(x, y), split_of(x[:0], y[:0])]
    for row in baselines(assemble(parts, (0, 1, 2)), seconds=LONG):
        assert row["test"] == {}
        assert row["validation"]
        assert row["reason"] == ""


@pytest.mark.slow
def test_targets_far_from_1_and_all_alike() -> None:
    x = RNG.normal(size=(80, 3))
    for y in (1e150 * x[:, 0], 1e-150 * x[:, 0], np.full(80, 7.0)):
        for row in baselines(of_parts(x, y, classes=()), seconds=LONG):
            assert all(math.isfinite(value) for value in row["validation"].values()), row
            assert row["validation"] or row["reason"]
