"""The README shows only what works: its Python runs as it stands, with smaller budgets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import ray
from helpers.readers import a_network, compress_less, search_less
from ray import tune
from sklearn.datasets import load_breast_cancer

import searchkit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray, which some blocks start
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    search_less(monkeypatch, evaluations=6, workers=1)
    compress_less(monkeypatch)
    few = tune.TuneConfig
    monkeypatch.setattr(tune, "TuneConfig", lambda **given: few(**(given | {"num_samples": 2})))
    X, y = load_breast_cancer(return_X_y=True)
    digits = searchkit.load_data("digits", limit=300).train
    names = {
        "X": digits.x.numpy()[:, 0],
        "images": digits.x.numpy().astype(np.float32),
        "y": digits.y.numpy(),
        "model": a_network(),
        "codes": searchkit.load_space("mobilenet").sample(50, np.random.default_rng(0)),
        "accuracies": np.random.default_rng(0).random(50),
        "X_train": X[:300],
        "X_test": X[300:],
        "y_train": y[:300],
        "y_test": y[300:],
        "objective": lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 5)),
        "trainable": lambda config: {"loss": config["lr"]},
        "my_function": lambda choices: {"loss": choices["lr"], "seconds": choices["trees"]},
    }
    assert len(BLOCKS) == 12
    try:
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), names)
    finally:
        ray.shutdown()
    assert len(names["study"].trials) == 50
    assert len((tmp_path / "search.jsonl").read_text().splitlines()) >= 2
    assert "searchkit study" in (tmp_path / "study.html").read_text()
    assert names["best"].status == "optimal"
    assert (tmp_path / "camera.onnx").exists()


def test_own_data_takes_about_ten_lines_and_an_own_space_under_twenty() -> None:
    own_data, own_space, *_ = BLOCKS
    assert len(own_data.strip().splitlines()) <= 14
    assert len(own_space.strip().splitlines()) < 20


def test_a_pipeline_of_another_library_takes_under_ten_lines() -> None:
    for library in ("sklearn", "optuna", "ray"):
        block = next(block for block in BLOCKS if f"searchkit.integrations.{library} import" in block)
        assert len([line for line in block.splitlines() if line.strip()]) < 10


def test_the_two_commands_come_first_and_are_make_targets() -> None:
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[0]
    assert re.findall(r"^make \w+", commands, re.MULTILINE) == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_every_file_that_the_readme_links_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
