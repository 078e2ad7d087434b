"""Files in other formats than ONNX are run by their own runtimes, as those who get them would, and scored by that."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.errors import ExportError, SearchkitError, UnknownNameError
from searchkit.results.formats import torch_export
from searchkit.results.formats.table import FORMATS, stem_of

ROOT = Path(__file__).parents[2]
DIGITS = searchkit.load_data("digits", limit=600)
RUNTIMES = sorted({package for kind in FORMATS.values() for package in kind.packages})


def needs(name: str, *marks: pytest.MarkDecorator) -> Any:
    """A format, whose tests are skipped where one of its packages is missing."""
    missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
    reason = f"format '{name}' needs {', '.join(missing)}"
    return pytest.param(name, marks=[pytest.mark.skipif(bool(missing), reason=reason), *marks])


SLOW = ("executorch", "litert")  # to import, and to write
FILES = [name for name, kind in FORMATS.items() if not kind.folder]  # tests/results/test_hub.py has the folder
EVERY = [needs(name, *[pytest.mark.slow] * (name in SLOW)) for name in FILES]


class Small(nn.Module):
    """A convolution, a normalisation and an addition, as the networks of most spaces have them."""

    def __init__(self, channels: int, n_out: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width))
        self.head = nn.Linear(width * 16, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.stem(x)
        pooled = nn.functional.max_pool2d(torch.relu(hidden + self.block(hidden)), 2)
        y: torch.Tensor = self.head(pooled.flatten(1))
        return y


class Branching(nn.Module):
    """Its path depends on the values, which no program has."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x.flatten(1))
        return y if y.sum() > 0 else 2 * y


def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    if choices["width"] == 0:
        return Branching(int(np.prod(input_shape)), n_classes)
    return Small(input_shape[0], n_classes, choices["width"])


def searched(*widths: int, **given: Any) -> searchkit.Result:
    space = NetworkSpace([Choice("width", widths)], build, name="small")
    recipe = {"optimiser": "adamw", "lr": 0.01}
    given = {"data": DIGITS, "epochs": 5, "recipe": recipe, "budget": len(widths), "storage": "memory"} | given
    return searchkit.run("random", space=space, **given)


@pytest.fixture(scope="module")
def result() -> searchkit.Result:
    return searched(8)


@pytest.fixture(scope="module")
def regression() -> searchkit.Result:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = 1000 + 50 * x[:, 0] + 20 * x[:, 1]
    return searchkit.run("random", data=(x, y), objectives=("r2", "params"), budget=1, epochs=30, storage="memory")


