"""An export in int8 is judged beside the float32 file, by running both."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.cli import main
from searchkit.errors import ExportError, SearchkitError, UnknownNameError

DIGITS = searchkit.load_data("digits", limit=600)


class Uneven(nn.Module):
    """One hidden unit is so much larger than the others that a scale for all of them leaves the others no steps."""

    def __init__(self, n_in: int, n_out: int, largest: float) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(n_in, 32), nn.Linear(32, n_out)
        self.register_buffer("scale", torch.tensor([largest] + [1.0] * 31))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x.flatten(1))) * self.scale
        y: torch.Tensor = self.last(hidden)
        return y


def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return Uneven(int(np.prod(input_shape)), n_classes, choices["largest"])


def searched(largest: float, **given: Any) -> searchkit.Result:
    space = NetworkSpace([Choice("largest", [largest])], build, name="uneven")
    recipe = {"optimiser": "adamw", "lr": 0.01}
    return searchkit.run(
        "random", space=space, data=DIGITS, budget=1, epochs=15, recipe=recipe, storage="memory", **given
    )


def answers(path: Path, x: torch.Tensor) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x.numpy().astype(np.float32)})[0])


@pytest.mark.slow
def test_the_scores_are_those_of_the_files(tmp_path: Path) -> None:
    result = searched(1.0)
    files = result.export(0, tmp_path / "small", precision="int8")
    assert sorted(file.name for file in files) == [
        "small.int8.onnx", "small.json", "small.onnx", "small.safetensors"
    ]  # fmt: skip
    described = json.loads((tmp_path / "small.json").read_text())["int8"]
    y = DIGITS.test.y.numpy()
    for name, file in (("float32", "small.onnx"), ("int8", "small.int8.onnx")):
        right = (answers(tmp_path / file, DIGITS.test.x).argmax(1) == y).mean()
        assert described[name] == pytest.approx(right)
        assert described[f"bytes_{name}"] == (tmp_path / file).stat().st_size
    assert described["float32"] == pytest.approx(result.front.test_accuracy[0])
    assert described["float32"] - described["int8"] <= 0.01
    assert described["ms_int8"] > 0
    weights = {one.data_type for one in onnx.load(tmp_path / "small.int8.onnx").graph.initializer if len(one.dims) == 2}
    assert weights == {onnx.TensorProto.INT8}


@pytest.mark.slow
def test_a_loss_is_said_and_a_bound_refuses_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = searched(3000.0)
    with caplog.at_level(logging.WARNING, "searchkit"):
        result.export(0, tmp_path / "free", precision="int8")
    described = json.loads((tmp_path / "free.json").read_text())["int8"]
    lost = described["float32"] - described["int8"]
    assert lost > 0.005
    assert f"int8 loses {100 * lost:.1f} points of accuracy on the test part" in caplog.text
    bounded = searched(3000.0, constraints={"accuracy": float(result.front.accuracy[0]) - 0.001})
    with pytest.raises(ExportError, match=r"candidate 0 .*in int8 it has accuracy 0\.\d+ .*breaks .*accuracy >= 0"):
        bounded.export(0, tmp_path / "bounded", precision="int8")
    assert not list(tmp_path.glob("bounded*"))
    assert bounded.export(0, tmp_path / "bounded")


@pytest.mark.slow
def test_a_regression_is_judged_by_r2_in_the_unit_of_its_targets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = 1000 + 50 * x[:, 0] + 20 * x[:, 1]
    result = searchkit.run("random", data=(x, y), objectives=("r2", "params"), budget=1, epochs=30, storage="memory")
    result.export(0, tmp_path / "table", precision="int8")
    described = json.loads((tmp_path / "table.json").read_text())["int8"]
    assert described["metric"] == "r2"
    assert described["float32"] == pytest.approx(result.front.test_r2[0], abs=1e-4)
    assert described["int8"] == pytest.approx(described["float32"], abs=0.05)


@pytest.mark.slow
def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 2
    given: dict[str, Any] = {"budget": 1, "epochs": 1, "storage": tmp_path, "name": "own"}
    searchkit.run("random", data=(x, y), **given)
    loaded = searchkit.load("own", tmp_path)
    with pytest.raises(UnknownNameError, match="'int8'"):
        loaded.export(0, tmp_path / "n", precision="int_8")  # type: ignore[arg-type]
    with pytest.raises(SearchkitError, match="loaded without its data .*give data="):
        loaded.export(0, tmp_path / "n", precision="int8")
    with pytest.raises(SearchkitError, match="others than those of study 'own'"):
        loaded.export(0, tmp_path / "n", precision="int8", data=(x + 1, y))
    assert not list(tmp_path.glob("n*"))
    assert len(loaded.export(0, tmp_path / "n", precision="int8", data=(x, y))) == 4


@pytest.mark.slow
def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = searchkit.load_space("macro", width=4, layers=(1, 1))
    searchkit.run("random", space=space, data="digits", budget=1, epochs=1, name="s")
    assert main(["export", "s", "0", "small", "--precision", "int8", "--json"]) == 0
    assert [Path(file).name for file in json.loads(capsys.readouterr().out)][-1] == "small.int8.onnx"


@pytest.mark.slow
def test_data_of_ones_own_are_given_on_the_command_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("own.npz", X=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    with np.load("own.npz") as own:
        searchkit.run("random", data=(own["X"], own["y"]), budget=1, epochs=1, name="own")
    assert main(["export", "own", "0", "n", "--precision", "int8"]) == 2
    assert "give data=" in capsys.readouterr().err
    assert main(["export", "own", "0", "n", "--precision", "int8", "--data", "own.npz"]) == 0
    assert (tmp_path / "n.int8.onnx").exists()


@pytest.mark.thorough
def test_data_known_by_a_name_that_is_not_their_own_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of CIFAR-10 there may be a part, whose name says how large it is."""
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = rng.integers(0, 255, size=(40, 8, 8, 3)).astype(np.uint8)
    np.savez("cifar10_subset.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(["cat", "dog"]))
    started = ["run", "--data", "cifar-10", "--name", "c", "--budget", "1", "--epochs", "1", "--strategy", "random"]
    assert main([*started, "--space", "macro"]) == 0
    assert main(["resume", "c", "--budget", "+1"]) == 0
    assert main(["export", "c", "0", "n", "--precision", "int8"]) == 0
    assert (tmp_path / "n.int8.onnx").exists()
    assert searchkit.load("c").refit(0, epochs=1)["steps"]
