"""The setting and the plain loop of benchmarks/gpu/: what its figures rest on, as far as a CPU can show it."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from searchkit.data.loading import load_data
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, train

CPU = torch.device("cpu")
GIVEN = {
    "tiny": False, "drawn": False, "networks": 3, "epochs": 2, "loaders": 10_000, "executor": None, "at_once": 2,
    "pairs": 2, "candidates": 4, "cifar": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def benchmark(name: str) -> Any:
    return importlib.import_module(f"benchmarks.gpu.{name}")


@pytest.fixture
def tiny() -> Any:
    return benchmark("setting").setting(argparse.Namespace(**(GIVEN | {"tiny": True})), CPU)


def test_a_part_of_cifar_10_is_not_taken_for_it_and_loaders_are_not_more_than_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(100) % 10
    x = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    names = np.array([f"class {i}" for i in range(10)])
    np.savez(tmp_path / "cifar10_subset.npz", x_train=x, x_test=x, y_train=labels, y_test=labels, class_names=names)
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path))
    module = benchmark("setting")
    few = module.drawn_images(400, 100, side=8)
    monkeypatch.setattr(module, "drawn_images", lambda n_train, n_test: few)  # so many take seconds
    found = module.setting(argparse.Namespace(**GIVEN), CPU)
    assert found.data.name == "drawn"
    assert "cifar-10-subset-100 is a part of CIFAR-10" in capsys.readouterr().out
    assert found.loaders <= (os.cpu_count() or 1)


def test_networks_are_distinct_have_a_convolution_and_are_the_same_in_every_run(tiny: Any) -> None:
    codes = tiny.codes(50)
    assert len(np.unique(codes, axis=0)) == 50
    assert np.isin(codes, (2, 3)).any(axis=1).all()
    np.testing.assert_array_equal(tiny.codes(20), codes[:20])


@pytest.mark.thorough
def test_accuracies_of_a_search_come_in_the_order_of_the_networks(tiny: Any) -> None:
    training = benchmark("training")
    setting = dataclasses.replace(tiny, data=load_data("digits"))  # which they learn at different speed
    codes = setting.codes(3)
    forwards, _ = training._searched(setting, codes, 2)
    backwards, _ = training._searched(setting, codes[::-1], 2)
    assert len(set(forwards)) > 1
    np.testing.assert_array_equal(forwards, backwards[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("tuned", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_the_plain_loop_trains_as_well_as_searchkit_does(tuned: bool) -> None:
    module = benchmark("setting")
    data, recipe = load_data("digits"), Recipe(epochs=8)
    space = module.nas_bench_201(width=8, cells=1, input_shape=data.input_shape)
    code = [3, 1, 3, 0, 2, 3]
    wanted = train(build_seeded(space, code, 0), data, recipe=recipe, device=CPU).accuracy
    network = build_seeded(space, code, 0)
    found = benchmark("training").plain_training(network, data, recipe, CPU, 0, 0, tuned)
    assert wanted > 0.85
    assert abs(found - wanted) < 0.06
    assert not torch.backends.cudnn.benchmark


def test_flop_of_training_are_six_a_mac(tiny: Any) -> None:
    codes = tiny.codes(1)
    macs = benchmark("training").space_counts(tiny.space, codes)["macs"][0]
    n_batches = len(tiny.data.train) // 128
    assert benchmark("training")._flop(tiny, codes, Recipe(epochs=3)) == 6 * macs * n_batches * 128 * 3
