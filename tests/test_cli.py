"""The command line does what its help says, with exit codes, and JSON where output is data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit.cli import main

RUN = ["run", "--budget", "3", "--epochs", "1", "--workers", "1", "--name", "tiny", "--constraint", "params<=200000"]


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_a_search_is_run_shown_listed_resumed_and_exported(run, tmp_path: Path) -> None:
    code, out, _ = run(*RUN)
    assert code == 0
    assert "accuracy" in out
    assert "searchkit export tiny 0 best" in out
    assert (tmp_path / "searchkit-runs" / "tiny.png").stat().st_size > 10_000

    code, out, _ = run("show", "tiny", "--json")
    front = json.loads(out)
    assert code == 0
    assert front[0].keys() >= {"accuracy", "params", "test_accuracy", "trial"}
    assert all(row["params"] <= 200_000 for row in front)

    code, out, _ = run("show", "tiny", "--history", "--json", "--plot", "other.html")
    assert len(json.loads(out)) == 3
    assert "plotly" in (tmp_path / "other.html").read_text()[:5000].lower() or (tmp_path / "other.html").exists()

    code, out, _ = run("list", "--json")
    assert [(row["study"], row["candidates"]) for row in json.loads(out)] == [("tiny", 3)]

    code, out, _ = run("resume", "tiny", "--budget", "5", "--workers", "1", "--json")
    assert code == 0
    assert len(searchkit.load("tiny").history) == 5

    code, out, _ = run("export", "tiny", "0", "model", "--json")
    assert code == 0
    assert [Path(name).exists() for name in json.loads(out)] == [True] * 3


def test_help_names_every_command_and_what_is_registered(run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(command in out for command in ("run", "resume", "show", "export", "list", "exit codes"))
    code, out, _ = run("run", "--help")
    assert code == 0
    assert all(name in out for name in ("nas-bench-201", "macro", "nsga2", "tpe", "bo", "random", "--constraint"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--strategy", "nsga"], "unknown strategy 'nsga'"),
        (["run", "--constraint", "params<5"], "not of the form"),
        (["run", "--constraint", "params<=5"], "the lowest attainable is"),
        (["run", "--data", "nothere.npz"], "nothere.npz cannot be read"),
        (["run", "--space-option", "width=3"], "--space-option needs --space"),
        (["run", "--space", "macro", "--space-option", "with=3"], "cannot be made with {'with': 3}"),
        (["run", "--workers", "0"], "--workers must be at least 1"),
        (["show", "nothing"], "unknown study in searchkit-runs 'nothing'"),
        (["resume", "nothing"], "unknown study"),
        (["list", "--storage", "nowhere"], "'nowhere' is not there"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(run, arguments, words, tmp_path: Path) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("searchkit: ")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_or_none_is_exit_code_2(run) -> None:
    assert run("walk")[0] == 2
    assert run()[0] == 2


def test_an_empty_folder_lists_nothing(run) -> None:
    assert run("list")[1] == "no studies in searchkit-runs/ yet\n"
    assert json.loads(run("list", "--json")[1]) == []


def test_own_images_come_as_an_npz_file(run, tmp_path: Path) -> None:
    digits = searchkit.load_data("digits", limit=300)
    np.savez(tmp_path / "mine.npz", X=digits.train.x.numpy(), y=digits.train.y.numpy())
    code, out, _ = run("run", "--data", "mine.npz", "--budget", "1", "--epochs", "1", "--workers", "1", "--json")
    assert code == 0
    study = json.loads(out)["study"]
    code, _, err = run("resume", study)
    assert code == 2
    assert "begun in Python with its data given as objects" in err


def test_a_study_of_a_function_is_not_resumed_from_here(run, tmp_path: Path) -> None:
    space = searchkit.Space([searchkit.Choice("x", range(4))])
    searchkit.run("random", space=space, evaluate=lambda c: {"y": c["x"]}, objectives={"y": "min"}, budget=2, name="f")
    code, _, err = run("resume", "f")
    assert code == 2
    assert "its evaluate function" in err
    code, out, _ = run("show", "f")
    assert code == 0
    assert "2 scored" in out
