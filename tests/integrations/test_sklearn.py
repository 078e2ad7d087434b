"""Searches as scikit-learn estimators and as its cross-validated search: what scikit-learn's users rely on."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from helpers.operations import operations
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import DataConversionWarning, FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, ParameterGrid, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from searchkit import Choice, Float, Int, load_space
from searchkit.errors import DataError, SearchkitError, SpaceError, UnknownNameError
from searchkit.integrations.sklearn import SearchClassifier, SearchkitCV, SearchRegressor
from searchkit.integrations.sklearn.data import parts
from searchkit.integrations.sklearn.grid import read_grid
from tests.helpers.recipes import recipes_made

X, Y = load_breast_cancer(return_X_y=True)
NAMES = np.array(["malignant", "benign"])[Y]
XR, YR = load_diabetes(return_X_y=True)
SMALL = load_space("tabular", width=(8, 16), depth=(0, 1))
TINY = {"strategy": "random", "space": SMALL, "budget": 2, "epochs": 3, "random_state": 0}


def classifier(**given: Any) -> SearchClassifier:
    return SearchClassifier(**TINY | given)


def regressor(**given: Any) -> SearchRegressor:
    return SearchRegressor(**TINY | given)


# --- scikit-learn's own checks

RIDGE = {"check_supervised_y_2d": "Ridge takes a column y without the warning; GridSearchCV(Ridge()) fails it as well"}


REPEATED = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 and two rows are held out and put into batches "
    "in other ways: scikit-learn's own networks with early_stopping=True fail it as well"
}


@pytest.mark.slow
@parametrize_with_checks(
    [classifier(budget=1, space=None), regressor(budget=1, space=None)], expected_failed_checks=lambda _: REPEATED
)
def test_the_estimators_pass_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@parametrize_with_checks(
    [
        SearchkitCV(LogisticRegression(), {"C": [0.1, 1.0]}, budget=2, cv=2),
        SearchkitCV(Ridge(), {"alpha": [0.1, 1.0]}, budget=2, cv=2),
    ],
    expected_failed_checks=lambda search: RIDGE if isinstance(search.estimator, Ridge) else {},
)
def test_the_search_passes_scikit_learns_checks(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)  # checks of what cannot be fitted; GridSearchCV warns as well
        warnings.filterwarnings("ignore", "Scoring failed|One or more of the test scores", UserWarning)
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        check(estimator)


# --- the estimators


@pytest.fixture(scope="module")
def fitted() -> SearchClassifier:
    return classifier(epochs=15, budget=4).fit(X, NAMES)


@pytest.fixture(scope="module")
def fitted_regressor() -> SearchRegressor:
    return regressor(epochs=15, budget=4, test_fraction=0.2).fit(XR, YR)


@pytest.mark.slow
def test_ten_lines_find_a_classifier() -> None:
    train, test, y_train, y_test = train_test_split(X, NAMES, random_state=0)
    search = SearchClassifier(budget=3, epochs=10, random_state=0).fit(train, y_train)
    assert search.score(test, y_test) > 0.93
    assert len(search.result_.front) >= 1


@pytest.mark.slow
def test_what_was_fitted_is_there(fitted: SearchClassifier) -> None:
    assert fitted.classes_.tolist() == ["benign", "malignant"]
    assert fitted.n_features_in_ == 30
    assert len(fitted.result_.history) == 4
    assert not fitted.network_.training
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(fitted.classes_[probabilities.argmax(axis=1)], fitted.predict(X))


def test_what_is_said_of_a_row_does_not_depend_on_the_rows_beside_it(fitted: SearchClassifier) -> None:
    together = fitted.predict_proba(X[:40])
    alone = np.concatenate([fitted.predict_proba(X[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(alone, together, rtol=1e-10)


@pytest.mark.slow
def test_a_quantity_is_predicted_in_its_unit(fitted_regressor: SearchRegressor) -> None:
    predicted = fitted_regressor.predict(XR)
    assert predicted.shape == YR.shape
    assert abs(predicted.mean() - YR.mean()) < 0.2 * YR.std()
    assert fitted_regressor.score(XR, YR) > 0.3
    assert "test_r2" in fitted_regressor.result_.front


@pytest.mark.slow
def test_the_same_random_state_gives_the_same_network_and_another_another(fitted: SearchClassifier) -> None:
    again = clone(fitted).fit(X, NAMES)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = clone(fitted).set_params(random_state=1).fit(X, NAMES)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))
    drawn = classifier(random_state=np.random.RandomState(3)).fit(X, NAMES).predict_proba(X)
    assert np.array_equal(drawn, classifier(random_state=np.random.RandomState(3)).fit(X, NAMES).predict_proba(X))


@pytest.mark.slow  # a second interpreter imports torch
@pytest.mark.parametrize("library", ["pickle", pytest.param("joblib", marks=pytest.mark.thorough)])
def test_a_fresh_process_predicts_the_same(fitted: SearchClassifier, tmp_path: Path, library: str) -> None:
    path, rows, out = tmp_path / "model", tmp_path / "rows.npy", tmp_path / "out.npy"
    np.save(rows, X)
    if library == "pickle":
        path.write_bytes(pickle.dumps(fitted))
    else:
        joblib.dump(fitted, path)
    loaded = "pickle.load(open(sys.argv[1], 'rb'))" if library == "pickle" else "joblib.load(sys.argv[1])"
    code = (
        f"import numpy as np, joblib, pickle, sys; np.save(sys.argv[3], {loaded}.predict_proba(np.load(sys.argv[2])))"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(rows), str(out)], check=True)
    assert np.array_equal(np.load(out), fitted.predict_proba(X))


def test_a_pickle_keeps_the_network_when_the_search_is_gone() -> None:
    search = classifier().fit(X, Y)
    expected, packed = search.predict_proba(X), pickle.dumps(search)
    folder = search.result_.folder
    del search
    back = pickle.loads(packed)
    assert np.array_equal(back.predict_proba(X), expected)
    assert back.result_.front.accuracy.between(0, 1).all()
    assert not folder.exists(), "the weights of a search in memory go with its result"  # type: ignore[union-attr]


@pytest.mark.slow
def test_it_works_in_a_pipeline_in_cross_validation_and_in_a_grid() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier())
    assert cross_val_score(pipeline, X, NAMES, cv=2).mean() > 0.7
    grid = GridSearchCV(classifier(budget=1), {"epochs": [1, 4]}, cv=2).fit(X, Y)
    assert grid.best_params_["epochs"] == 4


def test_the_columns_of_a_data_frame_are_known_by_name() -> None:
    frame = pd.DataFrame(XR, columns=[f"c{i}" for i in range(10)])
    search = regressor().fit(frame, YR)
    assert search.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        search.predict(frame[frame.columns[::-1]])


@pytest.mark.slow
def test_images_are_searched_in_the_space_for_images() -> None:
    digits = load_digits(n_class=3)
    search = classifier(budget=1, epochs=1, space=None).fit(digits.images, digits.target)
    assert search.result_.space.name == "residual"
    assert search.n_features_in_ == 64
    assert search.predict_proba(digits.images[:5]).shape == (5, 3)
    with pytest.raises(DataError, match=r"fitted on images of shape \(1, 8, 8\), and X has \(1, 4, 8\)"):
        search.predict(digits.images[:, :4])
    rows = classifier(budget=1, space=None).fit(digits.data, digits.target)
    assert rows.result_.space.name == "tabular", "rows of 64 features are a table"


def test_all_rows_are_learned_from_and_the_network_trained_on_all_of_them() -> None:
    search = classifier(refit=True).fit(X, Y)
    alone = clone(search).set_params(refit=False).fit(X, Y)
    assert alone.result_.history.accuracy.tolist() == search.result_.history.accuracy.tolist()
    assert search.network_.mean.numpy().ravel() == pytest.approx(X.mean(axis=0), rel=1e-4)
    assert alone.network_.mean.numpy().ravel() != pytest.approx(X.mean(axis=0), rel=1e-4)
    assert "test_accuracy" not in search.result_.front


@pytest.mark.slow
def test_with_a_time_the_network_is_the_one_that_the_search_trained_in_full() -> None:
    model = classifier(budget={"seconds": 6}, epochs=None).fit(X, Y)
    final = model.result_.finals[int(model.result_.front.trial[0])]
    assert final["steps"] > 0
    assert len(model.result_.trials) > 1
    theirs, own = model.result_.build(0).state_dict(), model.network_.state_dict()
    assert all(torch.equal(theirs[name], own[name]) for name in theirs)


def test_a_test_part_is_kept_out_where_it_is_asked_for() -> None:
    search = classifier(test_fraction=0.25, validation_fraction=0.25).fit(X, Y)
    assert search.result_.front.test_accuracy.between(0, 1).all()
    assert search.network_.mean.numpy().ravel() != pytest.approx(X.mean(axis=0), rel=1e-4)


@pytest.mark.parametrize(
    ("pick", "row"), [(None, 0), ("params", -1), (-1, -1), (lambda front: len(front) - 1, -1), ("accuracy", 0)]
)
def test_any_network_of_the_front_may_be_taken(pick: Any, row: int) -> None:
    space = load_space("tabular", width=(4, 8, 64), depth=(1, 2), dropout=(0.0,))
    search = classifier(space=space, budget=8, epochs=1, pick=pick, refit=False).fit(X, Y)
    assert len(search.result_.front) > 1, "the front has a choice to make"
    taken = sum(p.numel() for p in search.network_.parameters())
    assert taken == search.result_.front.params.iloc[row]


def test_bounds_hold_for_the_network_that_is_taken() -> None:
    search = classifier(constraints={"params": 500}).fit(X, Y)
    assert sum(p.numel() for p in search.network_.parameters()) <= 500


@pytest.mark.slow
def test_a_search_without_training_ends_in_a_trained_network() -> None:
    search = classifier(objectives=("synflow", "params"), epochs=20).fit(X, Y)
    assert search.score(X, Y) > 0.9


def test_a_storage_continues_the_same_fit(tmp_path: Path) -> None:
    given = {"storage": tmp_path, "name": "mine"}
    first = classifier(**given).fit(X, Y)
    again = classifier(**given, budget=3).fit(X, Y)
    assert again.result_.history[:2].accuracy.tolist() == first.result_.history.accuracy.tolist()
    assert len(again.result_.history) == 3


@pytest.mark.slow
def test_rare_classes_are_found_where_classes_are_weighted_alike() -> None:
    x, y = make_classification(600, 8, weights=[0.93], class_sep=0.5, flip_y=0, random_state=1)
    train, test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)
    plain, balanced = (classifier(epochs=10, class_weight=w).fit(train, y_train) for w in (None, "balanced"))
    assert balanced.result_.goals.names == ("balanced_accuracy", "params")
    found = [balanced_accuracy_score(y_test, search.predict(test)) for search in (plain, balanced)]
    assert found[1] > found[0] + 0.1


# --- few rows, and what is refused


@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (1, 1, 1), (9, 1), (2, 2, 2, 2, 2, 2), (30, 1, 1)])
def test_classes_of_a_row_or_two_are_learned(counts: tuple[int, ...]) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    search = classifier().fit(X[: len(y)], y)
    assert search.classes_.tolist() == list(range(len(counts)))
    assert search.predict(X[: len(y)]).shape == y.shape


def test_rows_are_held_out_by_class_and_none_is_lost() -> None:
    y = np.repeat([0, 1, 2], [50, 7, 1])
    x = np.arange(58, dtype=np.float32)[:, None]
    data = parts(torch.from_numpy(x), y, ("a", "b", "c"), validation=0.2, test=0.1, seed=0)
    rows = [sorted(part.x[:, 0].tolist()) for part in (data.train, data.val, data.test)]
    assert sorted(np.concatenate(rows)) == x[:, 0].tolist()
    assert [np.bincount(part.y, minlength=3).tolist() for part in (data.train, data.val, data.test)] == [
        [35, 5, 1],
        [10, 1, 0],
        [5, 1, 0],
    ]


@pytest.mark.parametrize("n", [2, 3, 12])
def test_a_few_rows_of_a_quantity_are_learned(n: int) -> None:
    assert np.isfinite(regressor().fit(XR[:n], YR[:n]).predict(XR)).all()


REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "one class": (X, np.zeros(len(X)), ValueError, "y holds one class, .*0.0.*; a classifier needs two or more"),
    "one row": (X[:1], Y[:1], ValueError, "minimum of 2 is required"),
    "nan": (np.where(X > 1000, np.nan, X), Y, ValueError, "contains NaN"),
    "words": (np.full((10, 2), "a"), Y[:10], ValueError, "could not convert|numeric"),
    "sparse": (scipy.sparse.csr_matrix(X), Y, TypeError, "[Ss]parse"),
    "quantities": (XR, YR + 0.5, ValueError, "Unknown label type: continuous"),
    "lengths": (X, Y[:-1], ValueError, "inconsistent numbers of samples"),
    "flat": (X[:, 0], Y, ValueError, "Expected 2D array"),
    "images and lengths": (np.zeros((9, 8, 8)), Y[:5], ValueError, "inconsistent numbers of samples"),
    "images and no labels": (np.zeros((9, 8, 8)), None, ValueError, "requires y"),
}


@pytest.mark.parametrize(("x", "y", "kind", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_learned_is_refused_as_scikit_learn_does(x: Any, y: Any, kind: Any, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        classifier().fit(x, y)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"validation_fraction": 0}, "validation_fraction=0 and test_fraction=0.0 leave a part without rows"),
        ({"test_fraction": 0.9}, "both together below 1"),
        ({"test_fraction": "half"}, "test_fraction is a share, 0 or more and below 1, not 'half'"),
        ({"pick": 99}, "pick is None, an objective, a row of the front or a function"),
        ({"pick": "speed"}, "unknown objective 'speed'"),
        ({"strategy": "nsgaII"}, "unknown strategy 'nsgaII'"),
        ({"objectives": ("r2",)}, "r2 is a score of regression, but the data are loaded for classification"),
        ({"space": "macro"}, "take space='tabular'"),
        ({"constraints": {"params": 1}}, "no candidate of space 'tabular' can meet params <= 1"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(given: Any, sentence: str) -> None:
    with pytest.raises(SearchkitError, match=sentence):
        classifier(**given).fit(X, Y)


def test_nothing_is_predicted_before_the_fit() -> None:
    for ask in (classifier().predict, classifier().predict_proba, regressor().predict):
        with pytest.raises(NotFittedError):
            ask(X)


def test_a_column_of_targets_is_taken_with_a_warning() -> None:
    with pytest.warns(DataConversionWarning):
        search = regressor().fit(XR, YR[:, None])
    assert search.predict(XR).shape == YR.shape


# --- the cross-validated search

SVC_GRID = {"C": [0.01, 0.1, 1, 10, 100], "gamma": stats.loguniform(1e-4, 1e1), "kernel": ["rbf", "poly", "sigmoid"]}


def scaled_svc(**given: Any) -> SearchkitCV:
    grid = {f"svc__{name}": values for name, values in SVC_GRID.items()}
    options = {"budget": 12, "cv": 3, "random_state": 0} | given
    return SearchkitCV(make_pipeline(StandardScaler(), SVC()), grid, **options)


@pytest.mark.slow
def test_a_part_of_the_grid_is_evaluated_and_the_best_of_it_taken() -> None:
    search = scaled_svc(strategy="bo").fit(X, Y)
    assert len(search.cv_results_["params"]) == 12
    assert len({str(params) for params in search.cv_results_["params"]}) == 12
    assert search.best_score_ == max(search.cv_results_["mean_test_score"]) > 0.95
    assert search.predict(X).shape == Y.shape
    assert search.result_.front.score[0] == search.best_score_
    assert search.result_.history.score.tolist() == search.cv_results_["mean_test_score"].tolist()


def test_where_the_budget_is_the_grid_it_is_the_grid_search() -> None:
    grid = {"C": [0.01, 1.0], "fit_intercept": [True, False], "class_weight": [None, "balanced", {0: 2, 1: 1}]}
    model = LogisticRegression(max_iter=5000)
    scaled = StandardScaler().fit_transform(X)
    search = SearchkitCV(model, grid, budget=100, cv=2, random_state=0).fit(scaled, Y)
    whole = GridSearchCV(model, grid, cv=2).fit(scaled, Y)
    scores = [
        {str(p): s for p, s in zip(one.cv_results_["params"], one.cv_results_["mean_test_score"], strict=True)}
        for one in (search, whole)
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == len(ParameterGrid(grid))
    assert search.best_score_ == whole.best_score_


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["auto", "nsga2", "tpe", "random"])
def test_the_same_random_state_evaluates_the_same_candidates(strategy: str) -> None:
    first, again = (scaled_svc(strategy=strategy, budget=8, cv=2).fit(X, Y) for _ in range(2))
    assert first.cv_results_["params"] == again.cv_results_["params"]


@pytest.mark.slow
def test_several_scorers_are_several_objectives_and_refit_takes_one_of_the_front() -> None:
    def least_recall(results: dict[str, Any]) -> int:
        return int(np.argmin(results["mean_test_recall"]))

    search = scaled_svc(scoring=["recall", "precision"], refit=least_recall).fit(X, Y)
    assert search.result_.goals.names == ("recall", "precision")
    assert search.best_index_ == int(np.argmin(search.cv_results_["mean_test_recall"]))
    front = search.result_.front
    assert front.recall.is_monotonic_decreasing
    assert front.precision.is_monotonic_increasing
    named = scaled_svc(scoring={"r": "recall", "p": "precision"}, refit="p", objectives=("p", "fit_time")).fit(X, Y)
    assert named.best_score_ == max(named.cv_results_["mean_test_p"])
    assert [o.direction for o in named.result_.goals.objectives] == ["max", "min"]


def test_a_list_of_grids_is_one_space_of_which_each_candidate_takes_one() -> None:
    grids = [{"kernel": ["linear"], "C": [1, 10]}, {"kernel": ["rbf"], "C": [1, 10], "gamma": [0.1, 1.0]}]
    search = SearchkitCV(SVC(), grids, budget=50, cv=2).fit(X[:80], Y[:80])
    found = sorted(str(sorted(params.items())) for params in search.cv_results_["params"])
    assert found == sorted(str(sorted(params.items())) for params in ParameterGrid(grids))


@pytest.mark.filterwarnings("ignore:One or more of the test scores")  # of GridSearchCV as well
def test_a_candidate_that_fails_is_told_and_the_search_goes_on() -> None:
    grid = {"C": [-1.0, 1.0], "gamma": [0.001, 0.01, 0.1, 1.0, 10.0]}
    with pytest.warns(FitFailedWarning):
        search = SearchkitCV(SVC(), grid, strategy="nsga2", budget=10, batch=1, cv=2, random_state=0).fit(X, Y)
    history = search.result_.history
    assert (history.state == "failed").sum() == 5
    assert history[history.state == "failed"].reason.str.contains("C").all()
    assert set(history[history.state == "failed"].C) == {-1.0}
    assert search.best_params_["C"] == 1.0


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test scores")
def test_a_candidate_that_cannot_be_scored_has_failed_too() -> None:
    search = SearchkitCV(KNeighborsClassifier(), {"n_neighbors": [1, 5, 1000]}, batch=3, cv=2).fit(X, Y)
    failed = search.result_.history[search.result_.history.state == "failed"]
    assert failed.n_neighbors.tolist() == [1000]
    assert failed.reason.tolist() == ["score is nan: a fit or a score failed"]


def test_where_every_candidate_fails_the_fits_error_is_raised() -> None:
    grid = {"C": [-1.0, -2.0, -3.0, -4.0]}
    with pytest.raises(ValueError, match="All the 2 fits failed") as failed:
        SearchkitCV(SVC(), grid, batch=1, cv=2).fit(X, Y)
    assert failed.value.__notes__ == ["All fits of all 4 candidates that were tried failed."]
    with pytest.raises(ValueError, match="The 'C' parameter of SVC must be"):
        SearchkitCV(SVC(), grid, cv=2, error_score="raise").fit(X, Y)


def test_optunas_samplers_search_a_grid_too() -> None:
    import optuna

    search = scaled_svc(strategy=optuna.samplers.TPESampler(seed=0), budget=5, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 5


@pytest.mark.slow
def test_a_search_of_a_search_is_cloned_and_pickled() -> None:
    search = SearchkitCV(classifier(budget=1), {"epochs": [1, 3]}, cv=2, budget=2).fit(X, Y)
    assert clone(search).get_params()["estimator__budget"] == 1
    assert np.array_equal(pickle.loads(pickle.dumps(search)).predict(X), search.predict(X))


# --- grids


def test_values_become_choices_and_come_back_as_they_were() -> None:
    forest, nothing = RandomForestClassifier(), object()
    values = [1, 1.0, True, None, "1", forest, nothing, (1, 2), {"a": 1}, len, lambda x: x]
    grid = read_grid({"a": values, "b": np.array([3, 2, 1]), "c": [0.5]})
    assert grid.space.size == len(values) * 3
    assert [c.ordered for c in grid.space.choices] == [False, True, False]
    for i, value in enumerate(values):
        assert grid.parameters(np.array([i, 0, 0]))["a"] is value


def test_distributions_are_numbers_of_their_ranges() -> None:
    given = {
        "a": stats.loguniform(1e-3, 1e3), "b": stats.randint(0, 4), "c": Choice("x", (1, 5), True),
        "d": stats.uniform(1, 2), "e": stats.norm(5, 2), "f": stats.poisson(2), "g": Int("units", 8, 64, prior=32),
    }  # fmt: skip
    grid = read_grid(given)
    a, b, c, d, e, f, g = grid.space.choices
    assert (a, b, d) == (Float("a", 1e-3, 1e3, log=True), Int("b", 0, 3), Float("d", 1, 3))
    assert (c.name, list(c.options), c.ordered) == ("c", [1, 5], True)
    assert e == Float("e (quantile)", 0.001, 0.999)
    assert (list(f.options), f.ordered) == (list(range(9)), True)
    assert (g.name, g.prior) == ("g", Int("g", 8, 64, prior=32).prior)
    codes = grid.space.sample(400, np.random.default_rng(0))
    drawn = [grid.parameters(code) for code in codes]
    assert {type(row["b"]) for row in drawn} == {type(row["f"]) for row in drawn} == {int}
    assert abs(np.mean([row["e"] for row in drawn]) - 5) < 0.5, "quantiles are uniform, so that values are normal"
    assert abs(np.median([row["a"] for row in drawn])) < 10


def test_an_estimator_is_given_the_parameters_that_exist_under_a_condition() -> None:
    svc, knn = SVC(), KNeighborsClassifier()
    grid = {
        "clf": [svc, knn],
        "clf__C": Float("C", 1e-2, 1e2, log=True, when=("clf", svc)),
        "clf__kernel": Choice("kernel", ["rbf", "poly"], when=("clf", svc), prior="poly"),
        "clf__degree": Int("degree", 2, 4, when=("clf__kernel", "poly")),
        "clf__n_neighbors": Int("neighbours", 1, 9, when=("clf", knn)),
    }
    search = SearchkitCV(Pipeline([("clf", svc)]), grid, budget=8, cv=2, random_state=0).fit(X[:60], Y[:60])
    for params in search.cv_results_["params"]:
        kind = type(params["clf"])
        assert ("clf__n_neighbors" in params) == (kind is KNeighborsClassifier)
        assert ("clf__degree" in params) == (params.get("clf__kernel") == "poly")
    assert read_grid(grid).space.choices[2].prior is not None
    two = read_grid([grid, {"clf": [knn]}])
    assert all(two.parameters(code) for code in two.space.sample(20, np.random.default_rng(0)))


def test_numbers_of_a_dictionary_that_is_not_chosen_do_not_exist() -> None:
    grid = read_grid([{"a": stats.uniform(0, 1)}, {"b": [1, 2]}])
    rows = grid.space.decode(grid.space.sample(40, np.random.default_rng(0)))
    assert {tuple(row) for row in rows} == {("grid", "a [0]"), ("grid", "b [1]")}


def test_candidates_of_another_grid_are_one_candidate() -> None:
    grid = read_grid([{"a": [1, 2, 3]}, {"b": [1, 2], "a": [7]}])
    assert len(grid.space.enumerate()) == 5
    assert [grid.parameters(code) for code in grid.space.enumerate()] == [
        {"a": 1}, {"a": 2}, {"a": 3}, {"b": 1, "a": 7}, {"b": 2, "a": 7},
    ]  # fmt: skip
    assert read_grid({}).parameters(np.array([0])) == {}


@pytest.mark.parametrize("values", [range, lambda n: [f"v{i}" for i in range(n)], lambda n: np.geomspace(1e-6, 1, n)])
def test_the_work_of_a_grid_grows_as_the_number_of_its_values(values: Any) -> None:
    assert operations(lambda: read_grid({"a": values(2000)})) < 2.5 * operations(lambda: read_grid({"a": values(1000)}))


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ([], "param_grid is a dictionary"),
        ({"C": []}, "parameter 'C' has no values"),
        ({"C": "rbf"}, "parameter 'C' has 'rbf': give a list of values"),
        ({"C": 1.0}, "parameter 'C' has 1.0"),
        ({"C": np.zeros((2, 2))}, "an array of 2 axes"),
    ],
)
def test_grids_that_say_nothing_are_refused(grid: Any, sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        SearchkitCV(SVC(), grid).fit(X, Y)


def test_an_objective_is_a_scorer() -> None:
    with pytest.raises(UnknownNameError, match="unknown objective 'recal': choose from fit_time, precision, recall"):
        scaled_svc(scoring=["recall", "precision"], refit=False, objectives="recal").fit(X, Y)


def test_estimators_pass_a_recipe_on_and_train_the_chosen_network_with_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = recipes_made(monkeypatch)
    x = np.random.default_rng(0).normal(size=(60, 3))
    recipe = {"lr": [0.02, 0.1], "epochs": 2, "weight_decay": 0.0}
    for search, y in ((SearchClassifier, x[:, 0] > 0), (SearchRegressor, x[:, 0])):
        made.clear()
        fitted = search(recipe=recipe, budget=3, random_state=0).fit(x, y)
        assert len(made) == 4
        assert [one.lr for one in made] == [*fitted.result_.history.lr, fitted.result_.front.lr[0]]
        assert {(one.epochs, one.weight_decay) for one in made} == {(2, 0.0)}
    with pytest.raises(SearchkitError, match="a recipe has no setting 'rate'"):
        SearchRegressor(recipe={"rate": 3}).fit(x, x[:, 0])
