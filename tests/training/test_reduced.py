"""Reduced networks: fewer channels, cells and pixels, as far as a space has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from searchkit import Choice, NetworkSpace
from searchkit.errors import SearchkitError
from searchkit.space.recipe_space import RecipeSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.spaces.tabular import tabular
from searchkit.training.reduced import Reduction

CELL = [3, 1, 3, 2, 3, 4]


def shapes(space: NetworkSpace, code: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in space.build(np.array(code)).parameters()]


def test_networks_are_those_of_the_smaller_space() -> None:
    small = nas_bench_201(width=4, cells=1, input_shape=(3, 16, 16))
    reduced = Reduction(width=0.5, cells=1, resolution=16).of(nas_bench_201(width=8, cells=3))
    assert shapes(reduced, CELL) == shapes(small, CELL)
    assert reduced.input_shape == (3, 16, 16)
    assert reduced.names == small.names
    chosen = Reduction(width=0.5, cells=1).of(nas_bench_201(width=(8, 16), cells=3))
    assert shapes(chosen, [*CELL, 0]) == shapes(nas_bench_201(width=4, cells=1), CELL)
    layers = [1] * 8
    assert shapes(Reduction(width=0.5, cells=1).of(macro(width=16)), layers) == shapes(macro(width=8), layers)


@pytest.mark.slow
def test_a_resolution_of_the_space_itself_is_reduced_too() -> None:
    space = Reduction(resolution=16).of(mobilenet(resolution=64, input_shape=(3, 48, 64)))
    assert space.input_shape == (3, 16, 21)
    network = space.build(space.sample(1, np.random.default_rng(0))[0])
    seen: list[tuple[int, ...]] = []
    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    stem.register_forward_hook(lambda module, args, output: seen.append(tuple(args[0].shape[2:])))
    network(torch.zeros(2, 3, 16, 21))
    assert seen == [(16, 16)]


def test_nothing_is_enlarged_and_what_a_space_does_not_have_is_left() -> None:
    space = nas_bench_201(width=8, cells=1, input_shape=(3, 8, 8))
    reduced = Reduction(width=1, cells=3, resolution=32).of(space)
    assert (shapes(reduced, CELL), reduced.input_shape) == (shapes(space, CELL), space.input_shape)
    table = tabular(input_shape=(7,))
    assert Reduction(cells=1, resolution=2).of(table).input_shape == (7,)
    settings = RecipeSpace(nas_bench_201(width=8, cells=2), [Choice("lr", (0.1, 0.2))])
    half = Reduction(width=0.5, cells=1).of(settings)
    assert half.names == settings.names
    assert shapes(half, [*CELL, 1]) == shapes(nas_bench_201(width=4, cells=1), CELL)


def fixed(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, choices["filters"], 3), nn.Flatten(), nn.Linear(choices["filters"] * 900, n_classes)
    )


def test_a_space_of_networks_for_one_size_keeps_it() -> None:
    space = NetworkSpace([Choice("filters", (2, 4))], fixed)
    assert Reduction(width=0.5, resolution=16).of(space).input_shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"width": 0}, "width is a factor above 0 and at most 1, or None for all channels; not 0"),
        ({"width": 2.0}, "not 2.0"),
        ({"width": True}, "not True"),
        ({"cells": 0}, "cells is a whole number of at least 1, or None for all; not 0"),
        ({"resolution": 16.5}, "resolution is a whole number of at least 1, or None for all; not 16.5"),
    ],
)
def test_what_is_out_of_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        Reduction(**given)
