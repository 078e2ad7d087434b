"""Networks of equal topology trained as one (benchmarks/gpu/): what each gets is what it would get alone."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.replayed import replayed
from torch import nn

import searchkit
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.space import NetworkSpace
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, train

CPU = torch.device("cpu")
SEEDS = (10, 11, 12)
RECIPE = Recipe(epochs=2, batch_size=64, lr=0.02, weight_decay=0.05, precision="float32")
CODES = {
    "nas-bench-201": [3, 1, 4, 0, 2, 3],  # with both convolutions, a skip connection and a pool
    "macro": [1, 2, 0, 1, 0, 0, 0, 0],  # with depthwise convolutions
    "mobilenet": [0, *[0] * 8] * 5,  # with convolutions that have a bias
}
OPTIONS: dict[str, dict[str, Any]] = {
    "nas-bench-201": {"width": 4, "cells": 1},
    "macro": {"width": 4},
    "mobilenet": {"width": 0.1},
}


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return importlib.import_module("benchmarks.gpu.stacked_training")


@pytest.fixture(scope="module")
def data() -> Data:
    """241 digits to learn from: three batches an epoch, shifted by up to a pixel."""
    return load_data("digits", limit=400)


def space_of(name: str, data: Data) -> NetworkSpace:
    return searchkit.load_space(name, input_shape=data.input_shape, **OPTIONS[name])


def seeded(space: NetworkSpace, code: list[int]) -> list[nn.Module]:
    return [build_seeded(space, code, seed) for seed in SEEDS]


def apart(first: nn.Module, second: nn.Module) -> float:
    """The largest difference of two networks' weights and statistics."""
    others = second.state_dict()
    return max(float((value.double() - others[name]).abs().max()) for name, value in first.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", CODES)
def test_each_network_is_trained_as_it_would_be_alone(stacked: Any, data: Data, name: str) -> None:
    space = space_of(name, data)
    before, alone, together = (seeded(space, CODES[name]) for _ in range(3))
    found = [train(one, data, recipe=RECIPE, seed=seed, device=CPU) for one, seed in zip(alone, SEEDS, strict=True)]
    accuracies = stacked.stacked_training(together, data, RECIPE, CPU, SEEDS)
    for start, one, other in zip(before, alone, together, strict=True):
        # Mostly 2e-7, sums in another order; where a ReLU is at its corner, as far as weights 1e-7 apart end: 2e-5.
        assert apart(one, other) < 5e-4
        assert apart(one, start) > 0.02
    np.testing.assert_allclose(accuracies, [one.accuracy for one in found], atol=1.01 / len(data.val))


@pytest.mark.slow
def test_a_step_can_be_recorded(stacked: Any, data: Data) -> None:
    space = space_of("nas-bench-201", data)
    eager, recorded = (seeded(space, CODES["nas-bench-201"]) for _ in range(2))
    recipe = Recipe(epochs=3, batch_size=100, precision="float32")
    accuracies = stacked.stacked_training(eager, data, recipe, CPU, SEEDS)
    again = stacked.stacked_training(recorded, data, recipe, CPU, SEEDS, replayed)
    assert accuracies.tolist() == again.tolist()
    assert [apart(one, other) for one, other in zip(eager, recorded, strict=True)] == [0, 0, 0]


@pytest.mark.slow
def test_a_network_that_diverges_leaves_the_others_alone(stacked: Any, data: Data) -> None:
    space = space_of("nas-bench-201", data)
    sound, broken = (seeded(space, CODES["nas-bench-201"]) for _ in range(2))
    with torch.no_grad():
        next(broken[1].parameters()).fill_(torch.nan)
    before = stacked.stacked_training(sound, data, RECIPE, CPU, SEEDS)
    found = stacked.stacked_training(broken, data, RECIPE, CPU, SEEDS)
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[[0, 2]].tolist() == before[[0, 2]].tolist()


def test_batch_norm_of_several_networks_is_that_of_each_and_keeps_bfloat16(stacked: Any) -> None:
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(3) for _ in range(2)]
    for norm in norms:
        nn.init.normal_(norm.weight)
    x = torch.randn(2, 8, 3, 4, 4).bfloat16()
    learned, kept = torch.func.stack_module_state(norms)
    folded = copy.deepcopy(norms[0])
    stacked.fold_channels(folded)
    found = torch.vmap(lambda state, x: torch.func.functional_call(folded, state, x))(learned | kept, x)
    wanted = torch.stack([norm(own) for norm, own in zip(norms, x, strict=True)])
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted)
    assert torch.equal(kept["running_var"], torch.stack([norm.state_dict()["running_var"] for norm in norms]))


def test_what_cannot_be_stacked_is_refused(stacked: Any, data: Data) -> None:
    space = space_of("nas-bench-201", data)
    networks = seeded(space, CODES["nas-bench-201"])
    with pytest.raises(ValueError, match="only networks of equal topology"):
        stacked.stacked_training([*networks[:2], space.build([3, 1, 4, 0, 2, 2])], data, RECIPE, CPU, SEEDS)
    with pytest.raises(ValueError, match="3 networks take 3 seeds; got 2"):
        stacked.stacked_training(networks, data, RECIPE, CPU, SEEDS[:2])
    with pytest.raises(ValueError, match="with SGD"):
        stacked.stacked_training(networks, data, Recipe(optimiser="adamw", lr=0.005), CPU, SEEDS)


@pytest.mark.slow
def test_different_candidates_have_different_topologies(stacked: Any) -> None:
    for name in CODES:
        space = searchkit.load_space(name)
        codes = space.sample(40, np.random.default_rng(0))
        found = stacked.topologies(space, codes)
        assert sorted(found.values()) == sorted(np.unique(codes, axis=0, return_counts=True)[1])
