"""The latencies of a study are all measured in one way, and nothing is printed on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.costs.latency import latency
from searchkit.costs.one_method import OneMethod


class Bessel(nn.Module):
    """Runs in torch; the ONNX exporter knows no Bessel function."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.special.bessel_j0(x)
        return y


def space(odd: tuple[int, ...], n: int = 12) -> NetworkSpace:
    """Networks of which some cannot be exported."""

    def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
        activation = Bessel() if choices["i"] in odd else nn.ReLU()
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4 + choices["i"]), activation, nn.LazyLinear(n_classes))

    return NetworkSpace([Choice("i", range(n))], build, input_shape=(1, 8, 8))


def search(networks: NetworkSpace, budget: int, storage: Any = "memory", **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", space=networks, objectives=("params", "latency_ms"), budget=budget, batch=1, storage=storage,
        name="s", **given,
    )  # fmt: skip


@pytest.mark.slow
def test_where_many_cannot_be_exported_all_are_measured_in_torch(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, "searchkit"):
        result = search(space(odd=(1, 2, 3, 4, 5, 6)), 12)
    assert [trial.state for trial in result.trials] == ["scored"] * 12
    assert all(method.startswith("torch ") for method in result.methods["latency_ms"])
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if "eager torch for all candidates" in text and "bessel_j0" in text] == told
    assert len(told) == 1
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_one_that_cannot_be_exported_as_the_others_has_failed() -> None:
    for odd in range(12):  # one that is not among those that are looked at first
        result = search(space(odd=(odd,)), 12, start=[{"i": (odd + 1) % 12}])
        if any(trial.state == "failed" for trial in result.trials):
            break
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert [int(trial.code[0]) for trial in failed] == [odd]
    told = "its latency_ms cannot be measured with onnxruntime, the method of the whole study: "
    assert str(failed[0].reason).startswith(told)
    assert "bessel_j0" in str(failed[0].reason)
    assert all(method.startswith("onnxruntime ") for method in result.methods["latency_ms"])


@pytest.mark.slow
def test_the_same_networks_are_looked_at_whatever_was_drawn_before() -> None:
    """So that the method of a study is a function of its space alone."""
    built: list[int] = []

    def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
        built.append(choices["i"])
        return nn.Sequential(nn.Flatten(), nn.Linear(64, n_classes))

    networks = NetworkSpace([Choice("i", range(1000))], build, input_shape=(1, 8, 8))
    looked_at = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        built.clear()
        OneMethod(networks, "cpu")(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
        looked_at.append(tuple(built))
    assert len(set(looked_at[0])) == 4
    assert looked_at[0] == looked_at[1]


@pytest.mark.slow
def test_a_continued_study_keeps_its_method(tmp_path: Path) -> None:
    begun = search(space(odd=tuple(range(12))), 2, tmp_path)
    assert all(method.startswith("torch ") for method in begun.methods["latency_ms"])
    result = search(space(odd=()), 4, tmp_path)
    assert all(method.startswith("torch ") for method in result.methods["latency_ms"])
    assert len(result.trials) == 4


@pytest.mark.parametrize(
    "layer",
    [
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2),
        nn.Sequential(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), nn.Flatten()),
    ],
    ids=["layer", "encoder", "inside"],
)
def test_transformer_layers_are_measured_by_onnx_runtime_as_other_layers_are(
    layer: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    assert torch.backends.mha.get_fastpath_enabled()
    assert latency(layer, (10, 32), seconds=0.02).method.startswith("onnxruntime ")
    assert torch.backends.mha.get_fastpath_enabled()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("parametrised", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_a_network_that_keeps_results_of_operations_is_copied(parametrised: Any) -> None:
    layer = parametrised(nn.Linear(8, 8))
    layer(torch.zeros(1, 8))  # the weight is now the result of an operation
    assert latency(nn.Sequential(layer), (8,), seconds=0.02).median_ms > 0
