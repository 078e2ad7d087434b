"""SearchkitCV over a whole grid is GridSearchCV: the same call on both, with every argument and odd inputs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers.marks import slow_if
from scipy import stats
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneGroupOut, RandomizedSearchCV, ShuffleSplit
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from searchkit.errors import SpaceError, UnknownNameError
from searchkit.integrations.sklearn import SearchkitCV
from searchkit.integrations.sklearn.grid import DRAWS, read_grid

pytestmark = pytest.mark.filterwarnings("ignore")  # of failed fits and scores, which both give

X, Y = load_iris(return_X_y=True)
C = {"C": [0.1, 1.0, 10.0]}
FAILING = {"C": [-1.0, 1.0, 2.0]}
DEPTHS = DecisionTreeClassifier(random_state=0)
GROUPS = np.arange(len(Y)) % 5


def share(model: Any, x: Any, y: Any) -> float:
    return float(model.score(x, y))


def two(model: Any, x: Any, y: Any) -> dict[str, float]:
    return {"right": model.score(x, y), "support": -float(model.n_support_.sum())}


class Draws:
    """A distribution that only draws, which is all that RandomizedSearchCV asks for."""

    def rvs(self, random_state: Any = None) -> float:
        return float(np.exp(random_state.normal()))


Case = tuple[Any, Any, dict[str, Any], Any]
SAME: dict[str, Case] = {
    "nothing given": (SVC(), C, {}, {}),
    "scoring: name": (SVC(), C, {"scoring": "f1_macro"}, {}),
    "scoring: function": (SVC(), C, {"scoring": share}, {}),
    "scoring: scorer": (SVC(), C, {"scoring": make_scorer(f1_score, average="macro")}, {}),
    "scoring: function of several": (SVC(), C, {"scoring": two, "refit": "right"}, {}),
    "scoring: function of several, no refit": (SVC(), C, {"scoring": two, "refit": False}, {}),
    "scoring: function of several, failing": (SVC(), FAILING, {"scoring": two, "refit": "right"}, {}),
    "scoring: list": (SVC(), C, {"scoring": ["accuracy", "f1_macro"], "refit": "accuracy"}, {}),
    "scoring: tuple": (SVC(), C, {"scoring": ("accuracy", "f1_macro"), "refit": "f1_macro"}, {}),
    "scoring: dict": (SVC(), C, {"scoring": {"a": "accuracy", "f": "f1_macro"}, "refit": "a"}, {}),
    "scoring: list of one": (SVC(), C, {"scoring": ["accuracy"], "refit": "accuracy"}, {}),
    "scoring: called as a time": (SVC(), C, {"scoring": {"fit_time": "accuracy"}, "refit": "fit_time"}, {}),
    "refit: False": (SVC(), C, {"refit": False}, {}),
    "refit: several, False": (SVC(), C, {"scoring": ["accuracy", "f1_macro"], "refit": False}, {}),
    "refit: text, one scorer": (SVC(), C, {"refit": "accuracy"}, {}),
    "cv: number": (SVC(), C, {"cv": 3}, {}),
    "cv: splitter": (SVC(), C, {"cv": KFold(4, shuffle=True, random_state=0)}, {}),
    "cv: random splitter": (SVC(), C, {"cv": ShuffleSplit(3, random_state=0)}, {}),
    "cv: splits": (SVC(), C, {"cv": list(KFold(3, shuffle=True, random_state=1).split(X))}, {}),
    "groups": (SVC(), C, {"cv": GroupKFold(5)}, {"groups": GROUPS}),
    "one group out": (SVC(), C, {"cv": LeaveOneGroupOut()}, {"groups": GROUPS}),
    "sample_weight": (SVC(), C, {}, {"sample_weight": np.where(GROUPS == 0, 5.0, 0.1)}),
    "return_train_score": (SVC(), C, {"return_train_score": True}, {}),
    "return_train_score, failing": (SVC(), FAILING, {"return_train_score": True}, {}),
    "n_jobs, pre_dispatch": (SVC(), C, {"n_jobs": 2, "pre_dispatch": "n_jobs"}, {}),
    "error_score: nan": (SVC(), FAILING, {}, {}),
    "error_score: 0": (SVC(), FAILING, {"error_score": 0}, {}),
    "error_score: -1": (SVC(), {"C": [1.0, 2.0, -1.0]}, {"error_score": -1.0}, {}),
    "error_score: several scorers": (
        SVC(), FAILING, {"scoring": ["accuracy", "f1_macro"], "refit": "accuracy", "error_score": 0.0}, {},
    ),
    "several grids": (SVC(), [{"kernel": ["linear"], "C": [1, 10]}, {"kernel": ["rbf"], "gamma": [0.1, 1.0]}], {}, {}),
    "a list of one grid": (SVC(), [{"C": [1, 10]}], {}, {}),
    "an empty grid": (SVC(), {}, {}, {}),
    "one of them empty": (SVC(), [{}, {"C": [5.0]}], {}, {}),
    "values: array": (SVC(), {"C": np.logspace(-1, 1, 3)}, {}, {}),
    "values: whole numbers": (DEPTHS, {"max_depth": np.arange(1, 4)}, {}, {}),
    "values: range": (DEPTHS, {"max_depth": range(1, 4)}, {}, {}),
    "values: tuple": (SVC(), {"C": (0.1, 1.0)}, {}, {}),
    "values: equal ones": (SVC(), {"C": [1.0, 1.0, 2.0]}, {}, {}),
    "values: None": (DEPTHS, {"max_depth": [None, 1, 2]}, {}, {}),
    "values: mixed": (DEPTHS, {"max_features": ["sqrt", 0.5, None, 1]}, {}, {}),
    "values: bools": (SVC(), {"shrinking": [True, False]}, {}, {}),
    "values: nan": (SVC(), {"C": [np.nan, 1.0]}, {}, {}),
    "values: dictionaries": (SVC(), {"class_weight": [None, {0: 2}, "balanced"]}, {}, {}),
    "values: estimators": (
        make_pipeline(StandardScaler(), SVC()),
        {"svc": [SVC(), SVC(C=0.01)], "standardscaler": ["passthrough", StandardScaler()]}, {}, {},
    ),
    "no y: clusters": (KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3]}, {}, (X,)),
    "no y: components": (PCA(), {"n_components": [1, 2]}, {}, (X,)),
    "no y: density": (KernelDensity(), {"bandwidth": [0.1, 1.0]}, {}, (X,)),
    "a frame": (SVC(), C, {}, (pd.DataFrame(X, columns=list("abcd")), pd.Series(Y))),
    "words": (SVC(), C, {}, (X, np.array(["a", "b", "c"])[Y])),
    "lists": (SVC(), C, {}, (X.tolist(), Y.tolist())),
    "several labels": (DEPTHS, {"max_depth": [1, 2]}, {}, make_multilabel_classification(60, random_state=0)),
    "probabilities": (LogisticRegression(max_iter=999), C, {}, {}),
}  # fmt: skip

REFUSED: dict[str, Case] = {  # by both, as a ValueError, TypeError or IndexError
    "scoring: unknown": (SVC(), C, {"scoring": "acuracy"}, {}),
    "scoring: set": (SVC(), C, {"scoring": {"accuracy"}}, {}),
    "scoring: empty": (SVC(), C, {"scoring": []}, {}),
    "scoring: twice": (SVC(), C, {"scoring": ["accuracy", "accuracy"]}, {}),
    "refit: True for several": (SVC(), C, {"scoring": ["accuracy", "f1_macro"]}, {}),
    "refit: True for several of a function": (SVC(), C, {"scoring": two}, {}),
    "refit: unknown": (SVC(), C, {"scoring": ["accuracy", "f1_macro"], "refit": "auc"}, {}),
    "refit: beyond the rows": (SVC(), C, {"refit": lambda results: 99}, {}),
    "refit: no whole number": (SVC(), C, {"refit": lambda results: 1.0}, {}),
    "refit: number": (SVC(), C, {"refit": 3}, {}),
    "cv: text": (SVC(), C, {"cv": "three"}, {}),
    "cv: 1": (SVC(), C, {"cv": 1}, {}),
    "groups missing": (SVC(), C, {"cv": GroupKFold(5)}, {}),
    "fit parameter": (SVC(), C, {}, {"weights": np.ones(len(Y))}),
    "error_score: raise": (SVC(), FAILING, {"error_score": "raise"}, {}),
    "error_score: text": (SVC(), C, {"error_score": "ignore"}, {}),
    "all fail": (SVC(), {"C": [-1.0, -2.0]}, {}, {}),
    "all fail, error_score": (SVC(), {"C": [-1.0, -2.0]}, {"error_score": 0}, {}),
    "all fail, function": (SVC(), {"C": [-1.0, -2.0]}, {"scoring": two, "refit": "right"}, {}),
    "no grids": (SVC(), [], {}, {}),
    "no values": (SVC(), {"C": []}, {}, {}),
    "values: set": (SVC(), {"C": {0.1, 1.0}}, {}, {}),
    "values: generator": (SVC(), {"C": (c for c in (0.1, 1.0))}, {}, {}),
    "values: text": (SVC(), {"kernel": "rbf"}, {}, {}),
    "values: number": (SVC(), {"C": 1.0}, {}, {}),
    "values: matrix": (SVC(), {"C": np.ones((2, 2))}, {}, {}),
    "values: array of no axis": (SVC(), {"C": np.array(1.0)}, {}, {}),
    "unknown parameter": (SVC(), {"D": [1, 2]}, {}, {}),
    "names that are no text": (SVC(), {1: [1, 2]}, {}, {}),
    "grid: None": (SVC(), None, {}, {}),
    "grid: text": (SVC(), "C", {}, {}),
    "no score": (OneClassSVM(), {"nu": [0.1, 0.5]}, {}, (X,)),
    "no X": (SVC(), C, {}, (None, Y)),
    "verbose": (SVC(), C, {"verbose": -1}, {}),
    "n_jobs: 0": (SVC(), C, {"n_jobs": 0}, {}),
    "n_jobs: text": (SVC(), C, {"n_jobs": "2"}, {}),
    "return_train_score: text": (SVC(), C, {"return_train_score": "yes"}, {}),
    "estimator: text": ("SVC", C, {}, {}),
    "estimator: class": (SVC, C, {}, {}),
}

# what SearchkitCV takes beyond GridSearchCV
MORE: dict[str, Any] = {
    "a tuple of grids": ({"C": [1.0]}, {"C": [2.0]}),
    "a series": {"C": pd.Series([0.1, 1.0])},
    "an index": {"C": pd.Index([0.1, 1.0])},
    "a distribution": {"C": stats.uniform(0.1, 2)},
    "draws": {"C": Draws()},
}


def fitted(tool: Callable[..., Any], case: Case) -> Any:
    model, grid, given, data = case
    arguments, further = (data, {}) if isinstance(data, tuple) else ((X, Y), data)
    search = tool(model, grid, **given)
    return search.fit(*arguments, **further)


def ours(model: Any, grid: Any, **given: Any) -> SearchkitCV:
    return SearchkitCV(model, grid, budget=100, random_state=0, **given)


def rows_of(search: Any) -> dict[str, int]:
    """Rows of cv_results_ by parameters; equal ones are counted."""
    rows: dict[str, int] = {}
    for row, parameters in enumerate(search.cv_results_["params"]):
        text = str([(name, str(value)) for name, value in parameters.items()])
        rows[f"{text} {sum(key.startswith(text) for key in rows)}"] = row
    return rows


def said(search: Any, name: str) -> Any:
    try:
        return getattr(search, name)
    except AttributeError:
        return "absent"


@pytest.mark.parametrize(
    "name",
    slow_if(lambda name: "n_jobs" in name or name.startswith(("values", "refit")) or name == "probabilities", SAME),
)
def test_a_search_of_the_whole_grid_is_grid_search(name: str) -> None:
    theirs, mine = fitted(GridSearchCV, SAME[name]), fitted(ours, SAME[name])
    rows = [rows_of(search) for search in (theirs, mine)]
    assert rows[0].keys() == rows[1].keys()
    assert list(mine.cv_results_) == list(theirs.cv_results_)
    for key, column in theirs.cv_results_.items():
        own = mine.cv_results_[key]
        assert type(own) is type(column)
        assert getattr(own, "dtype", None) == getattr(column, "dtype", None), key
        for at, row in rows[0].items():
            if key not in ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"):
                assert str(own[rows[1][at]]) == str(column[row]), (key, at)
    for attribute in ("best_score_", "n_splits_", "multimetric_", "n_features_in_"):
        assert said(mine, attribute) == said(theirs, attribute), attribute
    for attribute in ("classes_", "feature_names_in_"):
        assert np.array_equal(said(mine, attribute), said(theirs, attribute))
    for attribute in ("scorer_", "refit_time_", "best_index_", "best_estimator_", "best_params_"):
        assert type(said(mine, attribute)) is type(said(theirs, attribute)), attribute
    if mine.refit and not callable(mine.refit):
        assert mine.cv_results_["params"][mine.best_index_] == mine.best_params_
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform"):
        assert hasattr(mine, method) == hasattr(theirs, method)
    for method in ("inverse_transform", "score_samples", "score"):
        assert hasattr(mine, method) == hasattr(theirs, method)
    assert not {attribute for attribute in vars(mine) if attribute.startswith("_formatted")}
    pickle.dumps(mine.cv_results_)


@pytest.mark.parametrize("name", REFUSED)
def test_what_grid_search_refuses_is_refused(name: str) -> None:
    for tool in (GridSearchCV, ours):
        with pytest.raises((ValueError, TypeError, IndexError)) as refused:
            fitted(tool, REFUSED[name])
    assert str(refused.value).strip()


@pytest.mark.parametrize("grid", MORE.values(), ids=MORE.keys())
def test_what_is_taken_beyond_grid_search(grid: Any) -> None:
    search = SearchkitCV(SVC(), grid, budget=4, cv=2, random_state=0).fit(X, Y)
    assert 2 <= len(search.cv_results_["params"]) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"])
def test_methods_are_those_of_the_best(method: str) -> None:
    model = LogisticRegression(max_iter=999)
    mine, theirs = fitted(ours, (model, C, {}, {})), fitted(GridSearchCV, (model, C, {}, {}))
    given = (X, Y) if method == "score" else (X,)
    np.testing.assert_array_equal(getattr(mine, method)(*given), getattr(theirs, method)(*given))


@pytest.mark.parametrize(
    ("model", "method"),
    [(PCA(), "transform"), (PCA(), "inverse_transform"), (KernelDensity(), "score_samples"), (PCA(), "score")],
)
def test_methods_of_what_has_no_y_are_those_of_the_best(model: Any, method: str) -> None:
    grid = {"n_components": [2]} if isinstance(model, PCA) else {"bandwidth": [0.1, 1.0]}
    mine, theirs = fitted(ours, (model, grid, {}, (X,))), fitted(GridSearchCV, (model, grid, {}, (X,)))
    given = theirs.transform(X) if method == "inverse_transform" else X
    np.testing.assert_array_equal(getattr(mine, method)(given), getattr(theirs, method)(given))


@pytest.mark.parametrize("batch", [1, 3])
def test_candidates_whose_fits_all_fail_have_rows_in_their_place(batch: int) -> None:
    grid = {"C": [-1.0, 1.0, -2.0, 2.0, -3.0, 3.0]}
    search = SearchkitCV(SVC(), grid, strategy="random", budget=6, batch=batch, cv=2, random_state=1).fit(X, Y)
    history = search.result_.history
    assert [parameters["C"] for parameters in search.cv_results_["params"]] == history.C.tolist()
    failed = np.isnan(search.cv_results_["mean_test_score"])
    assert (history.state == "failed").tolist() == failed.tolist()
    assert set(search.cv_results_["rank_test_score"][failed]) == {4}
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_number_as_error_score_is_learned_as_the_score(batch: int) -> None:
    given = {"scoring": "accuracy", "error_score": -0.5, "batch": batch}
    search = ours(SVC(), {"C": [-1.0, 1.0, -2.0, 2.0]}, **given).fit(X, Y)
    history = search.result_.history
    assert (history.state == "scored").all()
    assert history[history.C < 0].score.tolist() == [-0.5, -0.5]


def test_scorers_of_a_function_are_objectives() -> None:
    search = ours(SVC(), C, scoring=two, refit="right").fit(X, Y)
    assert search.result_.goals.names == ("right", "support")
    assert len(search.cv_results_["params"]) == len(search.result_.history) == 3
    with pytest.raises(
        UnknownNameError, match="unknown objective 'wrong': choose from fit_time, right, score_time, su"
    ):
        ours(SVC(), C, scoring=two, refit="right", objectives="wrong").fit(X, Y)
    with pytest.raises(UnknownNameError, match="unknown objective 'right': choose from fit_time, score, score_time"):
        ours(SVC(), C, scoring=share, objectives="right").fit(X, Y)


def test_a_budget_of_one_is_one_candidate_with_a_function_too() -> None:
    search = SearchkitCV(SVC(), C, scoring=two, refit="right", budget=1).fit(X, Y)
    assert len(search.cv_results_["params"]) == len(search.result_.history) == 1


def test_metadata_is_routed() -> None:
    weight = np.where(GROUPS == 0, 5.0, 0.1)
    with sklearn.config_context(enable_metadata_routing=True):
        model = SVC().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        data = {"sample_weight": weight, "groups": GROUPS}
        case = (model, C, {"cv": GroupKFold(5)}, data)
        scores = [sorted(fitted(tool, case).cv_results_["mean_test_score"]) for tool in (GridSearchCV, ours)]
        assert scores[0] == scores[1]
        with pytest.raises(TypeError, match="metadata"):
            fitted(ours, (SVC(), C, {}, {"metadata": weight}))


def test_distributions_are_searched_as_randomized_search_draws_them() -> None:
    values = {"C": stats.loguniform(1e-2, 1e2), "gamma": Draws(), "degree": stats.randint(1, 4), "kernel": ["rbf"]}
    theirs = RandomizedSearchCV(SVC(), values, n_iter=5, random_state=0).fit(X, Y)
    mine = SearchkitCV(SVC(), values, budget=5, random_state=0).fit(X, Y)
    assert list(mine.cv_results_) == list(theirs.cv_results_)
    for key in ("param_C", "param_gamma", "param_degree", "param_kernel"):
        assert mine.cv_results_[key].dtype == theirs.cv_results_[key].dtype
    grid = read_grid(values)
    assert len(grid.values[0]["gamma"]) == DRAWS
    assert grid.space.choices[1].ordered


def test_draws_that_are_no_numbers_are_options() -> None:
    class Words:
        def rvs(self, random_state: Any = None) -> str:
            return str(random_state.choice(["rbf", "linear"]))

    class Endless:
        def rvs(self, random_state: Any = None) -> float:
            return float("inf")

    (found,) = read_grid({"kernel": Words()}).values
    assert sorted(found["kernel"]) == ["linear", "rbf"]
    with pytest.raises(SpaceError, match="parameter 'C' has a distribution that draws values that are not finite"):
        read_grid({"C": Endless()})


def test_a_search_is_cloned_and_set_as_grid_search_is() -> None:
    search = clone(ours(SVC(), C)).set_params(estimator__gamma=0.5, scoring="f1_macro", cv=2)
    assert search.get_params()["estimator__gamma"] == 0.5
    search.fit(X, Y)
    assert search.n_splits_ == 2
