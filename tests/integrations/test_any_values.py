"""Values of any kind in the studies of Optuna, the grids of scikit-learn, Ray's configurations and the trackers."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.awkward import GROUPS, Named, Unprintable, copied, made, same
from helpers.marks import slow_if
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

import searchkit
from searchkit import Choice, Space
from searchkit.integrations.optuna import SearchkitSampler, read_study, suggest, write_study
from searchkit.integrations.sklearn import SearchkitCV

pytestmark = pytest.mark.filterwarnings("ignore")  # Optuna's, of categories that its databases cannot hold
GROUP = pytest.mark.parametrize("group", GROUPS)


@pytest.fixture(autouse=True)
def _no_chatter() -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


NUMBERS = {
    "milliseconds": lambda trial: trial.suggest_int("x", 1_700_000_000_000, 1_700_000_000_009),
    "many milliseconds": lambda trial: trial.suggest_int("x", 1_700_000_000_000, 1_700_000_009_000),
    "few large": lambda trial: trial.suggest_int("x", 2**53 - 4, 2**53 - 1),
    "beyond floats": lambda trial: trial.suggest_int("x", 2**60, 2**60 + 400),
    "one after another": lambda trial: trial.suggest_float("x", 1.0, math.nextafter(math.nextafter(1.0, 2), 2)),
    "close": lambda trial: trial.suggest_float("x", 1.0, 1.0 + 1e-13),
    "close logarithms": lambda trial: trial.suggest_float("x", 1e9, 1e9 + 1e-3, log=True),
    "tiny steps": lambda trial: trial.suggest_float("x", 1e-15, 9e-15, step=1e-15),
    "tiny": lambda trial: trial.suggest_float("x", 5e-324, 2e-323),
    "negative": lambda trial: trial.suggest_int("x", -1_700_000_000_005, -1_700_000_000_000),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_that_agree_in_twelve_digits_are_searched_and_read(kind: str) -> None:
    study = optuna.create_study(sampler=SearchkitSampler("nsga2", seed=0))
    study.optimize(lambda trial: 1.0 + 0 * NUMBERS[kind](trial), n_trials=20)
    asked = [trial.params["x"] for trial in study.trials]
    assert len(set(asked)) > 1
    result = read_study(study)
    wanted = pytest.approx(asked, rel=1e-12) if kind == "tiny steps" else asked  # which Optuna computes in floats
    assert result.history["x"].tolist() == wanted
    assert [result.space.encode({"x": x})[0, 0] for x in asked] == [trial.code[0] for trial in result.trials]
    assert read_study(write_study(result), result.space).history["x"].tolist() == wanted


# Whatever an option is, it is stored as text: of a database, texts are of interest.
@pytest.mark.parametrize(
    ("group", "kind"),
    [
        *slow_if(lambda group, _: group not in ("ones", "not finite", "bytes"), itertools.product(GROUPS, ["journal"])),
        *slow_if(lambda *_: True, [(group, "SQLite") for group in ("texts", "not finite")]),
        pytest.param("more texts", "SQLite", marks=[pytest.mark.slow, pytest.mark.thorough]),
    ],
)
def test_options_of_a_space_are_suggested_to_optuna_and_read_back(group: str, kind: str, tmp_path: Path) -> None:
    options = GROUPS[group]
    space = Space([Choice("c", options), Choice("n", (1, 2))])
    journal = kind == "journal"
    storage: Any = f"sqlite:///{tmp_path}/study.db"
    if journal:
        storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.create_study(sampler=SearchkitSampler("random", space=space, seed=0), storage=storage)
    seen: list[Any] = []

    def objective(trial: optuna.Trial) -> float:
        chosen = suggest(trial, space)
        seen.append(chosen["c"])
        return float(space.encode(chosen)[0, 0])

    study.optimize(objective, n_trials=2 * len(options))
    again = optuna.load_study(study_name=study.study_name, storage=storage)
    result = read_study(again, space)
    assert all(map(same, result.history["c"].tolist(), seen))
    assert {trial.code[0] for trial in result.trials} == set(range(len(options)))  # all combinations were suggested
    kept = read_study(write_study(result, tmp_path if journal else f"sqlite:///{tmp_path}/other.db"), space)
    assert all(map(same, kept.history["c"].tolist(), seen))


@GROUP
def test_categories_of_optuna_are_searched_and_read(group: str) -> None:
    options = [o for o in GROUPS[group] if not _hides_in_optuna(o)]
    if not options:
        pytest.skip("Optuna cannot compare these")
    try:
        study = _enqueued(options, SearchkitSampler("nsga2", seed=0))
    except Exception as error:
        with pytest.raises(type(error)):  # Optuna's own sampler cannot, either
            _enqueued(options, optuna.samplers.RandomSampler(seed=0))
        pytest.skip(f"Optuna itself refuses these: {error!r:.80}")
    params = [trial.params["c"] for trial in study.trials]
    assert all(map(same, read_study(study).history["c"].tolist(), params))


def _enqueued(options: list[Any], sampler: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    for option in options:
        study.enqueue_trial({"c": option})
    study.optimize(lambda trial: float(len(str(trial.suggest_categorical("c", options)))), n_trials=len(options) + 4)
    return study


def _hides_in_optuna(option: Any) -> bool:
    """Whether Optuna, which compares by ``==``, cannot find it among others."""
    try:
        return not isinstance(bool(option == copied(option)), bool) or isinstance(option, np.ndarray)
    except Exception:
        return True


def test_categories_without_a_text_and_absent_ones_are_searched_and_read() -> None:
    options = [object(), object(), made(1), made(2), Named("a"), Named("a"), "absent"]

    def objective(trial: optuna.Trial) -> float:
        first = trial.suggest_int("first", 0, 3)
        if first:
            trial.suggest_categorical("c", options)
        return float(first)

    study = optuna.create_study(sampler=SearchkitSampler("nsga2", seed=0))
    study.optimize(objective, n_trials=20)
    result = read_study(study)
    places = [t.distributions["c"].to_internal_repr(t.params["c"]) if "c" in t.params else 0 for t in study.trials]
    assert [trial.code[1] for trial in result.trials] == places
    assert len(set(places)) > 3
    assert list(result.history["c"].isna()) == ["c" not in trial.params for trial in study.trials]


def test_user_attributes_may_be_anything() -> None:
    values = [value for group in GROUPS.values() for value in group]

    def objective(trial: optuna.Trial) -> float:
        for i, value in enumerate(values):
            trial.set_user_attr(f"a{i}", value)
        trial.set_user_attr("size", 3)
        trial.set_user_attr("reason", Unprintable())
        if trial.number == 1:
            raise RuntimeError
        return 1.0

    study = optuna.create_study(sampler=SearchkitSampler("random", seed=0))
    study.optimize(lambda t: objective(t) + t.suggest_int("n", 1, 9), n_trials=3, catch=(RuntimeError,))
    result = read_study(study)
    assert result.history["size"].dropna().tolist() == [3.0, 3.0]
    assert all(isinstance(value, float) for trial in result.trials for value in trial.values.values())


class Scored(BaseEstimator):
    """Whose score says which value it was given."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def fit(self, X: Any, y: Any) -> Scored:
        self.fitted_ = True
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(len(str(type(self.value))))


