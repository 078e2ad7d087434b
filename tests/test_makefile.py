"""Each version of Python has an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


# `make test` tells what it starts how it was called, and says PYTHON and VENV where they were given.
OURS = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "PYTHON", "VENV")


def _make(folder: Path, *given: str) -> subprocess.CompletedProcess[str]:
    """``make`` in a folder that has nothing but the files it reads, as if called by hand."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(["make", *given], cwd=folder, env=environment, capture_output=True, text=True)


def _runs(folder: Path, *given: str, goal: str = "quick") -> str:
    """What ``make`` would do for a goal."""
    ended = _make(folder, "--dry-run", goal, *given)
    return ended.stdout + ended.stderr


def _python(path: Path, version: str) -> Path:
    """A program that answers as a Python of some version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_the_usual_python_has_the_usual_environment(tmp_path: Path) -> None:
    said = _runs(tmp_path)
    assert "python3 -m venv .venv\n" in said
    assert ".venv/bin/python -m pytest" in said


@pytest.mark.parametrize(
    ("goal", "chosen"),
    [("quick", ' -m "not slow and not thorough"\n'), ("test", ' -m "not thorough"\n'), ("thorough", "-reorder\n")],
)
def test_each_goal_of_the_tests_runs_more_than_the_one_before(tmp_path: Path, goal: str, chosen: str) -> None:
    assert _runs(tmp_path, goal=goal).endswith(chosen)


def test_another_version_has_one_of_its_own(tmp_path: Path) -> None:
    other = _python(tmp_path / "other", "3.99")
    said = _runs(tmp_path, f"PYTHON={other}")
    assert f"{other} -m venv .venv-3.99\n" in said
    assert ".venv-3.99/bin/python -m pytest" in said
    assert ".venv/bin" not in said


def test_the_version_that_the_usual_environment_has_shares_it(tmp_path: Path) -> None:
    _python(tmp_path / ".venv" / "bin" / "python", "3.99")
    said = _runs(tmp_path, f"PYTHON={_python(tmp_path / 'other', '3.99')}")
    assert ".venv/bin/python -m pytest" in said
    assert ".venv-3.99" not in said
    assert ".venv-" in _runs(tmp_path, f"PYTHON={sys.executable}")


def test_an_environment_that_is_named_is_taken(tmp_path: Path) -> None:
    other = _python(tmp_path / "other", "3.99")
    assert "mine/bin/python -m pytest" in _runs(tmp_path, f"PYTHON={other}", "VENV=mine")


def test_a_python_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    assert "PYTHON=no-such-python cannot be run: searchkit needs Python 3.11 or newer" in _runs(
        tmp_path, "PYTHON=no-such-python"
    )


def test_a_python_that_is_too_old_is_one_sentence_before_anything_is_made(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\necho 3.9\ncase "$2" in *"3, 11"*) exit 1;; esac\n')
    old.chmod(0o755)
    ended = _make(tmp_path, "demo", f"PYTHON={old}")
    assert ended.returncode != 0
    assert "searchkit needs Python 3.11 or newer, and " in ended.stdout
    assert "is 3.9: say which, as in make demo PYTHON=python3.12" in ended.stdout
    assert not list(tmp_path.glob(".venv*"))
