"""Weights that networks begin with, and searches whose accuracy is that of shared weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import searchkit
from searchkit import SearchkitError, SharedWeights
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import SearchFailedError, SpaceError
from searchkit.search.start_weights import read_weights
from searchkit.sharing.starts import TrainedBefore
from searchkit.spaces.macro import macro
from searchkit.training.evaluator import Training
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded

SPACE = macro(width=4, layers=(2, 1), input_shape=(1, 8, 8))
SEARCH: dict[str, Any] = {"space": macro(width=4, layers=(2, 1)), "storage": "memory", "proxies": ()}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


@pytest.fixture(scope="module")
def shared(digits: Data) -> SharedWeights:
    return SharedWeights(SEARCH["space"], digits, epochs=8).fit()


def training(data: Data, folder: Path, **given: Any) -> Training:
    return Training(SPACE, data.without_test(), Recipe(epochs=1), "cpu", (), folder, **given)


@pytest.mark.slow
def test_a_training_begins_with_its_part_of_shared_weights(shared: SharedWeights, digits: Data, tmp_path: Path) -> None:
    code = SPACE.check([[1, 2, 1]])[0]
    begun = training(digits, tmp_path, start=shared).built(code, 0)
    started = shared.start(code)
    for name, parameter in begun.named_parameters():
        assert parameter.detach().equal(started[name]), name
    plain = training(digits, tmp_path).built(code, 0)
    fresh = build_seeded(SPACE, code, 0)
    assert all(a.equal(b) for a, b in zip(plain.parameters(), fresh.parameters(), strict=True))


@pytest.mark.slow
def test_candidates_begin_where_those_of_an_earlier_search_ended(digits: Data, tmp_path: Path) -> None:
    given = SEARCH | {"storage": str(tmp_path), "data": digits, "epochs": 2, "objectives": ("accuracy", "params")}
    first = searchkit.run("random", budget=4, name="first", **given)
    start = read_weights(first, SPACE)
    assert isinstance(start, TrainedBefore)
    trained = first.build(0).network
    code = SPACE.check([list(first.front[list(SPACE.names)].iloc[0].map(SPACE.choices[0].options.index))])[0]
    own = start.start(code)
    assert all(own[name].equal(tensor) for name, tensor in trained.state_dict().items())
    again = searchkit.run("random", budget=4, weights=first, name="again", **given)
    assert len(again.front)
    with pytest.raises(SearchkitError, match="weights"):
        searchkit.run("random", budget=6, name="again", **given)


def test_a_checkpoint_is_taken_by_name_and_shape(digits: Data, tmp_path: Path) -> None:
    code = SPACE.check([[1, 2, 1]])[0]
    network = build_seeded(SPACE, code, 7)
    save_file(network.state_dict(), tmp_path / "one.safetensors")
    torch.save({"state_dict": network.state_dict()}, tmp_path / "one.ckpt")
    wrapped = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    delivered = {"mean": torch.zeros(1)} | {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for given in (
        network,
        network.state_dict(),
        wrapped,
        delivered,
        tmp_path / "one.safetensors",
        str(tmp_path / "one.ckpt"),
    ):
        begun = training(digits, tmp_path, start=read_weights(given, SPACE)).built(code, 0)
        assert all(a.equal(b) for a, b in zip(begun.parameters(), network.parameters(), strict=True))


def test_weights_in_half_the_numbers_are_taken(digits: Data, tmp_path: Path) -> None:
    code = SPACE.check([[1, 2, 1]])[0]
    state = {name: t.bfloat16() if t.is_floating_point() else t for name, t in SPACE.build(code).state_dict().items()}
    begun = training(digits, tmp_path, start=read_weights(state, SPACE)).built(code, 0)
    assert all(parameter.dtype == torch.float32 for parameter in begun.parameters())
    assert begun.get_parameter("stem.1.weight").equal(state["stem.1.weight"].float())
    away = {name: tensor.to("meta") for name, tensor in state.items()}
    with pytest.raises(SearchkitError, match="have no values"):
        read_weights(away, SPACE)


@pytest.mark.slow
def test_studies_of_one_name_with_other_weights_are_told_apart(digits: Data, tmp_path: Path) -> None:
    starts, results = [], []
    for seed in (0, 1):
        given = SEARCH | {
            "storage": str(tmp_path / str(seed)),
            "data": digits,
            "epochs": 1,
            "name": "same",
            "seed": seed,
        }
        found = searchkit.run("random", budget=1, start=[[1, 2, 1]], **given)
        starts.append(read_weights(found, SPACE))
        results.append(found)
    assert starts[0] is not None
    assert starts[1] is not None
    assert starts[0].identity != starts[1].identity
    code = SPACE.check([[1, 2, 1]])[0]
    for order in ((0, 1), (1, 0)):
        both = read_weights([results[i] for i in order], SPACE)
        assert both is not None
        first = starts[order[0]].start(code)
        assert all(both.start(code)[name].equal(tensor) for name, tensor in first.items())
        assert both.identity not in (starts[0].identity, starts[1].identity)


def test_how_much_of_given_weights_is_taken_is_told_and_on_record(
    digits: Data, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "searchkit")
    network = build_seeded(SPACE, SPACE.check([[1, 2, 1]])[0], 7)
    stem = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("stem")}
    given = SEARCH | {"data": digits, "epochs": 1, "weights": stem}
    result = searchkit.run("random", budget=1, start=[[1, 2, 1]], **given)
    own = sum(tensor.numel() for name, tensor in stem.items() if name in dict(network.named_parameters()))
    share = own / sum(parameter.numel() for parameter in network.parameters())
    assert 0 < share < 1
    assert result.history.weights_taken.tolist() == [pytest.approx(share)]
    said = f"{100 * share:.0f} % of the parameters of candidate 0 begin with them"
    assert said in caplog.text
    assert f"networks began with {100 * share:.0f} to {100 * share:.0f} % of their parameters" in caplog.text
    own_training = lambda network, data, report: {"accuracy": 0.5}  # noqa: E731
    trained = searchkit.run("random", budget=1, start=[[1, 2, 1]], training=own_training, **given | {"epochs": None})
    assert trained.history.weights_taken.tolist() == [pytest.approx(share)]
    caplog.clear()
    signals = {"proxies": ("synflow",), "data": digits, "device": "cpu"}
    searchkit.score(SEARCH["space"], [dict(zip(SPACE.names, ("mb3_k3", "mb6_k5", "mb3_k3"), strict=True))],
                    weights=network, **signals)  # fmt: skip
    assert "weights=: networks began with" in caplog.text


@pytest.mark.slow
def test_weights_that_fit_nothing_are_refused(shared: SharedWeights, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no tensors")
    for given, said in (
        (torch.nn.Linear(2, 2), "no tensor of the name and shape"),
        ({"a": 1}, "holds no tensors by name"),
        (tmp_path / "text.pt", "text.pt' holds no tensors|cannot be read"),
        (tmp_path / "nothing.pt", "cannot be read"),
        (3, "weights= are shared weights"),
        ([], "weights= are shared weights"),
        (["study"], "weights= are shared weights"),
    ):
        with pytest.raises(SearchkitError, match=said):
            read_weights(given, SPACE)
    with pytest.raises(SpaceError, match="weights are of space 'macro', whose choices"):
        read_weights(shared, macro(width=4, layers=(1, 1), input_shape=(1, 8, 8)))
    with pytest.raises(SpaceError, match="with the options"):
        read_weights(shared, macro(width=8, layers=(2, 1), input_shape=(1, 8, 8)))


def test_proxies_see_the_weights_that_are_given(shared: SharedWeights, digits: Data) -> None:
    rows = [dict(zip(SPACE.names, ("mb3_k3", "mb6_k5", "mb3_k3"), strict=True))]
    given: dict[str, Any] = {"proxies": ("synflow", "params"), "data": digits, "device": "cpu"}
    fresh, trained = (searchkit.score(SEARCH["space"], rows, weights=weights, **given) for weights in (None, shared))
    assert fresh["params"].equals(trained["params"])
    assert fresh["synflow"][0] != trained["synflow"][0]


@pytest.mark.slow
def test_a_search_by_shared_weights_trains_none_but_the_verified(
    shared: SharedWeights, digits: Data, tmp_path: Path
) -> None:
    given = SEARCH | {"storage": str(tmp_path), "data": digits, "epochs": 1}
    given |= {"space": macro(width=6, layers=(2, 1))}  # of the same choices, with wider networks
    result = searchkit.run("random", evaluation=shared, budget=10, verify=2, **given)
    assert "accuracy" not in result.front
    codes = np.array([trial.code for trial in result.trials])
    assert np.allclose([trial.values["one-shot"] for trial in result.trials], -shared.losses(codes))
    assert len(result.verified) == 2
    assert result.verified["accuracy"].between(0, 1).all()
    assert "evaluation=shared" in result.report(tmp_path / "page.html").read_text()


@pytest.mark.thorough
def test_by_name_the_weights_are_kept_with_the_study(digits: Data, tmp_path: Path) -> None:
    given = SEARCH | {"storage": str(tmp_path), "data": digits, "evaluation": "one-shot", "name": "study"}
    given |= {"space": macro(width=2, layers=(1, 1))}
    first = searchkit.run("random", objectives={"accuracy": "max", "params": "min"}, budget=3, **given)
    kept = sorted(path.name for path in Path(first.folder or "").rglob("shared-*.pt"))
    assert len(kept) == 1
    more = searchkit.run("random", objectives={"accuracy": "max", "params": "min"}, budget=6, **given)
    assert len(more.trials) == 6
    values = [trial.values["one-shot"] for trial in more.trials[:3]]
    assert values == [trial.values["one-shot"] for trial in first.trials]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"evaluation": "oneshot"}, "is 'one-shot' meant"),
        ({"evaluation": "one-shot", "objectives": ("params", "macs")}, "stands for one score"),
        ({"evaluation": "one-shot", "constraints": {"accuracy": (0.5, None)}}, "no bound on accuracy"),
        ({"evaluation": "one-shot", "training": lambda network, data, report: {}}, "trains no candidate"),
        ({"evaluation": "one-shot", "evaluate": lambda choices: {}, "objectives": {"loss": "min"}}, "evaluate="),
        ({"evaluation": SharedWeights(macro(), "digits")}, "of space 'macro', whose choices are not"),
    ],
)
def test_what_does_not_fit_an_evaluation_by_shared_weights_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        searchkit.run(**(SEARCH | ({} if "evaluate" in given else {"data": "digits"}) | given))


def test_a_search_says_why_shared_weights_have_no_score(digits: Data) -> None:
    given = SEARCH | {"data": digits, "evaluation": {"epochs": 0.2}, "objectives": ("accuracy", "params")}
    with pytest.raises(SearchFailedError, match=r"first: proxy 'one-shot' .*in no step.*more epochs than 0.2"):
        searchkit.run("random", budget=3, start=[[0, 0, 1], [2, 2, 2], [0, 2, 0]], **given)
