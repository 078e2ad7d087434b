"""The packages for OptunaHub's registry have its form, are loaded from a registry, and their examples run."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import optunahub
import pytest
import yaml
from helpers.repository import ROOT

import searchkit
from searchkit.errors import UnknownNameError
from searchkit.integrations.optuna import SearchkitSampler

PACKAGES = ROOT / "packaging" / "optunahub" / "package"
NAMES = ("samplers/searchkit_bo", "benchmarks/nas_tables")

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a folder in the place of github.com, in which Optuna's registry has this repository's packages."""
    hub = tmp_path_factory.mktemp("hub")
    repository = hub / "optuna" / "optunahub-registry"
    for path in PACKAGES.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = repository / "package" / path.relative_to(PACKAGES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-q", "-m", "packages")):
        subprocess.run(["git", "-C", repository, *command], check=True)
    return hub.as_uri()


@pytest.fixture
def load(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """``optunahub.load_module`` as users call it, with git led to the local registry."""
    monkeypatch.setenv("OPTUNAHUB_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{registry}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield optunahub.load_module
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("package", NAMES)
def test_a_package_has_the_form_that_the_registry_asks_for(package: str) -> None:
    folder = PACKAGES / package
    _, header, text = (folder / "README.md").read_text().split("---\n", 2)
    said = yaml.safe_load(header)
    assert said.keys() == {"author", "title", "description", "tags", "optuna_versions", "license"}
    assert said["license"] == "MIT License"
    assert (folder / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) 2026 The searchkit authors\n")
    assert package.split("/")[0].removesuffix("s") in said["tags"]
    assert all(isinstance(tag, str) for tag in [*said["tags"], *said["optuna_versions"]])
    assert optuna.__version__ in said["optuna_versions"]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Abstract", "APIs", "Installation", "Example", "Others"]
    assert "searchkit-nas" in (folder / "requirements.txt").read_text().splitlines()
    assert f'optunahub.load_module("{package}")' in (folder / "example.py").read_text()


@pytest.mark.parametrize("package", NAMES)
def test_the_example_of_a_readme_names_what_the_package_has(package: str) -> None:
    module = optunahub.load_local_module(package, registry_root=str(PACKAGES))
    text = (PACKAGES / package / "README.md").read_text()
    used = set(re.findall(r"\)\.(\w+)\(", text))
    assert used == set(module.__all__)


def test_the_sampler_suggests_what_searchkits_own_suggests(load: Callable[[str], ModuleType]) -> None:
    def objective(trial: optuna.Trial) -> float:
        return (trial.suggest_float("x", -5, 5) - 1) ** 2 + trial.suggest_categorical("c", (0, 1))

    seen = []
    for sampler in (load(NAMES[0]).SearchkitBOSampler(seed=3), SearchkitSampler("bo", seed=3)):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=8)
        seen.append([trial.params for trial in study.trials])
    assert seen[0] == seen[1]


def test_a_problem_asks_for_the_choices_of_a_space_and_says_how_far_a_study_is_from_the_best(
    load: Callable[[str], ModuleType],
) -> None:
    problem = load(NAMES[1]).Problem("additive", n_choices=3, n_options=3)
    assert problem.metric_names == ["loss_1", "loss_2"]
    study = optuna.create_study(directions=problem.directions, sampler=optuna.samplers.BruteForceSampler())
    assert problem.regret(study) == float("inf")
    study.optimize(problem, n_trials=5)
    assert 0 < problem.regret(study) <= 1
    study.optimize(problem)
    assert len(study.trials) == 27
    assert problem.regret(study) == pytest.approx(0, abs=1e-12)


def test_a_network_without_a_value_is_a_failed_trial(load: Callable[[str], ModuleType]) -> None:
    problem = load(NAMES[1]).Problem("hidden-failure", n_choices=2)
    assert np.isnan(problem.evaluate({"choice_1": 9, "choice_2": 0})).all()
    assert problem.evaluate({"choice_1": 1, "choice_2": 1}) == [-2.0]
    study = optuna.create_study(directions=problem.directions)
    study.enqueue_trial({"choice_1": 9, "choice_2": 0})
    study.optimize(problem, n_trials=1)
    assert study.trials[0].state is optuna.trial.TrialState.FAIL


def test_a_table_that_there_is_not_is_answered_with_the_nearest_name(load: Callable[[str], ModuleType]) -> None:
    module = load(NAMES[1])
    assert set(module.Problem.available_tables) == set(searchkit.benchmarks.names())
    with pytest.raises(UnknownNameError, match="nas-bench-201"):
        module.Problem("nas-bench-210")


@pytest.mark.parametrize("package", NAMES)
@pytest.mark.usefixtures("load")
def test_the_example_of_a_package_runs(
    package: str, real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if package == NAMES[1]:
        monkeypatch.setenv("SEARCHKIT_DATA", str(real_data("nasbench201/nb201_cifar10.csv.gz").parents[1]))
    optimize = optuna.Study.optimize

    def few(study: optuna.Study, objective: Any, n_trials: int) -> None:
        optimize(study, objective, n_trials=min(n_trials, 5))

    monkeypatch.setattr(optuna.Study, "optimize", few)
    names = runpy.run_path(str(PACKAGES / package / "example.py"))
    assert len(names["study"].trials) == 5
    assert capsys.readouterr().out
