"""The layout is what the architecture says: imports point one way, and two folders have one name each."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "searchkit": ROOT / "searchkit",
    "searchkit.strategies": ROOT / "strategies",
    "searchkit.proxies": ROOT / "proxies",
}
BACKENDS = {"pymoo", "botorch", "gpytorch"}


def files() -> list[tuple[str, Path]]:
    found = []
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            if package != "searchkit" or not {"strategies", "proxies"} & set(path.relative_to(folder).parts):
                found.append((package, path))
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize(("package", "path"), files(), ids=lambda value: getattr(value, "stem", value))
def test_imports_point_one_way(package: str, path: Path) -> None:
    for name in imports(path):
        assert not under(name, "strategies", "proxies"), f"{path} imports {name}: it is searchkit.{name}"
        if path.parent.name == "integrations":  # may import anything, and nothing but users imports them
            continue
        if package == "searchkit":
            assert not under(name, "searchkit.strategies", "searchkit.proxies", *BACKENDS), f"the core imports {name}"
        if package == "searchkit.strategies":
            assert not under(name, "searchkit.proxies"), f"{path} imports {name}"
        if package == "searchkit.proxies":
            assert not under(name, "searchkit.strategies", *BACKENDS, "optuna"), f"{path} imports {name}"
        if path.stem != "cli":
            assert not under(name, "searchkit.cli", "searchkit.integrations"), f"{path} imports {name}"


@pytest.mark.parametrize("folder", ["strategies", "proxies"])
def test_the_top_level_folders_refuse_another_name(folder: str) -> None:
    ended = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"imported as searchkit.{folder}, not as {folder}" in ended.stderr


def test_importing_searchkit_loads_no_heavy_library() -> None:
    heavy = {"torch", "pandas", "sklearn", "optuna", "pymoo", "botorch", "matplotlib", "plotly", "scipy"}
    code = f"import sys, searchkit; print(sorted({heavy!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_no_module_stands_in_the_place_of_a_public_name() -> None:
    import searchkit

    modules = {path.stem for path in FOLDERS["searchkit"].iterdir()}
    assert not modules & set(searchkit.__all__)


def test_every_public_name_is_there() -> None:
    import searchkit

    for name in searchkit.__all__:
        assert getattr(searchkit, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = searchkit.serch
