"""What a training function of the user's may not do: each is said in one sentence, and the search goes on or ends."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.parametrize import remove_parametrizations
from torch.utils.data import DataLoader, TensorDataset

import searchkit
from searchkit import Choice, Metric, NetworkSpace
from searchkit.data.data import Data
from searchkit.errors import CandidateError, DataChangedError, ObjectiveError, SearchFailedError, SearchkitError
from searchkit.problem.trial import State
from searchkit.training import Halving
from searchkit.training.as_given import Structure
from searchkit.training.normalised import normalised
from searchkit.training.weights import load_weights, own_state, save_weights

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(120, 4)).astype(np.float32)
CLASSES = (TABLE[:, 0] > 0).astype(int)


def built(choices: dict[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, choices["width"]), nn.Tanh(), nn.Linear(choices["width"], n_classes))


SPACE = NetworkSpace(
    [Choice("width", range(1, 9), ordered=True)], build=built, input_shape=(4,), n_classes=2, name="small"
)


def data() -> Data:
    return searchkit.load_data((TABLE.copy(), CLASSES))


def run(training: Any, **given: Any) -> searchkit.Result:
    given = {"space": SPACE, "data": data(), "budget": 4, "storage": "memory", "proxies": (), "progress": False} | given
    return searchkit.run("random", training=training, **given)


def at_even_widths(change: Any) -> Any:
    """A training that changes every second network, and leaves the others."""

    def training(network, data, report):
        width = network.network[0].out_features
        if width % 2 == 0:
            change(network)
        return {"accuracy": width / 10}

    return training


# The network is left as it was built


def new_head(network: Any) -> None:
    network.network[2] = nn.Linear(network.network[0].out_features, 3)


def wrapped(network: Any) -> None:
    network.network = nn.Sequential(network.network)


def other_activation(network: Any) -> None:
    network.network[1] = nn.ReLU()


def other_mean(network: Any) -> None:
    network.mean.add_(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: parametrizations.weight_norm(n.network[2]), "parameters: '2.weight' is missing, '2.param"),
        (lambda n: parametrizations.spectral_norm(n.network[2]), "parameters: '2.weight' is missing, '2.param"),
        (lambda n: prune.l1_unstructured(n.network[2], "weight", 0.5), "parameters: '2.weight' is missing, '2.weight_"),
        (new_head, "parameters: '2.weight' has shape (3, "),
        (wrapped, "parameters: '0.weight' and 3 others are missing, '0.0.weight' and 3 others are new"),
        (
            lambda n: n.register_parameter("scale", nn.Parameter(torch.ones(()))),
            "parameters: 'scale' around the network is new",
        ),
        (other_activation, "changed the network: '1' is a ReLU, not a Tanh"),
        (lambda n: n.network.append(nn.ReLU()), "changed the network: '3' is new"),
        (other_mean, "changed 'mean' of the normalisation around the network"),
    ],
)
def test_a_changed_structure_fails_its_candidate_and_no_other(change: Any, words: str, tmp_path: Path) -> None:
    result = run(at_even_widths(change), budget=8, storage=tmp_path)
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    assert 0 < len(failed) < 8
    for trial in failed:
        assert words in str(trial.reason)
        assert "\n" not in str(trial.reason)
        assert SPACE.decode(trial.code[None])[0]["width"] % 2 == 0
    with torch.inference_mode():
        assert result.build(0)(torch.zeros(2, 4)).shape == (2, 2)


def test_a_parametrization_that_is_removed_again_is_no_change() -> None:
    def training(network, data, report):
        head = network.network[2]
        parametrizations.weight_norm(head)
        network(data.train.x)
        remove_parametrizations(head, "weight")
        return {"accuracy": 0.5}

    assert (run(training).history.state == "scored").all()


def test_lazy_modules_become_what_they_become() -> None:
    given = data()
    whole = normalised(nn.Sequential(nn.LazyLinear(3), nn.LazyLinear(2)), given)
    structure = Structure(whole)
    whole(given.val.x)
    structure.check(whole)


class Grows(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.layers[0].out_features % 2 == 0:
            self.register_buffer("late", torch.zeros(1))
        return self.layers(x)


def test_a_network_of_the_space_that_changes_by_itself_fails_in_a_training_of_ours_too() -> None:
    space = NetworkSpace(
        SPACE.choices, build=lambda choices, shape, n: Grows(choices["width"]), input_shape=(4,), n_classes=2,
        name="grows",
    )  # fmt: skip
    result = run(None, space=space, epochs=1, budget=8)
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    assert 0 < len(failed) < 8
    assert all("than when it was built: 'late' is new; register" in str(trial.reason) for trial in failed)


def test_weights_of_another_network_are_said_in_one_sentence(tmp_path: Path) -> None:
    save_weights(own_state(nn.Linear(2, 3)), tmp_path / "w.safetensors")
    with pytest.raises(CandidateError) as raised:
        load_weights(nn.Sequential(nn.Linear(2, 3)), tmp_path / "w.safetensors")
    assert "are not of the network that the space builds: Missing key(s) in state_dict" in str(raised.value)
    assert "\n" not in str(raised.value)


# The data are left as they were given


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d.train.x.floor_divide_(2), "data.train.x"),
        (lambda d: d.val.y.zero_(), "data.val.y"),
        (lambda d: d.train.x.data.mul_(2), "data.train.x"),
        (lambda d: np.negative(d.val.x.numpy(), out=d.val.x.numpy()), "data.val.x"),
        (lambda d: d.train.x[:3].clamp_(0, 1), "data.train.x"),
    ],
)
def test_data_that_are_changed_in_place_end_the_search(change: Any, name: str, tmp_path: Path) -> None:
    seen: list[int] = []

    def training(network, data, report):
        seen.append(1)
        if len(seen) == 2:
            change(data)
            raise ValueError("told all the same")
        return {"accuracy": 0.5}

    with pytest.raises(DataChangedError) as raised:
        run(training, storage=tmp_path, name="s")
    assert f"the training function changed {name} in place" in str(raised.value)
    assert len(seen) == 2

    def mended(network, data, report):
        return {"accuracy": 0.5}

    result = run(mended, storage=tmp_path, name="s")  # with data that are loaded again
    assert (result.history.state == "scored").all()


def test_data_that_are_read_only_are_not_called_changed() -> None:
    def training(network, data, report):
        x = data.train.x.clone().mul_(2)
        data.train.x[0].tolist()
        network(x)
        return {"accuracy": 0.5}

    assert (run(training).history.state == "scored").all()


def test_a_metric_of_predictions_may_change_what_it_gets() -> None:
    def sorts(y_true: Any, y_pred: Any) -> float:
        y_true.sort()
        return float(np.abs(y_true - np.sort(y_pred)).mean())

    given = searchkit.load_data((TABLE, TABLE[:, 0] * 2.0), task="regression")
    before = given.val.y.clone()
    space = NetworkSpace(SPACE.choices, build=built, input_shape=(4,), n_classes=1, name="small")

    def training(network, data, report):
        return {"r2": 0.5}

    run(training, data=given, space=space, objectives=("r2", Metric("sorted", sorts)), budget=2)
    assert torch.equal(given.val.y, before)


# What is counted and measured is not for the function to say


@pytest.mark.parametrize("name", ["params", "macs", "peak_memory", "latency_ms", "file_bytes", "latency_ms@phone"])
@pytest.mark.parametrize("reported", [False, True])
def test_names_of_costs_are_refused_whether_the_search_asks_for_them_or_not(name: str, reported: bool) -> None:
    def training(network, data, report):
        values = {"accuracy": 0.5, name: 7.0}
        return report(1, values) and None if reported else values

    with pytest.raises(SearchFailedError, match=f"{name} is measured by searchkit, so leave it out"):
        run(training, objectives="accuracy", budget=2)


@pytest.mark.parametrize("name", ["trial", "epoch"])
def test_columns_of_the_reports_are_no_names_of_values(name: str) -> None:
    def training(network, data, report):
        report(1, {"accuracy": 0.5, name: 3})

    with pytest.raises(SearchFailedError, match=f"report of epoch 1: {name} is a column of result.reports already"):
        run(training, budget=2)


def never(network, data, report):
    raise AssertionError("work began")


@pytest.mark.parametrize("name", ["params", "macs", "accuracy", "log_loss"])
def test_a_metric_with_a_function_has_no_name_of_a_built_in_one(name: str) -> None:
    for mine in (Metric(name, lambda y_true, y_pred: 0.25), Metric(name, lambda network: 0.25)):
        with pytest.raises(ObjectiveError, match=f"metric '{name}' has a function, and '{name}' is"):
            run(never, objectives=("r2" if name == "accuracy" else "accuracy", mine))


# What is said before work


async def asynchronous(network, data, report):
    return {}


def generator(network, data, report):
    yield {}


def no_arguments():
    return {}


class Takes:
    def __call__(self, network, data):
        return {}


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (lambda network, data: {}, "training is called as function(network, data, report), but"),
        (no_arguments, "takes (): too many positional arguments"),
        (lambda network, data, report, epochs: {}, "missing a required argument: 'epochs'"),
        (lambda network, data, report, *, epochs: {}, "missing a required argument: 'epochs'"),
        (functools.partial(never, report=None), "training is called as function(network, data, report), but never"),
        (Takes(), "but Takes takes (network, data)"),
        (asynchronous, "training=asynchronous is asynchronous"),
        (functools.partial(generator), "training=generator is a generator"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused_before_work(training: Any, words: str) -> None:
    with pytest.raises(SearchkitError) as raised:
        run(training)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, SearchFailedError)


def test_so_are_evaluated_functions_and_metrics() -> None:
    space = searchkit.Space([Choice("a", (1, 2))])
    with pytest.raises(SearchkitError, match=r"evaluate is called as function\(choices\), but"):
        searchkit.run(space=space, evaluate=lambda: {"loss": 1}, objectives={"loss": "min"}, budget=2)
    with pytest.raises(ObjectiveError, match=r"metric 'mine' is called as function\(network\), but"):
        Metric("mine", lambda: 1.0)
    with pytest.raises(ObjectiveError, match=r"metric 'mine' is called as function\(network\), but"):
        Metric("mine", lambda a, b, c: 1.0)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "metric 'mine' is None, not a number"),
        ("0.5", "metric 'mine' is '0.5', not a number"),
        (np.zeros(3), "metric 'mine' is array"),
        ({"a": 1}, "metric 'mine' is {'a': 1}, not a number"),
    ],
)
def test_a_metric_of_predictions_that_returns_no_number_is_refused_before_work(returned: Any, words: str) -> None:
    with pytest.raises(ObjectiveError) as raised:
        run(never, objectives=("accuracy", Metric("mine", lambda y_true, y_pred: returned)))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_one_that_is_no_number_only_for_random_predictions_is_not() -> None:
    calls: list[int] = []

    def first_nan(y_true: Any, y_pred: Any) -> float:
        calls.append(1)
        return math.nan if len(calls) == 1 else 1.0

    def training(network, data, report):
        return {"accuracy": 0.5}

    result = run(training, objectives=("accuracy", Metric("mine", first_nan)), budget=2)
    assert (result.history.mine == 1.0).all()


# Epochs that no report comes to


def four_epochs(network, data, report):
    for epoch in range(1, 5):
        if report(epoch, {"accuracy": network.network[0].out_features / 10}):
            return


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ladder": ({"epochs": 10}, {"epochs": 30})}, "nothing at epoch 10 and 30: the reports of four_epochs end at"),
        ({"ladder": ({"epochs": 2}, {"epochs": 30})}, "nothing at epoch 30: the reports of four_epochs end at epoch 4"),
        ({"early_stopping": Halving(first=9)}, "nothing at epoch 9: "),
        ({"early_stopping": searchkit.training.Median(first=9)}, "nothing at epoch 9: "),
    ],
)
def test_a_rule_that_decides_after_the_last_report_is_said_once(given: Any, words: str, caplog: Any) -> None:
    run(four_epochs, objectives="accuracy", budget=6, **given)
    assert caplog.text.count(words) == 1
    caplog.clear()
    run(four_epochs, objectives="accuracy", budget=6, ladder=({"epochs": 2}, {"epochs": 4}))
    assert "compared nothing" not in caplog.text


# Processes of its own


def loads(network, data, report):
    x, _ = next(iter(DataLoader(TensorDataset(data.train.x, data.train.y), batch_size=8, num_workers=1)))
    return {"accuracy": len(x) / 10}


@pytest.mark.slow
def test_a_data_loader_has_workers_of_its_own_in_a_worker_process() -> None:
    result = run(loads, executor=2, budget=2)
    assert (result.history.accuracy == 0.8).all()


@pytest.mark.slow
def test_data_that_a_worker_process_changed_end_the_search_too() -> None:
    def training(network, data, report):
        data.train.x.zero_()
        return {"accuracy": 0.5}

    with pytest.raises(DataChangedError, match=r"changed data\.train\.x in place"):
        run(training, executor=2, budget=2)
