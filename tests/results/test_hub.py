"""A folder for the Hub has a valid model card, and the lines that stand on it load the network that was measured."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.errors import ExportError, SearchkitError, SpaceError, UnknownNameError
from searchkit.results.formats import torch_export
from searchkit.results.hub.card import plain
from searchkit.results.hub.front_matter import yaml

FILES = ["README.md", "config.json", "model.pt2", "model.safetensors"]
DIGITS = searchkit.load_data("digits", limit=300)


class Dense(nn.Module):
    def __init__(self, n_in: int, width: int, n_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y


def dense(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return Dense(int(np.prod(input_shape)), choices["width"], n_classes)


def own_space(*widths: int) -> NetworkSpace:
    return NetworkSpace([Choice("width", widths)], dense, name="own")


@pytest.fixture(scope="module")
def result() -> searchkit.Result:
    space = searchkit.load_space("macro", width=8)
    return searchkit.run("random", space=space, data=DIGITS, budget=3, epochs=4, storage="memory", name="of digits")


@pytest.fixture(scope="module")
def folder(result: searchkit.Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "digits"
    assert result.export(0, path, format="hub") == [path / name for name in FILES]
    return path


@pytest.fixture(scope="module")
def own() -> searchkit.Result:
    """A study over a space that was made in Python."""
    return searchkit.run("random", space=own_space(4, 8), data=DIGITS, budget=2, epochs=1, storage="memory", name="a_b")


def blocks(folder: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_folder_has_nothing_but_its_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES


@pytest.mark.slow
@pytest.mark.parametrize(
    "alone", [pytest.param(False, marks=pytest.mark.thorough), True], ids=["with searchkit", "with torch alone"]
)
def test_the_ten_lines_of_the_card_load_the_network_in_a_new_process(
    alone: bool, result: searchkit.Result, folder: Path, tmp_path: Path
) -> None:
    lines = blocks(folder)[alone]
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
    x = DIGITS.test.x.numpy().astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    blocked = "import sys\nsys.modules['searchkit'] = sys.modules['safetensors'] = None\n" if alone else ""
    after = (
        f"import numpy, os\nos.chdir({str(tmp_path)!r})\nwith torch.inference_mode():\n"
        "    numpy.save('y.npy', network(torch.from_numpy(numpy.load('x.npy'))))\n"
        "print(tuple(logits.shape), labels if 'labels' in vars() else '')\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", blocked + lines + after]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("(2, 10)")
    with torch.inference_mode():
        expected = result.build(0)(torch.from_numpy(x)).numpy()
    got = np.load(tmp_path / "y.npy")
    assert np.abs(got - expected).max() <= 1e-3 * np.ptp(expected)
    assert (got.argmax(1) == DIGITS.test.y.numpy()).mean() == pytest.approx(result.front.test_accuracy[0])
    if alone:
        assert len(json.loads(ended.stdout.partition(")")[2])) == 2


@pytest.mark.slow
def test_the_card_is_one_that_the_hub_reads(result: searchkit.Result, folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(folder / "README.md")
    fields = card.data.to_dict()
    assert fields["library_name"] == "searchkit"
    assert fields["pipeline_tag"] == "image-classification"
    assert {"pytorch", "image-classification"} <= set(fields["tags"])
    assert "license" not in fields  # which is the user's to say
    scores = {one.dataset_split: one for one in card.data.eval_results}
    assert scores["test"].metric_value == pytest.approx(result.front.test_accuracy[0], abs=1e-6)
    assert scores["validation"].metric_value == pytest.approx(result.front.accuracy[0], abs=1e-6)
    for one in scores.values():
        assert (one.task_type, one.dataset_name, one.metric_type) == ("image-classification", "digits", "accuracy")
    again = hub.ModelCardData(**fields)
    assert again.to_dict()["model-index"] == fields["model-index"]


def test_the_card_says_what_was_measured_and_what_it_was_chosen_from(result: searchkit.Result, folder: Path) -> None:
    text = (folder / "README.md").read_text()
    row = result.front.iloc[0]
    assert f"| params | {int(row.params):,} | counted |" in text
    assert f"| accuracy (test part) | {row.test_accuracy:.4g} | {len(DIGITS.test)} examples |" in text
    assert f"| accuracy (validation part) | {row.accuracy:.4g} | {len(DIGITS.val)} examples |" in text
    assert "images of 1 x 8 x 8 (raw pixels, in the train part from 0 to 16)" in text
    assert "3 candidates of 6,561" in text
    assert (
        f"{len(DIGITS.train)} examples to train on, {len(DIGITS.val)} to validate, {len(DIGITS.test)} to test" in text
    )
    assert "for 4 epochs" in text
    assert "Seed 0" in text
    assert f"torch {torch.__version__}" in text
    assert f"{row.trial} (this)" in text or len(result.front) == 1
    for name in result.space.names:
        assert f"| {name} | {row[name]} |" in text
    config = json.loads((folder / "config.json").read_text())
    assert config["output"]["classes"] == list(range(10))
    assert config["input"]["shape"] == ["n", 1, 8, 8]
    assert config["score"]["file"] == pytest.approx(row.test_accuracy)


def test_a_network_of_a_space_made_in_python_is_loaded_with_it_or_by_torch(
    own: searchkit.Result, tmp_path: Path
) -> None:
    own.export(0, tmp_path / "own", format="hub")
    (lines,) = blocks(tmp_path / "own")
    assert "searchkit" not in lines
    text = (tmp_path / "own" / "README.md").read_text()
    assert "# a_b" in text
    assert "load_network(folder, space=...)" in text
    with pytest.raises(SpaceError, match="of space 'own', which this searchkit has not: give it as space="):
        searchkit.load_network(tmp_path / "own")
    with pytest.raises(SpaceError, match="with other choices or options"):
        searchkit.load_network(tmp_path / "own", space=own_space(4, 16))
    network = searchkit.load_network(tmp_path / "own", space=own_space(4, 8))
    x = DIGITS.test.x[:5]
    with torch.inference_mode():
        assert torch.equal(network(x), own.build(0)(x))


def test_values_of_a_table_come_in_the_unit_of_their_targets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    result = searchkit.run(
        "random", data=(x, 1000 + 50 * x[:, 0]), objectives=("r2", "params"), budget=1, epochs=2, storage="memory"
    )
    result.export(0, tmp_path / "t", format="hub")
    head = (tmp_path / "t" / "README.md").read_text()
    assert 'pipeline_tag: "tabular-regression"' in head
    assert 'type: "r_squared"' in head
    assert "values in the unit of the targets" in head
    network, rows = searchkit.load_network(tmp_path / "t"), torch.from_numpy(x[:5].astype(np.float32))
    with torch.inference_mode():
        assert torch.equal(network(rows), result.build(0)(rows))


@pytest.mark.slow
def test_only_the_test_score_is_of_weights_that_have_seen_the_validation_part(tmp_path: Path) -> None:
    result = searchkit.run(
        "random", space=own_space(4), data=DIGITS, budget=1, epochs=1, storage=tmp_path / "s", name="n"
    )
    result.refit(0, epochs=20)
    result.export(0, tmp_path / "n", format="hub")
    text = (tmp_path / "n" / "README.md").read_text()
    assert 'split: "validation"' not in text
    assert "| accuracy (validation part, in the search) |" in text
    assert "examples, before the final training |" in text
    assert "Then trained anew on the train and the validation part" in text
    assert f"| accuracy (test part) | {result.front.test_accuracy[0]:.4g} |" in text


def test_a_folder_that_holds_something_is_refused_before_any_work(
    result: searchkit.Result, folder: Path, tmp_path: Path
) -> None:
    no_networks = searchkit.run(
        "random", space=Space([Choice("i", range(3))]), evaluate=lambda choices: {"loss": choices["i"]},
        objectives={"loss": "min"}, budget=1, storage="memory",
    )  # fmt: skip
    with pytest.raises(SearchkitError, match="is not empty, it holds 'README.md': give a new or an empty folder"):
        no_networks.export(0, folder, format="hub")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SearchkitError, match="format 'hub' writes a folder, and '.*file' is a file"):
        no_networks.export(0, tmp_path / "file", format="hub")
    with pytest.raises(SearchkitError, match="'int8' is there in format 'onnx' only, not in 'hub'"):
        result.export(0, tmp_path / "n", format="hub", precision="int8")
    with pytest.raises(UnknownNameError, match="Did you mean 'hub'"):
        result.export(0, tmp_path / "n", format="hubb")  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="builds no networks"):
        no_networks.export(0, tmp_path / "n", format="hub")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_clone_of_an_empty_repository_is_written_into(own: searchkit.Result, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    own.export(0, tmp_path, format="hub")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".git", *FILES]


def test_a_program_that_answers_otherwise_is_refused_and_leaves_nothing(
    own: searchkit.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = torch_export.write

    class Other(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1.01 * torch.as_tensor(self.network(x))

    monkeypatch.setattr(torch_export, "write", lambda network, *given: write(Other(network), *given))
    with pytest.raises(ExportError, match="candidate . of study 'a_b': the torch export differs from the measured"):
        own.export(0, tmp_path / "new", format="hub")
    assert not list(tmp_path.iterdir())


def test_what_is_no_such_folder_is_said_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchkitError, match="is no folder that an export with format 'hub' wrote"):
        searchkit.load_network(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SearchkitError, match=r"config.json' is damaged"):
        searchkit.load_network(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(SearchkitError, match="describes no network that searchkit exported"):
        searchkit.load_network(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(SearchkitError, match=r"has no model\.safetensors, the weights"):
        searchkit.load_network(tmp_path)


WRONG = (None, {}, [], 10**30, "text", True)


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value in a JSON value, of a list to its first."""
    entries = (
        value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    )
    for key, entry in entries:
        yield (*before, key)
        yield from places(entry, (*before, key))


