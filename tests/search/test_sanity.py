"""Simple models at the end of a search: asked for, recorded once, and never the end of it."""

from __future__ import annotations

import inspect
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Result, SearchkitError, Space
from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.splits import split_of
from searchkit.option_reading import read_options
from searchkit.option_values import baseline_seconds
from searchkit.problem.budget import Budget

X = np.random.default_rng(0).normal(size=(150, 5))
Y = np.where(X[:, 0] + X[:, 1] ** 2 > 0.5, "yes", "no")
CLASSIFIERS = ["majority class", "logistic regression", "random forest", "MLP"]


def search(data: Any = (X, Y), **given: Any) -> Result:
    """Two networks for tables, trained for one epoch."""
    given = {"budget": 2, "epochs": 1, "seed": 1, "storage": "memory", "progress": False} | given
    return searchkit.run("random", data=data, **given)


def test_a_search_that_does_not_ask_fits_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for given in ({}, {"baselines": None}, {"baselines": False}):
        assert search(storage=tmp_path, name="s", **given).simple == []
    assert searchkit.load("s", tmp_path).baselines.empty
    assert list(searchkit.load("s", tmp_path).baselines.columns) == [
        "model", "accuracy", "test_accuracy", "seconds", "rows", "reason",
    ]  # fmt: skip
    assert not caplog.records


@pytest.mark.slow
def test_they_are_recorded_once_and_the_search_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "searchkit"):
        table = search(storage=tmp_path, name="s", baselines=True).baselines
    assert table.model.tolist() == CLASSIFIERS
    assert (table.rows == 90).all()
    assert table.accuracy.max() > 0.7
    (said,) = (record.getMessage() for record in caplog.records if record.name == "searchkit.baselines")
    assert said.startswith("the best of the front of 's' is no better")
    assert "more than 2 evaluations" in said
    assert "more epochs than 1" in said
    again = search(storage=tmp_path, name="s", baselines=True, budget=3).baselines
    without = search(storage=tmp_path, name="s", budget=3).baselines
    for other in (again, without, searchkit.load("s", tmp_path).baselines):
        assert other.equals(table)  # with the seconds that the first took


@pytest.mark.slow
def test_they_come_when_asked_for_while_the_data_are_there(tmp_path: Path) -> None:
    x, data = X.copy(), searchkit.load_data((X, Y))
    np.savez(tmp_path / "mine.npz", X=X, y=Y)
    results = [search((x, Y)), search(data), search(str(tmp_path / "mine.npz"))]
    for result in results:
        assert result.simple == []
        assert result.baselines.model.tolist() == CLASSIFIERS
    tables = [result.baselines.drop(columns="seconds") for result in results]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert pickle.loads(pickle.dumps(results[0])).baselines.equals(results[0].baselines)


def test_data_that_are_gone_or_have_changed_give_an_empty_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x = X.copy()
    np.savez(tmp_path / "mine.npz", X=X, y=Y)
    changed, gone = search((x, Y)), search(tmp_path / "mine.npz")
    x[0] += 1
    (tmp_path / "mine.npz").unlink()
    assert changed.baselines.empty
    assert "the data have changed since the search" in caplog.text
    assert gone.baselines.empty
    assert "mine.npz cannot be read" in caplog.text
    assert pickle.loads(pickle.dumps(search())).baselines.empty


def test_they_are_no_part_of_what_identifies_a_study() -> None:
    defaults = {name: p.default for name, p in inspect.signature(searchkit.run).parameters.items()}
    parts = [read_options(**(defaults | {"data": (X, Y), "baselines": value})).parts for value in (None, False, True)]
    assert parts[0] == parts[1] == parts[2]


@pytest.mark.parametrize("value", ["yes", 1, 0, 10.0, []])
def test_something_that_is_no_boolean_is_refused(value: Any) -> None:
    with pytest.raises(SearchkitError, match="baselines must be True, False or None, not"):
        search(baselines=value)


def test_a_function_has_no_data_to_fit_them_on() -> None:
    space = Space([Choice("a", (1, 2, 3))])
    given: dict[str, Any] = {"space": space, "evaluate": lambda choices: {"loss": choices["a"]}}
    given |= {"objectives": {"loss": "min"}, "budget": 2, "storage": "memory"}
    with pytest.raises(SearchkitError, match="baselines=True .* but evaluate= was given"):
        searchkit.run(baselines=True, **given)
    assert searchkit.run(baselines=False, **given).baselines.empty
    assert searchkit.run(**given).baselines.empty


