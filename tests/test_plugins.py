"""A third party's package adds a strategy and a space by the same door as ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "searchkit-toy-plugin"
version = "1.0"
[project.entry-points."searchkit.strategies"]
first-come = "toy_plugin:FirstCome"
broken = "toy_plugin:Missing"
[project.entry-points."searchkit.spaces"]
toy = "toy_plugin:toy"
[tool.setuptools]
py-modules = ["toy_plugin"]
"""

MODULE = """\
from torch import nn
import searchkit


class FirstCome:
    def __init__(self, problem):
        self.problem, self.seen = problem, 0

    def ask(self, n, rng, pending):
        return self.problem.everything()[self.seen : self.seen + n]

    def tell(self, told):
        self.seen += len(told)


def build(choices, input_shape, n_classes):
    features = input_shape[0] * input_shape[1] * input_shape[2]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, choices["width"]), nn.ReLU(), nn.Linear(choices["width"], n_classes)
    )


def toy(widths=(4, 8, 16)):
    return searchkit.NetworkSpace(
        [searchkit.Choice("width", widths, ordered=True)], build, name="toy", options={"widths": list(widths)}
    )
"""

SCRIPT = """\
import searchkit
result = searchkit.run("first-come", space="toy", budget=3, epochs=2, storage="memory")
print(list(result.history["width"]), list(result.history["state"]))
try:
    searchkit.run("broken")
except searchkit.SearchkitError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_plug_in_package_is_installed_and_found(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "toy_plugin.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(site)}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, second = ended.stdout.splitlines()
    assert first == "[4, 8, 16] ['scored', 'scored', 'scored']"
    assert second.startswith("strategy 'broken' is registered as toy_plugin:Missing, which cannot be loaded")
