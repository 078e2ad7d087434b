"""Tables and quantities: what is read, what is searched, and that what leaves is what was measured."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import searchkit
from searchkit.costs import counts as costs
from searchkit.data.loading import load_data
from searchkit.errors import DataError, ObjectiveError, SearchkitError, SpaceError
from searchkit.space import Choice, NetworkSpace
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, score, train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 5)) * [1, 10, 1e3, 1e-6, 1] + [0, 5, -1e3, 0, 7]
SIGNAL = X[:, 0] + X[:, 2] / 1e3 + (X[:, 3] * 1e6) ** 2
Y = np.where(SIGNAL > 0.5, "high", "low")
PRICE = 2e5 + 5e4 * SIGNAL
SPACE = searchkit.load_space("tabular")
PLAIN = {"block": "plain", "width": 32, "depth": 2, "expansion": 1, "dropout": 0.0, "norm": "batch"}


def search(y: Any = Y, **given: Any) -> searchkit.Result:
    options = {"data": (X, y), "budget": 4, "epochs": 6, "storage": "memory", "seed": 1} | given
    return searchkit.run(options.pop("strategy", "random"), **options)


# --- data


@pytest.mark.parametrize(
    "table", [X, X.tolist(), torch.from_numpy(X), pd.DataFrame(X), pd.DataFrame(X).assign(flag=True).astype(object)]
)
def test_rows_of_numbers_are_a_table(table: Any) -> None:
    data = load_data((table, Y))
    assert (data.kind, data.task, data.train.x.dtype) == ("table", "classification", torch.float32)
    assert [len(data.train), len(data.val), len(data.test)] == [144, 48, 48]
    assert data.classes == ("high", "low")


def test_rows_that_may_be_square_images_are_images_unless_it_is_said_otherwise() -> None:
    flat = RNG.integers(0, 17, (60, 64))
    y = np.arange(60) % 2
    assert load_data((flat, y)).input_shape == (1, 8, 8)
    assert load_data((flat, y), kind="table").input_shape == (64,)
    assert load_data((flat.reshape(60, 8, 8), y), kind="table").input_shape == (64,)
    assert search(y, data=(flat, y), space="tabular", budget=1).network_space.input_shape == (64,)


def test_targets_are_kept_in_their_own_unit_and_know_their_moments() -> None:
    data = load_data((X, PRICE), task="regression")
    assert (data.task, data.classes, data.n_classes, data.train.y.dtype) == ("regression", (), 1, torch.float64)
    assert set(data.train.y.tolist() + data.val.y.tolist() + data.test.y.tolist()) == set(PRICE.tolist())
    assert data.target is not None
    assert data.target.mean == pytest.approx((data.train.y.mean().item(),))
    assert data.target.std == pytest.approx((data.train.y.std(correction=0).item(),))
    assert "5 features, regression" in repr(data)
    back = pickle.loads(pickle.dumps(data))
    assert torch.equal(back.train.y, data.train.y)
    assert back.fingerprint == data.fingerprint == load_data((X, PRICE), task="regression").fingerprint


def test_features_and_targets_in_tiny_units_count_and_constant_ones_do_no_harm() -> None:
    data = load_data((np.c_[X[:, 0] * 1e-12, np.full(len(X), 3.0)], PRICE * 1e-15), task="regression")
    assert data.std[0] == pytest.approx(1e-12, rel=0.2)
    assert data.std[1] == 1.0
    assert data.target is not None
    assert data.target.std[0] < 1e-9


@pytest.mark.slow
def test_a_quantity_may_be_read_off_images() -> None:
    data = load_data("digits", task="regression", limit=90)
    assert (data.kind, data.task, data.classes, data.input_shape) == ("images", "regression", (), (1, 8, 8))
    result = search(data=data, space="macro", objectives=("rmse", "params"), budget=1, epochs=1)
    assert result.build(0)(data.val.x).shape == (len(data.val),)


def test_a_limit_of_a_regression_takes_so_many_rows() -> None:
    data = load_data((X, PRICE), task="regression", limit=50)
    assert len(data.train) + len(data.val) + len(data.test) == 50


REFUSED = {
    "nan": ((np.where(X > 9, np.nan, X), Y), {}, r"NaN or infinite values?, the first in row \d+, column \d"),
    "words": (
        (np.full((60, 3), "a"), Y[:60]),
        {},
        "table X is numbers, not <U1 .text.; turn names and categories into numbers",
    ),
    "lists in a frame": ((pd.DataFrame({"a": X[:, 0], "b": [[1]] * len(X)}), Y), {}, "column 'b'"),
    "huge": ((X * 1e60, Y), {}, "too large for float32"),
    "lengths": ((X[:50], Y), {}, "there are 50 rows X but 240 labels y"),
    "quantities": ((X, PRICE), {}, r"or say that they are quantities: objectives=\('r2', 'params'\)"),
    "whole quantities": ((X, np.arange(len(X))), {}, "Are the 240 different y a quantity"),
    "words to predict": ((X, Y), {"task": "regression"}, "targets y are numbers, not <U4"),
    "missing target": ((X, np.r_[PRICE[:-1], np.nan]), {"task": "regression"}, "target 239 is nan"),
    "tables of targets": (
        (X, np.stack([PRICE, PRICE], 1)[..., None]),
        {"task": "regression"},
        "a value for each pixel of pictures",
    ),
    "few": ((X[:4], PRICE[:4]), {"task": "regression"}, "there are 4 examples; 6 are needed"),
    "another test table": (((X, Y), (X[:, :3], Y)), {}, "train rows are .* must be alike"),
    "another kind": (load_data((X, Y)), {"kind": "images"}, "have the kind 'table', and 'images' is asked for"),
    "another task": (load_data((X, Y)), {"task": "regression"}, r"load_data\(..., task='regression'\)"),
    "no such task": ((X, Y), {"task": "ranking"}, "task is one of classification, .*, not 'ranking'"),
}


@pytest.mark.parametrize(("data", "options", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_tables_are_refused_in_one_sentence(data: Any, options: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_data(data, **options)


# --- the space


@pytest.mark.slow
def test_every_network_is_listed_once_and_counted_exactly() -> None:
    space = SPACE.for_data((7,), 3)
    codes = space.enumerate()
    assert len(codes) == 541
    assert len(space.enumerate()[codes[:, 2] == 0]) == 1, "one linear model"
    some = codes[:: len(codes) // 60]
    counted = costs.space_counts(space, some)
    for i, code in enumerate(some):
        assert costs.count(space.build(code), (7,)) == {name: counted[name][i] for name in ("params", "macs")}


@pytest.mark.slow
def test_candidates_of_one_canonical_form_are_one_network() -> None:
    free = np.random.default_rng(1).integers(0, SPACE.n_options, (300, 6))
    for code, same in zip(free, SPACE.canonical(free), strict=True):
        raw = SPACE.builder(SPACE.decode(code)[0], (5,), 2)
        assert str(raw) == str(SPACE.for_data((5,), 2).build(same))
    assert np.array_equal(SPACE.canonical(SPACE.canonical(free)), SPACE.canonical(free))


def test_a_residual_block_with_silent_weights_passes_its_input_on() -> None:
    network = SPACE.for_data((5,), 2).build(SPACE.encode(PLAIN | {"block": "residual", "norm": "layer"})[0])
    assert isinstance(network.blocks, torch.nn.Sequential)
    for block in network.blocks:
        torch.nn.init.zeros_(block.body[3].weight)
        torch.nn.init.zeros_(block.body[3].bias)
    x = torch.randn(4, 32)
    assert torch.equal(network.blocks(x), x)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": (0, 8)}, "each option of width as a whole number of at least 1; got 0"),
        ({"dropout": (1.0,)}, r"dropout as shares in \[0, 1\); got 1.0"),
        ({"depth": 3}, "depth as a sequence of options; got 3"),
        ({"input_shape": (1, 8, 8)}, r"input_shape as \(features,\); got \(1, 8, 8\)"),
    ],
)
def test_options_that_the_space_does_not_take_are_refused(options: Any, sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        searchkit.load_space("tabular", **options)


def test_spaces_and_data_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"space 'macro' takes images, and .* shape \(5,\): take space='tabular', or make"
    ):
        search(space="macro")
    with pytest.raises(DataError, match=r"space 'tabular' takes rows of features, .* load_data\(..., kind='table'\)"):
        search(space="tabular", data=load_data("digits"))


def test_a_space_of_ones_own_takes_tables_where_it_says_so() -> None:
    def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> torch.nn.Module:
        return torch.nn.Linear(input_shape[0], n_classes, bias=choices["bias"])

    space = NetworkSpace([Choice("bias", (False, True))], build, input_shape=(1,))
    assert len(search(space=space, budget=2).history) == 2


# --- searches


@pytest.fixture(scope="module")
def classified(tmp_path_factory: Any) -> searchkit.Result:
    given = {"objectives": ("accuracy", "params", "latency_ms"), "constraints": {"params": 50_000, "peak_memory": 1e6}}
    return search(storage=tmp_path_factory.mktemp("runs"), name="table", budget=6, epochs=20, **given)


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: Any) -> searchkit.Result:
    given = {"space": "tabular", "objectives": ("r2", "params"), "start": [PLAIN]}
    return search(PRICE, storage=tmp_path_factory.mktemp("runs"), name="price", epochs=40, **given)


@pytest.mark.slow
def test_a_table_is_searched_in_the_tabular_space_and_its_front_tested(classified: searchkit.Result) -> None:
    assert classified.space.name == "tabular"
    assert {"accuracy", "params", "macs", "latency_ms", "peak_memory", "test_accuracy"} <= set(classified.front)
    assert classified.front.accuracy[0] > 0.8
    assert (classified.front.params <= 50_000).all()


@pytest.mark.slow
def test_the_built_network_standardises_and_is_what_was_measured(classified: searchkit.Result) -> None:
    data = load_data((X, Y))  # split as the search does it, whatever its seed
    for i, row in classified.front.iterrows():
        network = classified.build(i)
        with torch.inference_mode():
            for part, known in ((data.val, row.accuracy), (data.test, row.test_accuracy)):
                assert (network(part.x).argmax(1) == part.y).double().mean().item() == pytest.approx(known)
    assert classified.classes == ["high", "low"]


@pytest.mark.slow
def test_a_recorded_table_is_loaded_and_exported(classified: searchkit.Result, tmp_path: Path) -> None:
    again = searchkit.load("table", classified.folder.parent)  # type: ignore[union-attr]
    assert again.front.equals(classified.front)
    values = run_onnx(again.export(0, tmp_path / "table")[0], "features", X[:9])
    with torch.inference_mode():
        np.testing.assert_allclose(values, classified.build(0)(torch.from_numpy(X[:9])), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_quantity_is_predicted_in_its_own_unit(regressed: searchkit.Result, tmp_path: Path) -> None:
    data = load_data((X, PRICE), task="regression")
    assert {"r2", "rmse", "test_r2", "params"} <= set(regressed.front)
    assert regressed.front.r2[0] > 0.7
    for i, row in regressed.front.iterrows():
        with torch.inference_mode():
            missed = (regressed.build(i)(data.val.x) - data.val.y).square()
        assert missed.mean().sqrt().item() == pytest.approx(row.rmse, rel=1e-4)
        spread = (data.val.y - data.val.y.mean()).square()
        assert (1 - missed.sum() / spread.sum()).item() == pytest.approx(row.r2, abs=1e-5)
    values = run_onnx(regressed.export(0, tmp_path / "price")[0], "features", X[:9])
    assert values.shape == (9,)
    with torch.inference_mode():
        np.testing.assert_allclose(values, regressed.build(0)(torch.from_numpy(X[:9])), rtol=1e-5)
    regressed.plot(tmp_path / "price.png")


@pytest.mark.slow
def test_a_recorded_regression_is_loaded_with_its_unit(regressed: searchkit.Result) -> None:
    again = searchkit.load("price", regressed.folder.parent)  # type: ignore[union-attr]
    assert again.front.equals(regressed.front)
    x = torch.from_numpy(X[:5])
    assert torch.equal(again.build(0)(x), regressed.build(0)(x))


@pytest.mark.slow  # starts worker processes
def test_the_same_call_continues_a_table_and_workers_find_the_same(tmp_path: Path) -> None:
    whole = search(strategy="nsga2", batch=2)
    search(strategy="nsga2", batch=2, budget=2, storage=tmp_path, name="t")
    resumed = search(strategy="nsga2", batch=2, storage=tmp_path, name="t", executor=2)
    assert resumed.history.accuracy.tolist() == whole.history.accuracy.tolist()


def test_a_data_object_of_a_regression_says_what_is_searched_for() -> None:
    result = search(data=load_data((X, PRICE), task="regression"), budget=2)
    assert result.goals.names == ("r2", "params")


@pytest.mark.slow
def test_errors_may_be_searched_for_in_the_targets_unit() -> None:
    result = search(PRICE, objectives=("rmse", "macs"), start=[PLAIN], budget=2, epochs=20)
    assert result.front.rmse[0] < PRICE.std()
    assert result.front.rmse.is_monotonic_increasing


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"objectives": ("accuracy", "r2")}, "accuracy is a score of classification and r2 is one of regression"),
        (
            {"objectives": ("accuracy", "params"), "data": load_data((X, PRICE), task="regression")},
            "accuracy is a score of classification, but the data are loaded for regression: choose among r2, rmse",
        ),
        ({"ladder": ({"resolution": 4},)}, "a rung of the ladder sets resolution, but data 'custom' are a table"),
    ],
)
def test_what_does_not_fit_a_table_is_refused_before_any_work(given: Any, sentence: str) -> None:
    with pytest.raises((ObjectiveError, DataError, SearchkitError), match=sentence):
        search(**given)


def test_rarer_classes_count_as_much_in_the_balanced_accuracy() -> None:
    rare = np.where(RNG.permutation(len(X)) < 30, "rare", "usual")  # nothing tells them apart
    row = search(rare, objectives=("balanced_accuracy", "accuracy", "log_loss"), start=[PLAIN], budget=1).front.iloc[0]
    assert row.accuracy > 0.8
    assert abs(row.balanced_accuracy - 0.5) < 0.2
    assert row.log_loss > 0


@pytest.mark.parametrize("y", [Y, PRICE], ids=["classes", "quantity"])
def test_a_ladder_climbs_by_epochs_width_and_part_of_the_rows(y: Any) -> None:
    first = "accuracy" if y is Y else "r2"
    ladder = ({"epochs": 1, "width": 0.5, "data": 0.25}, {"epochs": 2})
    result = search(y, objectives=(first, "params"), ladder=ladder, budget=6, batch=6)
    assert (result.history.state == "dropped").sum() == 4
    assert f"{first} (epochs=1, width=0.5, data=0.25)" in result.history


def test_the_best_of_a_search_without_training_are_verified() -> None:
    result = search(objectives=("synflow", "params"), verify=2, epochs=3)
    assert result.verified.accuracy.between(0, 1).all()
    assert len(result.verified) == 2


# --- proxies


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_proxies_without_feature_maps_score_networks_for_tables(task: Any) -> None:
    data = load_data((X, Y if task == "classification" else PRICE), task=task)
    names = (
        "params",
        "macs",
        "jacov",
        "naswot",
        "synflow",
        "grad_norm",
        "zico",
        "swap",
        "structure",
        "az_nas",
        "vkdnw",
    )
    table = searchkit.score("tabular", [PLAIN, PLAIN | {"width": 128}, PLAIN | {"depth": 3}], proxies=names, data=data)
    scores = table.loc[:, :"judgement"].drop(columns=["judgement"])
    assert np.isfinite(scores[[name for name in scores if "structure" not in name]]).all(axis=None)
    assert {"az_expressivity", "az_trainability"} <= set(scores)


@pytest.mark.parametrize("proxy", ["eproxy", "zen"])
def test_proxies_of_feature_maps_say_that_tables_have_none(proxy: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        searchkit.score("tabular", [PLAIN], proxies=proxy, data=(X, Y))
    assert all("maps" in str(warning.message) for warning in caught)
    assert caught


@pytest.mark.slow
def test_proxies_and_earlier_studies_judge_tables(classified: searchkit.Result) -> None:
    result = search(proxies=("synflow", "params"), earlier=classified, budget=6, epochs=3)
    assert set(result.signals.proxy) >= {"synflow", "params"}


# --- training


@pytest.mark.slow
def test_a_training_on_a_table_is_repeatable_and_learns() -> None:
    data = load_data((X, PRICE), task="regression")
    space, recipe = SPACE.for_data((5,), 1), Recipe(epochs=40, batch_size=32, lr=0.01, optimiser="adamw")
    code = SPACE.encode(PLAIN | {"dropout": 0.1})[0]
    once, twice = build_seeded(space, code, 3), build_seeded(space, code, 3)
    first, second = (train(network, data, recipe=recipe, seed=3, device="cpu") for network in (once, twice))
    assert (first.scores, first.train_loss) == (second.scores, second.train_loss)
    assert first.scores["r2"] > 0.7
    assert score(once, data.test, data, "cpu") > 0.6


def test_targets_that_are_all_alike_have_no_r2_to_win() -> None:
    assert search(np.full(len(X), 7.0), objectives=("r2", "params"), budget=1).front.r2[0] in (0.0, 1.0)


def run_onnx(path: Path, name: str, x: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: x.astype(np.float32)})[0]
