"""Studies that earlier versions wrote: read, shown, and continued, or refused with what changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from old_functions import loss

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import StudyMismatchError

FORMAT_1 = Path(__file__).parent / "format_1"
SPACE = Space([Choice("a", (1, 2, 3, 4)), Choice("b", ("x", "y", "z"))], name="made-before")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(FORMAT_1, tmp_path / "studies")
    return tmp_path / "studies"


def test_it_is_read_and_shown(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert searchkit.list_studies(old).study.tolist() == ["function", "networks"]
    assert len(searchkit.load("function", old).history) == 6
    assert len(searchkit.load("networks", old).front) >= 1
    for name in ("function", "networks"):
        assert main(["show", name, "--storage", str(old), "--history"]) == 0
    assert "params" in capsys.readouterr().out


def test_a_search_of_a_function_is_continued(old: Path) -> None:
    before = searchkit.load("function", old).history
    result = searchkit.run(
        "bo", space=SPACE, evaluate=loss, objectives={"loss": "min"}, budget=9, storage=old, name="function", seed=2
    )
    assert len(result.history) == 9
    assert result.history.head(6)[["a", "b", "loss"]].equals(before[["a", "b", "loss"]])


def test_a_search_of_networks_is_continued_with_the_split_that_it_had(old: Path) -> None:
    call = {
        "space": searchkit.load_space("macro", width=4), "objectives": ("params", "macs"), "budget": 6,
        "storage": old, "name": "networks", "seed": 3,
    }  # fmt: skip
    with pytest.raises(StudyMismatchError, match=r"split_seed \(recorded 3, asked 0\)"):
        searchkit.run("nsga2", **call)
    assert len(searchkit.run("nsga2", **call, split_seed=3).history) == 6


@pytest.mark.slow
def test_the_command_line_goes_on_with_it(old: Path) -> None:
    assert main(["resume", "networks", "--storage", str(old), "--budget", "5"]) == 0
    assert len(searchkit.load("networks", old).history) == 5
