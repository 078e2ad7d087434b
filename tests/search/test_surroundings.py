"""Paths mean what they meant when they were given, whatever a user's code does to the process meanwhile."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.marks import slow_if
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.errors import SearchkitError
from searchkit.integrations.jsonlines import JSONLines

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs umask and signals of POSIX")

SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder and the working folder at the start; at the end the process is as before."""
    folder, mask, handlers = os.getcwd(), os.umask(0o022), {number: signal.getsignal(number) for number in SIGNALS}
    environment = dict(os.environ)
    home = tmp_path / "home"
    home.mkdir()
    os.environ["HOME"] = str(home)
    os.chdir(home)
    try:
        yield home
    finally:
        os.chdir(folder)
        os.umask(mask)
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def upset() -> None:
    """What a user's code may do to its process."""
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)
    os.environ["HOME"] = "/nonexistent"
    os.umask(0o777)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    np.random.seed(0)  # noqa: NPY002


def loss(choices: dict[str, Any]) -> dict[str, float]:
    upset()
    return {"loss": choices["i"]}


def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    upset()
    n_inputs = int(np.prod(input_shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, choices["i"]), nn.ReLU(), nn.Linear(choices["i"], n_classes))


def files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o600 == 0o600 for path in found), "the mask of new files is the caller's"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("start", ["", "~/"])
@pytest.mark.parametrize(
    "storage",
    slow_if(
        lambda storage: storage not in ("runs", None),
        [None, "runs", "runs/all.journal", "sqlite:///{}all.db", "memory"],
    ),
)
def test_a_search_of_a_function_keeps_its_files_where_they_were_meant(
    storage: str | None, start: str, home: Path
) -> None:
    given = storage.format(start) if storage and "{" in storage else f"{start}{storage}"
    given = storage if storage in (None, "memory") else given  # type: ignore[assignment]
    lines = JSONLines(f"{start}logs/lines.jsonl")
    result = searchkit.run(
        "random", space=Space([Choice("i", range(9))]), evaluate=loss, objectives={"loss": "min"}, budget=5,
        storage=given, name="s", time_limit=60, callbacks=[lines],
    )  # fmt: skip
    assert len(result.front) == 1
    os.environ["HOME"] = str(home)
    written = result.report("~/page.html")
    assert written == home / "page.html"
    result.plot("~/front.svg")
    os.chdir(home)
    names = {str(path.relative_to(home)) for path in files(home)}
    assert names >= {"page.html", "front.svg", "logs/lines.jsonl"}
    assert len((home / "logs/lines.jsonl").read_text().splitlines()) == 7
    if storage != "memory":
        assert searchkit.load("s", given).history.equals(result.history)
        assert list(searchkit.list_studies(given)["study"]) == ["s"]
    assert {path.parts[0] for path in map(Path, names)} - {".cache", ".config"} <= {  # but for matplotlib's
        "page.html", "front.svg", "logs", "runs", "searchkit-runs", "all.db", ".all.db.s.driver",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "start"), [(None, ""), (None, "~/"), pytest.param(1, "~/", marks=pytest.mark.thorough)]
)
def test_a_search_of_networks_keeps_its_weights_and_exports_where_they_were_meant(
    start: str, executor: int | None, home: Path
) -> None:
    rng = np.random.default_rng(0)
    np.savez("data.npz", X=rng.normal(size=(60, 4)).astype("float32"), y=np.arange(60) % 2)
    space = NetworkSpace([Choice("i", (2, 3, 4))], build, input_shape=(4,))
    result = searchkit.run(
        "random", space=space, data=f"{start}data.npz", epochs=1, budget=3, storage=f"{start}runs", name="n",
        executor=executor,
    )  # fmt: skip
    os.environ["HOME"] = str(home)
    result.build(0)  # which upsets this process again
    os.environ["HOME"] = str(home)
    exported = result.export(0, "~/best")
    os.umask(0o022)
    assert exported == [home / f"best{ending}" for ending in (".onnx", ".safetensors", ".json")]
    os.chdir(home)
    assert any(path.parent == home / "runs/n.networks" for path in files(home))
    again = searchkit.load("n", "runs", space=space)
    upset()
    again.build(0)


@pytest.mark.slow
def test_the_command_line_expands_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.savez("data.npz", X=rng.normal(size=(60, 4)).astype("float32"), y=np.arange(60) % 2)
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    search = [
        "run",
        "--strategy",
        "random",
        "--data",
        "~/data.npz",
        "--storage",
        "~/runs",
        "--name",
        "n",
        "--budget",
        "2",
    ]
    assert main([*search, "--epochs", "1", "--workers", "1", "--no-baselines", "--plot", "~/front.png"]) == 0
    assert main(["show", "n", "--storage", "~/runs", "--report", "~/page.html"]) == 0
    assert main(["export", "n", "0", "~/best", "--storage", "~/runs"]) == 0
    assert main(["list", "--storage", "~/runs"]) == 0
    assert {"front.png", "page.html", "best.onnx", "runs"} <= {path.name for path in home.iterdir()}
    assert not any((home / "elsewhere").iterdir())


def test_benchmarks_and_named_data_expand_home(home: Path) -> None:
    os.environ["SEARCHKIT_DATA"] = "~/files"
    for call in (
        lambda: searchkit.load_data("fashion-mnist"),
        lambda: searchkit.benchmarks.load("ofa-mobilenet"),
        lambda: searchkit.benchmarks.load("ofa-mobilenet", folder="~/files"),
    ):
        with pytest.raises(SearchkitError, match=str(home / "files")):
            call()


def test_a_path_that_means_nothing_is_refused_in_words(home: Path) -> None:
    result = searchkit.run(
        "random", space=Space([Choice("i", range(3))]), evaluate=lambda c: {"loss": c["i"]}, objectives={"loss": "min"},
        budget=2, storage="memory",
    )  # fmt: skip
    upset()
    with pytest.raises(SearchkitError, match="'page.html' is relative, and the working folder .* was deleted"):
        result.report("page.html")
    for call in (result.report, result.plot, lambda path: JSONLines(path)):
        with pytest.raises(SearchkitError, match="a path is a str or a pathlib.Path, not 5"):
            call(5)
