"""Notebooks are committed as a reader should find them: executed in order, small, and without traces of a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"/(home|root|tmp|work|Users)/|Warning:|Traceback")
LARGEST = 400_000  # bytes


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_of_a_size_that_github_shows(path: Path) -> None:
    nbformat.validate(read(path))
    assert (read(path)["nbformat"], read(path)["nbformat_minor"]) >= (4, 5)
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_from_top_to_bottom_and_has_its_pictures(path: Path) -> None:
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])
    assert not any(cell["metadata"] for cell in cells), "times of execution change with every run"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_has_no_errors_warnings_or_paths_of_a_machine(path: Path) -> None:
    for cell in read(path)["cells"]:
        for output in cell.get("outputs", ()):
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr"
            shown = {kind: text for kind, text in output.get("data", {}).items() if kind != "image/png"}
            assert not MACHINE.search(json.dumps([output.get("text", ""), shown]))


def test_every_notebook_stands_in_the_list_of_notebooks() -> None:
    listed = (NOTEBOOKS[0].parent / "README.md").read_text()
    assert [path.name for path in NOTEBOOKS if f"({path.name})" not in listed] == []
