"""Data that a study names are loaded again as they were: limited, resized, split by the same seed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.photos import folder

import searchkit
from searchkit.cli import main
from searchkit.data.loading import load_data
from searchkit.results.recorded_data import data_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))


def test_data_know_how_they_were_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_data().loaded == {"data": "digits"}
    limited = load_data("digits", limit=200, seed=3, augment="none")
    assert limited.loaded == {"data": "digits", "limit": 200, "seed": 3, "augment": "none"}
    photos = folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    small = load_data("photos", size=(8, 9), resize="pad", name="small")
    assert small.loaded == {"data": str(photos), "size": (8, 9), "resize": "pad", "name": "small"}
    np.savez(tmp_path / "own.npz", X=np.zeros((30, 8, 8)), y=np.arange(30) % 3)
    assert load_data("own.npz").loaded == {"data": str(tmp_path / "own.npz")}
    assert load_data((np.zeros((30, 4)), np.arange(30) % 3)).loaded is None
    for data in (limited, small):
        assert load_data(**data.loaded).fingerprint == data.fingerprint
        assert pickle.loads(pickle.dumps(data)).loaded == data.loaded
        assert data.without_test().loaded == data.loaded


CALL: dict[str, Any] = {"space": "macro", "epochs": 1, "budget": 1, "proxies": (), "progress": False}


@pytest.mark.slow
def test_a_study_of_such_data_is_shown_resumed_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", n=6)
    given = {"limited": load_data("digits", limit=150), "small": load_data("photos", size=8, augment="none")}
    for name, data in given.items():
        result = searchkit.run("random", data=data, name=name, **CALL)
        loaded = searchkit.load(name)
        assert data_of(loaded).fingerprint == loaded.context["fingerprint"]
        page = result.report(tmp_path / "page.html").read_text()
        assert "StudyMismatch" not in page
        assert main(["resume", name, "--budget", "2"]) == 0
        assert len(searchkit.load(name).history) == 2
    page = searchkit.load("limited").report(tmp_path / "page.html").read_text()
    assert (
        "data=searchkit.load_data(&#x27;digits&#x27;, limit=150)" in page
        or "load_data(&quot;digits&quot;, limit=150)" in page
    )


@pytest.mark.slow
def test_options_of_the_data_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", n=8)
    options = ["--data", "photos", "--data-option", "size=8", "--data-option", "limit=20"]
    asked = [
        "--space",
        "macro",
        "--epochs",
        "1",
        "--budget",
        "1",
        "--workers",
        "1",
        "--name",
        "one",
        "--proxies",
        "none",
    ]
    assert main(["run", *options, *asked, "--split-seed", "2"]) == 0
    found = data_of(searchkit.load("one"))
    assert found.fingerprint == load_data("photos", size=8, limit=20, seed=2).fingerprint
    assert main(["score", *options, "--space", "macro", "--n", "2", "--proxies", "params"]) == 0
    capsys.readouterr()
    for option, said in (
        ("side=8", "--data-option is NAME=VALUE, of limit"),
        ("size", "NAME=VALUE"),
        ("sise=8", "'size'?"),
    ):
        assert main(["run", *options, "--data-option", option, *asked]) == 2
        assert said in capsys.readouterr().err