@pytest.mark.slow
@pytest.mark.parametrize("group", [*GROUPS, "no options"])
def test_values_of_a_grid_come_back_in_the_results_of_scikit_learn(group: str) -> None:
    values = [Unprintable(), object(), object(), 1, 1, "1"] if group == "no options" else GROUPS[group]
    search = SearchkitCV(Scored(), {"value": values}, budget=len(values), cv=2, strategy="random", refit=False)
    try:
        search.fit(np.zeros((8, 1)), np.zeros(8))
    except TypeError as error:  # modules, which scikit-learn cannot copy, and what numpy makes no array of
        with pytest.raises(TypeError, match=re.escape(str(error))):
            GridSearchCV(Scored(), {"value": values}, cv=2, refit=False).fit(np.zeros((8, 1)), np.zeros(8))
        return
    found = [parameters["value"] for parameters in search.cv_results_["params"]]
    assert len(found) == len(values)
    if group != "no options":
        assert all(any(same(value, one) for one in found) for value in values)
        assert all(map(same, search.result_.history["value"].tolist(), found))
    assert len(search.result_._repr_html_()) > 0


def _search(group: str, tmp_path: Path, *callbacks: Any) -> tuple[Space, searchkit.Result]:
    options = GROUPS[group]
    space = Space([Choice("c", options), Choice("n", (1, 2))])
    result = searchkit.run(
        "random", space=space, evaluate=lambda c: {"loss": float(len(str(type(c["c"]))))}, objectives={"loss": "min"},
        start=[{"c": copied(option), "n": 1} for option in options], budget=len(options), storage="memory",
        callbacks=callbacks, progress=False,
    )  # fmt: skip
    return space, result


@pytest.mark.slow
def test_trackers_log_options_of_any_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow has its artefacts
    mlflow = pytest.importorskip("mlflow")
    from searchkit.integrations.mlflow import MLflowTracker
    from searchkit.integrations.tensorboard import TensorBoardTracker

    place = f"sqlite:///{tmp_path}/mlflow.db"
    for group in ("ones", "more texts", "objects"):
        options = GROUPS[group]
        trackers = (MLflowTracker(group, tracking_uri=place), TensorBoardTracker(tmp_path / "tensorboard"))
        space, _ = _search(group, tmp_path, *trackers)
        assert "logs no more" not in caplog.text, group
        client = mlflow.MlflowClient(place)
        runs = client.search_runs([client.get_experiment_by_name(group).experiment_id])
        logged = {run.data.params["c"] for run in runs if "c" in run.data.params}
        assert len(logged) >= len({str(label)[:50] for label in space.choices[0].labels}) - 1, group
        assert len(runs) == len(options) + 1


@GROUP
def test_ray_is_given_options_and_takes_them_back(group: str) -> None:
    pytest.importorskip("ray.tune")
    from searchkit.integrations.ray import SearchkitSearcher

    options = GROUPS[group]
    space = Space([Choice("c", options), Choice("n", (1, 2))])
    points = [{"c": copied(option), "n": 1} for option in options]
    searcher = SearchkitSearcher("random", space=space, metric="loss", mode="min", seed=0, points_to_evaluate=points)
    given = []
    for i in range(2 * len(options)):
        config = searcher.suggest(str(i))
        given.append(config["c"])
        searcher.on_trial_complete(str(i), {"loss": 1.0})
    assert all(map(same, given, options))
    assert searcher.suggest("more") == "FINISHED"
    assert all(map(same, read_study(searcher.study, space).history["c"].tolist(), given))
