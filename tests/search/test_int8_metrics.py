"""Metrics of networks in int8: what the quantised file reaches, takes and needs is what a search compares."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import searchkit
from searchkit.costs.int8_file import write_int8
from searchkit.costs.onnx_file import write_onnx
from searchkit.errors import DeviceError, SearchkitError

DATA = searchkit.load_data("digits", limit=400)
TINY = searchkit.load_space("macro", width=8, layers=(1, 1), input_shape=(1, 8, 8), n_classes=10)


def search(**given: Any) -> Any:
    given = {"strategy": "random", "space": TINY, "data": DATA, "budget": 3, "storage": "memory", "epochs": 3} | given
    return searchkit.run(**given)


def accuracy_in_int8(network: torch.nn.Module) -> float:
    """Of a network on the validation part, its ranges from evenly spaced examples of the train part."""
    train, val = DATA.train, DATA.val
    rows = np.linspace(0, len(train) - 1, min(128, len(train))).astype(int)
    examples = np.asarray(train.x, dtype=np.float32)[rows]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.onnx"), Path(folder, "b.onnx")
        write_onnx(network, torch.randn(3, 1, 8, 8), source, "images", "logits")
        write_int8(source, target, examples, "MinMax")
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        logits = session.run(None, {"images": np.asarray(val.x, dtype=np.float32)})[0]
    return float((logits.argmax(1) == val.y.numpy()).mean())


@pytest.mark.slow
def test_the_accuracy_in_int8_is_that_of_the_file(tmp_path: Path) -> None:
    result = search(objectives={"accuracy@int8": "max", "params": "max"}, budget=2, storage=tmp_path, name="eight")
    for row in range(len(result.front)):
        assert result.front["accuracy@int8"][row] == pytest.approx(accuracy_in_int8(result.build(row)), abs=1.5 / 80)
    again = searchkit.load("eight", tmp_path)
    assert again.front["accuracy@int8"].tolist() == result.front["accuracy@int8"].tolist()
    assert "validation part, in int8" in result.context["units"]["accuracy@int8"]


@pytest.mark.slow
def test_costs_in_int8_are_measured_before_the_training_and_bounds_on_them_kept() -> None:
    free = search(objectives=("accuracy", "latency_ms@int8", "file_bytes@int8", "params"), epochs=1, budget=2)
    values = free.history
    assert (values["latency_ms@int8"] > 0).all()
    assert (values["file_bytes@int8"] < 3 * values["params"] + 60_000).all()
    assert (values["file_bytes@int8"] > values["params"]).all()
    order = np.argsort(values.params)
    assert list(np.argsort(values["file_bytes@int8"])) == list(order)
    most = float(values["file_bytes@int8"].median())
    bounded = search(objectives=("accuracy", "params"), constraints={"file_bytes@int8": most}, epochs=1, budget=2)
    states = dict(zip(values["file_bytes@int8"] <= most, bounded.history.state, strict=True))
    assert states == {True: "scored", False: "infeasible"}


@pytest.mark.thorough
def test_a_planned_search_in_int8_ends_with_final_trainings_and_exports_the_file(tmp_path: Path) -> None:
    result = search(
        objectives=("accuracy@int8", "file_bytes@int8"), budget={"seconds": 20}, epochs=None, storage=tmp_path
    )
    assert result.finals
    result.export(0, tmp_path / "small", precision="int8")
    told = json.loads((tmp_path / "small.json").read_text())["int8"]
    assert told["int8"] > told["float32"] - 0.05
    assert "give your own Metric" not in result.report(tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_search_chooses_the_precision_of_each_block_and_exports_that_file(tmp_path: Path) -> None:
    result = search(
        space=searchkit.load_space("macro", width=8, layers=(1, 1), precisions=True), budget=6, epochs=2,
        objectives=("accuracy@int8", "file_bytes@int8"), storage=tmp_path,
    )  # fmt: skip
    values = result.history
    chosen = (values[["stage_1.precision", "stage_2.precision", "rest.precision"]] == "int8").sum(axis=1)
    assert chosen.nunique() > 1
    assert np.allclose(values["accuracy@int8"], values.accuracy, atol=0.1)
    for i in {0, len(result.front) - 1}:
        result.export(i, tmp_path / f"n{i}", precision="int8")
        size = (tmp_path / f"n{i}.int8.onnx").stat().st_size
        assert size == pytest.approx(result.front["file_bytes@int8"][i], rel=0.02)
        mixed = any(node.op_type == "QuantizeLinear" for node in onnx.load(tmp_path / f"n{i}.int8.onnx").graph.node)
        assert mixed == bool(chosen[result.front.trial[i]])


@pytest.mark.slow
def test_regression_in_int8() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    result = searchkit.run(
        "random", data=searchkit.load_data((x, x @ [1.0, 2, 3, 4]), task="regression"), budget=2, epochs=5,
        objectives=("r2@int8", "params"), storage="memory",
    )  # fmt: skip
    assert np.isfinite(result.history["r2@int8"]).all()
    assert np.allclose(result.history["r2@int8"], result.history.r2, atol=0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objectives": ("acuracy@int8", "params")}, "Did you mean 'accuracy@int8'"),
        ({"objectives": ("accuracy", "params@int8")}, "'params@int8' is no metric: those of a network in int8 are"),
        ({"objectives": ("accuracy", "ram_int8@int8")}, "write 'ram_int8' in place of 'ram_int8@int8'"),
        ({"objectives": ("r2@int8", "params")}, "r2@int8 is a score of regression, but the data are loaded for"),
        ({"objectives": ("accuracy@int8", "r2")}, "accuracy@int8 is a score of classification and r2 is one of"),
    ],
)
def test_what_is_no_metric_in_int8_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        search(**given)


def test_no_target_is_called_int8() -> None:
    with pytest.raises(DeviceError, match="no target is called 'int8'"):
        search(objectives=("accuracy", "latency_ms@int8"), targets={"int8": "echo 1 {file}"})


@pytest.mark.slow
def test_a_network_without_an_int8_file_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("searchkit.training.int8_scores.write_int8", broken)
    with pytest.raises(SearchkitError, match="it has no int8 file: RuntimeError: no such operator"):
        search(objectives=("accuracy@int8", "params"), epochs=1)
