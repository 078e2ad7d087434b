"""The files around the package: where they are, and what of them git keeps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str) -> ModuleType:
    """A script of packaging/ as a module, which is no package."""
    spec = importlib.util.spec_from_file_location(f"packaging_{name}", ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def checkout() -> Path:
    """The repository; the test is skipped where the files are no git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to the repository is known in a git checkout only")
    return ROOT
