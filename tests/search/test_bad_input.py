"""Bad input gets one sentence that names what was given, what is allowed and what is near, before any work."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
from torch import nn

import searchkit
from searchkit import Choice, Metric, Space
from searchkit.costs.measure import measured
from searchkit.errors import (
    BudgetError,
    ConstraintError,
    DataError,
    DeviceError,
    ObjectiveError,
    SearchkitError,
    SpaceError,
    StorageError,
    StudyMismatchError,
    UnknownNameError,
)
from searchkit.storage.header import FORMAT

SPACE = Space([Choice("a", range(4)), Choice("b", range(4))])


def never(choices: dict) -> dict:
    raise AssertionError("work began")


def fine(choices: dict) -> dict:
    return {"loss": choices["a"] + choices["b"]}


def search(function=fine, **given):
    given = {"space": SPACE, "objectives": {"loss": "min"}, "storage": "memory", "budget": 4} | given
    return searchkit.run("random", evaluate=function, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"function": len, "stage": "counted"}, "its function is called when the metric is measured, not counted"),
        ({"function": len, "stage": "measured", "trained": True}, "called when the metric is trained, not measured"),
        ({"stage": "mesured"}, "stage 'mesured': choose from counted, measured, scored, trained"),
        ({}, "needs a function"),
    ],
)
def test_a_metric_says_when_it_is_known(given, words):
    with pytest.raises(ObjectiveError, match=f"metric 'm' .*{words}"):
        Metric("m", **given)


def test_a_cost_that_nothing_measures_is_not_another_one():
    with pytest.raises(UnknownNameError, match=r"unknown measured cost 'energy_mJ'.*Did you mean 'energy_mj'"):
        measured("energy_mJ", nn.Linear(2, 2), (2,), "cpu")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {"strategy": "nsga22"},
            UnknownNameError,
            r"unknown strategy 'nsga22': choose from .*nsga2.*Did you mean 'nsga2'",
        ),
        ({"strategy": 7}, UnknownNameError, r"unknown strategy 7"),
        ({"space": "nasbench201"}, UnknownNameError, r"unknown space 'nasbench201'.*Did you mean 'nas-bench-201'"),
        ({"space": 3}, SpaceError, r"space is a name .*not 3"),
        ({"space": SPACE}, SpaceError, r"builds no networks.*NetworkSpace"),
        ({"objectives": ("acuracy",)}, UnknownNameError, r"unknown objective 'acuracy'.*Did you mean 'accuracy'"),
        ({"objectives": ()}, ObjectiveError, r"at least one objective"),
        ({"objectives": {"accuracy": "up"}}, ObjectiveError, r"direction 'up': choose 'min' or 'max'"),
        (
            {"objectives": ("accuracy", Metric("card_memry", stage="measured"))},
            UnknownNameError,
            r"unknown metric without a function 'card_memry': choose from .*Did you mean 'card_memory'",
        ),
        (
            {"objectives": ("accuracy",), "constraints": {Metric("size", stage="counted"): 3}},
            UnknownNameError,
            r"unknown metric without a function 'size'",
        ),
        (
            {"objectives": (Metric("params", stage="trained"), "macs")},
            ObjectiveError,
            r"metric 'params' is counted, not trained: write 'params'",
        ),
        ({"device": "gpu"}, DeviceError, r"unknown device 'gpu'.*choose from auto, cpu"),
        ({"device": "cuda:99"}, DeviceError, r"'cuda:99' is not there"),
        ({"data": "diggits"}, UnknownNameError, r"unknown data set 'diggits'.*Did you mean 'digits'"),
        ({"data": (np.zeros((9, 8, 8)), np.zeros(9))}, DataError, r"one class|class"),
        ({"data": (np.full((60, 8, 8), math.nan), np.arange(60) % 2)}, DataError, r"NaN|nan|finite"),
        ({"data": (np.zeros((60, 8, 8)), np.arange(50) % 2)}, DataError, r"60.*50"),
        ({"constraints": {"parms": 3}}, UnknownNameError, r"unknown constraint 'parms'.*Did you mean 'params'"),
        ({"constraints": {"params": "few"}}, ConstraintError, r"a number or a pair.*not 'few'"),
        ({"constraints": {"params": (5, 2)}}, ConstraintError, r"leaves nothing: low 5, high 2"),
        ({"constraints": {"params": 5}}, ConstraintError, r"params <= 5: the lowest found is \d+"),
        (
            {"space": "nas-bench-201", "constraints": {"params": 5}},
            ConstraintError,
            r"params <= 5: the lowest attainable is \d+",
        ),
        (
            {"space": "nas-bench-201", "constraints": {"macs": (10**12, None)}},
            ConstraintError,
            r"macs >= 1e\+12: the highest attainable is \d+$",
        ),
        ({"proxies": ("eproxi",)}, UnknownNameError, r"unknown proxy 'eproxi'"),
        ({"epochs": 0}, SearchkitError, r"epochs must be a whole number of at least 1, not 0"),
        ({"time_limit": -1}, SearchkitError, r"time_limit must be a number"),
        ({"executor": "ray?"}, SearchkitError, r"unknown executor 'ray\?': choose from interleaved, ray"),
    ],
)
def test_a_search_over_networks(given, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words) as raised:
        searchkit.run(**given)
    assert isinstance(raised.value, SearchkitError)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [], "something was written"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"budget": 0}, BudgetError, r"evaluations must be a positive number, not 0"),
        ({"budget": "10"}, BudgetError, r"not the text '10'. Did you mean 10, without quotes\?"),
        ({"budget": "ten"}, BudgetError, r"budget is a number such as 60, .* not the text 'ten'$"),
        ({"budget": "5 minutes"}, BudgetError, r"Did you mean \{'seconds': 300\}\?"),
        ({"budget": "+2h"}, BudgetError, r"Did you mean \{'more_seconds': 7200\}\?"),
        ({"budget": "3 months"}, BudgetError, r"not the text '3 months'$"),
        ({"budget": -5}, BudgetError, r"not -5"),
        ({"budget": 2.5}, BudgetError, r"a whole number, not 2.5"),
        ({"budget": {"seconds": None}}, BudgetError, r"budget is empty"),
        ({"budget": {}}, BudgetError, r"budget is empty"),
        ({"budget": {"seconds": math.nan}}, BudgetError, r"seconds must be a positive number"),
        ({"budget": {"hours": 2}}, UnknownNameError, r"unknown budget 'hours'"),
        ({"space": None}, SpaceError, r"give the space to search"),
        ({"objectives": ("loss",)}, ObjectiveError, r"a mapping name -> 'min' or 'max'"),
        ({"batch": 0}, SearchkitError, r"batch must be a whole number of at least 1"),
        ({"seed": -1}, SearchkitError, r"seed must be"),
        ({"storage": "/proc/nowhere"}, StorageError, r"'/proc/nowhere' cannot be"),
        ({"storage": "nosuchdb://x/y"}, StorageError, r"'nosuchdb://x/y' names a database 'nosuchdb' that is"),
        ({"name": "../x", "storage": None}, StorageError, r"a study's name is made of letters"),
    ],
)
def test_a_search_over_a_function(given, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        search(never, **given)


def test_a_function_must_be_callable():
    with pytest.raises(SearchkitError, match="evaluate is a function"):
        search(3)


def test_another_search_under_the_same_name_is_refused_with_what_differs(tmp_path: Path) -> None:
    first = search(storage=tmp_path, name="s")
    wider = Space([Choice("a", range(5)), Choice("b", range(4))])
    for given, words in (
        ({"space": wider}, r"choice 'a'\.options \(recorded \[0, 1, 2, 3\], asked \[0, 1, 2, 3, 4\]\)"),
        ({"objectives": {"loss": "max"}}, r"objectives\.loss \(recorded min, asked max\)"),
        ({"objectives": {"loss": "min", "more": "min"}}, r"objectives\.more"),
        ({"seed": 5}, r"seed \(recorded 0, asked 5\)"),
        ({"constraints": {"loss": 3}}, r"constraints"),
    ):
        with pytest.raises(StudyMismatchError, match=f"study 's' holds another search; it differs in .*{words}"):
            search(never, storage=tmp_path, name="s", **given)
    assert searchkit.load("s", tmp_path).history.equals(first.history), "the record was touched"


@pytest.mark.slow
def test_a_study_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/o.db"
    optuna.create_study(storage=url, study_name="theirs").optimize(lambda trial: trial.suggest_float("x", 0, 1), 2)
    with pytest.raises(StudyMismatchError, match="not made by searchkit"):
        search(never, storage=url, name="theirs")
    assert len(optuna.load_study(storage=url, study_name="theirs").trials) == 2


def test_a_study_that_is_being_written_is_not_opened_twice(tmp_path: Path) -> None:
    def nested(choices: dict) -> dict:
        with pytest.raises(StorageError, match="being written by another search"):
            search(never, storage=tmp_path, name="s")
        return fine(choices)

    assert len(search(nested, storage=tmp_path, name="s").history) == 4
    assert len(search(storage=tmp_path, name="s", budget=6).history) == 6


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    search(storage=tmp_path, name="s")
    path = tmp_path / "s.journal"
    newer = path.read_text().replace(f'"format":{FORMAT}', '"format":99')
    path.write_text(re.sub(',"checksum":"[0-9a-f]{8}"', "", newer))
    with pytest.raises(StudyMismatchError, match=f"format 99 .* newer than the format {FORMAT}"):
        search(never, storage=tmp_path, name="s", budget=9)


def test_an_unknown_study_is_named_with_those_there_are(tmp_path: Path) -> None:
    search(storage=tmp_path, name="edge-camera")
    with pytest.raises(UnknownNameError, match="Did you mean 'edge-camera'"):
        searchkit.load("edge-camra", tmp_path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Space([]), "at least one choice"),
        (lambda: Space([Choice("a", [])]), "choice 'a' has no options"),
        (lambda: Space([Choice("a", (1, 1))]), "lists 1 more than once"),
        (lambda: Space([Choice("a", (1,)), Choice("a", (2,))]), "a appears more than once"),
        (lambda: Space(["a"]), "made of Choice, Float and Int objects, not str"),
        (lambda: Choice("a", "abc"), "got the string 'abc'"),
        (lambda: SPACE.check([[1, 9]]), "candidate 0 takes option 9 of choice 'b', which has 4"),
        (lambda: SPACE.check([[1]]), "have 2 choices; got an array of shape"),
        (lambda: SPACE.check([[0.5, 1]]), "whole option indices"),
        (lambda: SPACE.encode({"a": 1}), "says nothing of choice 'b'"),
        (lambda: SPACE.encode({"a": 1, "b": 7}), r"choice 'b' has no option 7: choose from \[0, 1, 2, 3\]"),
        (lambda: SPACE.encode({"a": 1, "bb": 7}), "has no choice 'bb'.*Did you mean 'b'"),
    ],
)
def test_spaces(make, words):
    with pytest.raises(SpaceError, match=words):
        make()