@pytest.mark.slow
def test_a_configuration_with_a_wrong_value_anywhere_loads_the_network_or_is_an_error_in_a_sentence(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path)
    text = (folder / "config.json").read_text()
    read = {key: json.loads(text)[key] for key in ("searchkit", "normalisation", "input")}
    refused = set[tuple[Any, ...]]()
    for place in places(read):
        for wrong in WRONG:
            config = json.loads(text)
            *before, last = place
            functools.reduce(lambda inside, key: inside[key], before, config)[last] = wrong
            (tmp_path / "config.json").write_text(json.dumps(config))
            try:
                assert isinstance(searchkit.load_network(tmp_path), nn.Module)
            except SearchkitError:
                refused.add(place)
    assert {("searchkit",), ("searchkit", "code"), ("searchkit", "space", "name"), ("normalisation", "mean")} <= refused


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("n_classes", 10**12, "n_classes of its space has the number 1e+12"),
        ("n_classes", 2**20, "model.safetensors has "),
        ("options", {"width": 8, "layers": [10**12], "resolution": None}, "options of its space has the number 1e+12"),
    ],
)
def test_no_network_is_built_that_is_larger_than_its_weights(
    key: str, value: object, said: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["searchkit"]["space"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SearchkitError, match=re.escape(said)):
        searchkit.load_network(tmp_path)


def test_damaged_weights_are_an_error_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for damaged in (
        b"", whole[:100], whole[:-1], b"\xff" * 8 + whole[8:], whole[:8] + b"[]" + whole[10:],
        whole[:8] + b" " * header + whole[8 + header :], (2).to_bytes(8, "little") + b"{}",
    ):  # fmt: skip
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(SearchkitError, match=r"model\.safetensors"):
            searchkit.load_network(tmp_path)


@pytest.mark.slow
def test_the_command_line_writes_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = searchkit.load_data("digits", limit=100)
    searchkit.run("random", space=searchkit.load_space("macro", width=8), data=data, budget=1, epochs=1, name="s")
    assert main(["export", "s", "0", "small", "--format", "hub"]) == 0
    assert str(tmp_path / "small" / "README.md") in capsys.readouterr().out
    assert main(["export", "s", "0", "small", "--format", "hub"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_any_text_stands_in_the_front_matter_and_the_card_as_it_is() -> None:
    reader = pytest.importorskip("yaml")
    given = {
        "a": "x: y # z",
        "b": ["1", 2.5, True, None, "é\n", "\x1b[2J\x7f\x9b\u200b"],
        "c": [{"d": "- e", "f": {"g": []}}],
        "h": {},
    }
    assert reader.safe_load("\n".join(yaml(given))) == given
    assert "\x1b" not in "\n".join(yaml(given))
    assert plain("\x1b[31mred") == r"\\x1b\[31mred"
    assert plain("a|b `c`\n<d> _e_ f_g") == r"a\|b \`c\` \<d> \_e\_ f_g"


@pytest.mark.slow
def test_sentences_and_rows_of_data_frames_come_with_what_makes_them_inputs(tmp_path: Path) -> None:
    sentences = (["good film", "bad film", "good day", "bad day"] * 15, ["p", "n"] * 30)
    texts = searchkit.load_data(sentences, kind="tokens")
    read = searchkit.run("random", data=texts, budget=1, epochs=1, storage="memory")
    read.export(0, tmp_path / "texts", format="hub")
    text = (tmp_path / "texts" / "README.md").read_text()
    assert 'pipeline_tag: "text-classification"' in text
    assert "Sentences become tokens by `words` of `input` in config.json" in text
    assert "film" in json.loads((tmp_path / "texts" / "config.json").read_text())["input"]["words"]
    with torch.inference_mode():
        assert torch.equal(searchkit.load_network(tmp_path / "texts")(texts.test.x), read.build(0)(texts.test.x))

    frame = pd.DataFrame({"a": np.arange(60.0), "b": ["x", "y", "z"] * 20})
    rows = searchkit.run(
        "random", data=(frame, np.arange(60) % 2), budget=1, epochs=1, storage=tmp_path / "runs", name="f"
    )
    assert "encoder.joblib" in [path.name for path in rows.export(0, tmp_path / "frame", format="hub")]
    made = joblib.load(tmp_path / "frame" / "encoder.joblib").transform(frame)
    assert np.array_equal(made, rows.encoder.transform(frame))
    assert "become features by `encoder.joblib`" in (tmp_path / "frame" / "README.md").read_text()