def test_a_search_that_trains_nothing_has_nothing_to_compare() -> None:
    result = search(objectives=("params", "macs"), epochs=None, baselines=True)
    assert result.baselines.empty
    assert result.simple == []


@pytest.mark.slow
def test_what_verify_trained_is_compared(caplog: pytest.LogCaptureFixture) -> None:
    images = np.repeat(np.arange(2), 60)
    x = np.random.default_rng(0).integers(0, 100, (120, 8, 8)).astype(np.uint8)
    x[images == 1, :4] += 80
    given: dict[str, Any] = {"objectives": ("params", "macs"), "verify": 1, "baselines": True}
    result = search((x, images), space="macro", **given)
    assert result.baselines.accuracy.max() == 1
    (said,) = (record.getMessage() for record in caplog.records if record.name == "searchkit.baselines")
    assert f"accuracy {result.verified.accuracy[0]:.4g} against 1 on the validation part" in said
    assert "space 'tabular'" in said


@pytest.mark.slow
@pytest.mark.parametrize("score", ["r2", "rmse"])
def test_regression(score: str) -> None:
    table = search((X, 100 * X[:, 0]), objectives=(score, "params"), baselines=True).baselines
    assert table.model.tolist() == ["mean", "ridge regression", "random forest", "MLP"]
    assert list(table.columns[1:3]) == [score, f"test_{score}"]
    assert "test_r2" in table
    assert table[score].argmax() == (1 if score == "r2" else 0)


@pytest.mark.slow
def test_the_score_is_that_of_the_study() -> None:
    table = search(objectives=("params",), constraints={"balanced_accuracy": (0.0, None)}, baselines=True).baselines
    assert list(table.columns[:4]) == ["model", "balanced_accuracy", "test_balanced_accuracy", "test_accuracy"]
    assert table.balanced_accuracy[0] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["three rows", "one class", "many classes"])
def test_data_on_which_they_fail_end_no_search(bad: str, tmp_path: Path) -> None:
    x = X.astype(np.float32)
    if bad == "three rows":
        parts = [split_of(x[i : i + 3], np.array([0, 1, 1])) for i in (0, 3, 6)]
    elif bad == "one class":
        parts = [split_of(x, np.arange(150) % 2 if i else np.zeros(150, np.int64)) for i in range(3)]
    else:
        parts = [split_of(x, np.arange(150)) for _ in range(3)]
    classes = tuple(range(150 if bad == "many classes" else 2))
    result = search(assemble(parts, classes), storage=tmp_path, name="s", baselines=True)
    assert result.stopped == "the budget is spent"
    assert len(result.baselines) == 4
    assert result.baselines.reason.astype(bool).sum() == (3 if bad == "one class" else 0)
    assert searchkit.load("s", tmp_path).baselines.equals(result.baselines)


@pytest.mark.slow
def test_weights_of_classes_and_rows_reach_them() -> None:
    y = np.array([0] * 100 + [1] * 50)
    parts = [split_of(np.zeros((150, 2), np.float32), y) for _ in range(3)]
    data: Data = assemble(parts, (0, 1), class_weights=(1.0, 9.0))
    table = search(data, baselines=True).baselines
    assert table.accuracy.to_numpy() == pytest.approx(1 / 3)


def test_an_interrupted_search_ends_without_them() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    result = search(baselines=True, budget=5, callbacks=[interrupt])
    assert result.stopped == "interrupted"
    assert result.simple == []


@pytest.mark.slow
def test_an_interruption_while_they_are_fitted_loses_nothing_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchkit.training import baselines as module

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "baselines", interrupt)
        result = search(storage=tmp_path, name="s", baselines=True)
    assert result.stopped == "interrupted"
    assert len(result.history) == 2
    assert result.simple == []
    assert len(search(storage=tmp_path, name="s", baselines=True).simple) == 4


def test_they_take_a_tenth_of_a_budget_in_seconds() -> None:
    assert baseline_seconds(True, False, Budget(40, None)) == 10
    assert baseline_seconds(True, False, Budget(None, 30)) == 3
    assert baseline_seconds(True, False, Budget(None, 3600)) == 10
    for given in (None, False):
        assert baseline_seconds(given, True, Budget(40, None)) == 0