def answers(name: str, folder: Path, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the file "best" answers, by the runtime of its format."""
    if name == "onnx":
        session = onnxruntime.InferenceSession(folder / "best.onnx", providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])
    if name == "torch":
        return np.asarray(torch.export.load(folder / "best.pt2").module()(torch.from_numpy(x)).detach())
    if name == "openvino":
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors compute in bfloat16 by themselves
        return np.asarray(openvino.Core().compile_model(folder / "best.xml", "CPU", exact)(x)[0])
    if name == "executorch":
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(folder / "best.pte").load_method("forward")
        return np.concatenate([method.execute([torch.from_numpy(one[None])])[0].numpy().copy() for one in x])
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(folder / "best.tflite")).get_signature_runner()
    (given,) = runner.get_input_details()
    return np.concatenate([next(iter(runner(**{given: one[None]}).values())) for one in x])


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "best.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_file_answers_as_the_network_and_its_score_is_told(
    name: str, result: searchkit.Result, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "searchkit"):
        files = result.export(0, tmp_path / "best", format=name)  # type: ignore[arg-type]
    endings = [*FORMATS[name].endings, ".safetensors", ".json"]
    assert files == [tmp_path / f"best{ending}" for ending in endings]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"best{ending}" for ending in endings)
    x, y = DIGITS.test.x.numpy().astype(np.float32), DIGITS.test.y.numpy()
    with torch.inference_mode():
        expected = result.build(0)(torch.from_numpy(x)).numpy()
    got = answers(name, tmp_path, x)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-3 * np.ptp(expected)
    described = told(tmp_path)
    for file in files[:-1]:
        assert described["sha256"][file.name] == hashlib.sha256(file.read_bytes()).hexdigest()
    if name == "onnx":
        assert "formats" not in described
        return
    entry = described["formats"][name]
    right = float((got.argmax(1) == y).mean())
    assert right > 0.3
    assert entry["file"] == pytest.approx(right)
    assert entry["network"] == pytest.approx(result.front.test_accuracy[0])
    assert (entry["metric"], entry["part"]) == ("accuracy", "test")
    assert entry["files"] == [file.name for file in files[:-2]]
    assert entry["bytes"] == sum(file.stat().st_size for file in files[:-2])
    assert f"{name}: {100 * right:.1f} % accuracy" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_regression_answers_in_the_unit_of_its_targets(
    name: str, regression: searchkit.Result, tmp_path: Path
) -> None:
    regression.export(0, tmp_path / "best", format=name)  # type: ignore[arg-type]
    x = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    with torch.inference_mode():
        expected = regression.build(0)(torch.from_numpy(x)).numpy()
    got = answers(name, tmp_path, x)
    assert got.shape == expected.shape == (5,)
    assert np.abs(got - expected).max() < 0.1
    if name != "onnx":
        entry = told(tmp_path)["formats"][name]
        assert entry["metric"] == "r2"
        assert entry["file"] == pytest.approx(regression.front.test_r2[0], abs=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_a_network_that_cannot_be_exported_says_why_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    result = searched(0, epochs=1)
    with pytest.raises(ExportError, match=r"candidate 0 of study '.*' cannot be exported as .*: \w+") as raised:
        result.export(0, tmp_path / "new" / "best", format=name)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_refused(
    result: searchkit.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = torch_export.write

    class OneInput(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1.01 * torch.as_tensor(self.network(x))

    monkeypatch.setattr(torch_export, "write", lambda network, *given: write(OneInput(network), *given))
    with pytest.raises(ExportError, match="torch export differs from the measured network by 0.0"):
        result.export(0, tmp_path / "best", format="torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_files_of_the_same_network_are_described_together_and_those_of_another_are_not(tmp_path: Path) -> None:
    result = searched(4, 8)
    result.export(0, tmp_path / "best", trial=0, precision="int8")
    result.export(0, tmp_path / "best", trial=0, format="torch")
    described = told(tmp_path)
    assert set(described["sha256"]) == {"best.onnx", "best.int8.onnx", "best.safetensors", "best.pt2"}
    assert set(described["formats"]) == {"torch"}
    assert described["int8"]["file"] == "best.int8.onnx"
    result.export(0, tmp_path / "best", trial=0)
    assert set(told(tmp_path)["formats"]) == {"torch"}
    (tmp_path / "best.pt2").write_bytes(b"another")
    result.export(0, tmp_path / "best", trial=0)
    assert "formats" not in told(tmp_path)
    assert set(told(tmp_path)["sha256"]) == {"best.onnx", "best.int8.onnx", "best.safetensors"}
    result.export(0, tmp_path / "best", trial=1, format="torch")
    assert set(told(tmp_path)["sha256"]) == {"best.pt2", "best.safetensors"}
    assert "int8" not in told(tmp_path)
    (tmp_path / "best.json").write_text("[1, 2]")
    result.export(0, tmp_path / "best", trial=1, format="torch")
    assert set(told(tmp_path)["sha256"]) == {"best.pt2", "best.safetensors"}


def test_what_cannot_be_asked_for_is_said(result: searchkit.Result, tmp_path: Path) -> None:
    for wrong, near in (("onxn", "onnx"), ("Open-VINO", "openvino"), ("pytorch", "torch"), ("tflite", "litert")):
        with pytest.raises(UnknownNameError, match=rf"unknown format '{wrong}': choose from .*Did you mean '{near}'"):
            result.export(0, tmp_path / "best", format=wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown format None"):
        result.export(0, tmp_path / "best", format=None)  # type: ignore[arg-type]
    with pytest.raises(SearchkitError, match="'int8' is there in format 'onnx' only, not in 'torch'"):
        result.export(0, tmp_path / "best", format="torch", precision="int8")
    with pytest.raises(SearchkitError, match=r"'best.pt2' ends as files of format 'torch' do.*format='torch'"):
        result.export(0, tmp_path / "best.pt2")
    assert not list(tmp_path.iterdir())


def test_an_ending_may_be_given() -> None:
    for name, kind in FORMATS.items():
        for ending in (*kind.endings, ".json", ".safetensors", ""):
            assert stem_of(Path(f"my.net{ending}"), name) == "my.net"
    assert stem_of(Path("v1.2"), "torch") == "v1.2"


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.packages])
def test_a_missing_package_is_named_with_the_line_that_installs_it_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = FORMATS[name].packages[0]
    monkeypatch.setitem(sys.modules, package, None)
    no_networks = searchkit.run(
        "random", space=Space([Choice("i", range(3))]), evaluate=lambda choices: {"loss": choices["i"]},
        objectives={"loss": "min"}, budget=1, storage="memory",
    )  # fmt: skip
    said = (
        rf"format '{name}' needs the package {package.replace('_', '-')}, .*: pip install \"searchkit-nas\[{name}\]\""
    )
    with pytest.raises(SearchkitError, match=said):
        no_networks.export(0, tmp_path / "best", format=name)  # type: ignore[arg-type]


def test_a_study_whose_data_are_not_known_asks_for_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 2
    searchkit.run("random", data=(x, y), budget=1, epochs=1, storage=tmp_path, name="own")
    loaded = searchkit.load("own", tmp_path)
    with pytest.raises(SearchkitError, match="loaded without its data .*give data="):
        loaded.export(0, tmp_path / "n", format="torch")
    assert not list(tmp_path.glob("n*"))
    assert len(loaded.export(0, tmp_path / "n", format="torch", data=(x, y))) == 3


@pytest.mark.slow
def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    searchkit.run("random", space="macro", data="digits", budget=1, epochs=1, name="s")
    assert main(["export", "s", "0", "small", "--format", "torch", "--json"]) == 0
    found = [Path(file).name for file in json.loads(capsys.readouterr().out)]
    assert found == ["small.pt2", "small.safetensors", "small.json"]
    assert main(["export", "s", "0", "small", "--format", "torhc"]) == 2
    assert "Did you mean 'torch'?" in capsys.readouterr().err
    assert main(["export", "s", "0", "small", "--format", "torch", "--precision", "int8"]) == 2
    assert "in format 'onnx' only" in capsys.readouterr().err


@pytest.mark.thorough
def test_no_package_of_a_format_is_loaded_before_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, searchkit, searchkit.results.export\n"
        "from searchkit.cli.arguments import parser; parser()\n"
        "result = searchkit.run('random', space='macro', data=searchkit.load_data('digits', limit=100), budget=1,\n"
        "                       epochs=1, storage='memory', progress=False)\n"
        "result.export(0, sys.argv[1], format='torch')\n"
        f"print(sorted({{*{RUNTIMES!r}, 'jax', 'torchao'}} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "best")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_the_names_of_formats_load_no_torch() -> None:
    code = "import sys, searchkit.results.formats.table; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_every_format_has_its_extra_and_its_lines_in_the_documentation() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "how-to" / "formats.md").read_text()
    for name, kind in FORMATS.items():
        assert f"`{name}`" in page
        assert all(f"`{ending}`" in page for ending in kind.endings)
        assert bool(kind.extra) == bool(kind.packages)
        for package in kind.packages:
            assert any(line.startswith(package.replace("_", "-")) for line in extras[kind.extra])
