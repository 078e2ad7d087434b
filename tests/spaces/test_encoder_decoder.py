"""The space `encoder-decoder`: what its networks are, what they cost, and which of its rows are equal."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dense import masked
from helpers.marks import slow_if
from helpers.torchs_counts import flops
from torch import nn

import searchkit
from searchkit.costs.counts import space_counts
from searchkit.errors import SpaceError
from searchkit.plugins import load_space
from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.encoder_decoder import encoder_decoder
from searchkit.spaces.hybrid import hybrid
from searchkit.spaces.macro import macro
from searchkit.spaces.pyramid import WAYS, Pyramid, canonical_paths, path_names, resized
from searchkit.spaces.residual import residual
from searchkit.spaces.vit import vit

SHAPES: dict[str, Any] = {"input_shape": (1, 16, 12), "n_classes": (3, 16, 12)}
SPACES = {
    "residual": encoder_decoder(encoder=residual(width=(3, 4)), decoder=(4, 6), **SHAPES),
    "nas-bench-201": encoder_decoder(
        encoder="nas-bench-201", encoder_options={"width": 4, "cells": 1}, decoder=4, **SHAPES
    ),
    "vit": encoder_decoder(
        encoder=vit(width=(8, 12), depth=(1, 2), head=4), levels=1, decoder=(4, 6), steps=1, **SHAPES
    ),
    "hybrid": encoder_decoder(encoder=hybrid(width=(2, 3), layers=4, head=2), decoder=4, **SHAPES),
    "macro": encoder_decoder(
        encoder=macro(width=2, layers=(1, 2)), decoder=(4, 6), input_shape=(2, 33, 17), n_classes=(3, 33, 17)
    ),
    "mobilenet, larger maps": encoder_decoder(
        encoder="mobilenet", encoder_options={"width": 0.25}, decoder=4, input_shape=(2, 9, 11), n_classes=(2, 18, 22)
    ),
}
spaces = pytest.mark.parametrize("name", SPACES)


def filled(network: nn.Module) -> nn.Module:
    """In eval mode, with weights that depend on their shape alone."""
    with torch.no_grad():
        for parameter in network.parameters():
            n = parameter.numel()
            parameter.copy_(torch.linspace(-1, 1.3, n).view_as(parameter) / n**0.5)
    return network.eval()


@pytest.mark.slow
@spaces
def test_counts_are_torchs_own(name: str) -> None:
    space = SPACES[name]
    codes = space.sample(12 if name == "residual" else 4, np.random.default_rng(0))
    counted = space_counts(space, codes)
    for i, code in enumerate(codes):
        network = space.build(code).eval()
        assert flops(network, torch.zeros(1, *space.input_shape)) == 2 * counted["macs"][i]
        assert sum(p.numel() for p in network.parameters()) == counted["params"][i]


@pytest.mark.slow
@spaces
def test_counts_by_formula_are_those_of_networks_that_are_built(name: str) -> None:
    space = SPACES[name]
    assert space.count is not None
    codes = np.random.default_rng(5).integers(0, space.n_options, size=(5, space.n_choices))  # not canonical
    generic = copy.copy(space)
    generic.count = None
    found, built = space_counts(space, codes), space_counts(generic, codes)
    assert all((found[one] == built[one]).all() for one in ("params", "macs"))


def plain(choices: Any, input_shape: Any, n_classes: Any) -> nn.Module:
    return Plain(input_shape[0], choices["width"])


class Plain(nn.Module):
    """An encoder of two sizes."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 2, stride=2)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(x)
        return [first, self.second(first)]


@pytest.mark.parametrize("given", [None, lambda space, codes: {"params": codes[:, 0], "macs": codes[:, 0]}])
def test_an_encoder_that_does_not_say_what_shapes_its_maps_is_built_to_be_counted(given: Any) -> None:
    mine = NetworkSpace([Choice("width", [2, 5])], plain, count=given, input_shape=(1, 16, 12))
    space = encoder_decoder(encoder=mine, decoder=4, **SHAPES)
    assert space.count is None
    code = space.sample(1, np.random.default_rng(0))
    assert space_counts(space, code)["params"] == sum(p.numel() for p in space.build(code[0]).parameters())


@pytest.mark.slow
def test_levels_that_a_candidate_lacks_are_none_whatever_others_have() -> None:
    space = encoder_decoder(encoder=residual(width=4), decoder=4, input_shape=(1, 16, 16), n_classes=(2, 16, 16))
    rows = [{**space.decode(space.reference)[0], "stem": stem, "levels": 3} for stem in (1, 2)]
    fine, coarse = space.decode(space.check(space.encode(rows)))
    assert (fine["levels"], coarse["levels"]) == (3, 2)  # 16, 8 and 4 pixels; 8 and 4 pixels


@pytest.mark.parametrize("name", slow_if(lambda name: "mobilenet" in name or name == "hybrid", SPACES))
def test_every_part_of_a_network_is_used_and_learns(name: str) -> None:
    space = SPACES[name]
    for code in np.vstack([space.reference[:2], space.sample(4, np.random.default_rng(1))]):
        network = space.build(code)
        outputs = network(torch.randn(2, *space.input_shape))
        assert tuple(outputs.shape) == (2, *space.output_shape)
        outputs.square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        assert all(feature.ndim == 4 for feature in network.features(torch.randn(2, *space.input_shape)))  # type: ignore[operator]


@pytest.mark.slow
@spaces
def test_a_space_survives_pickling_and_is_made_again_by_its_options(name: str) -> None:
    space = SPACES[name]
    code = space.sample(1, np.random.default_rng(0))[0]
    x = torch.randn(2, *space.input_shape)
    again = load_space("encoder-decoder", **space.options).for_data(space.input_shape, space.output_shape)
    assert again.describe() == space.describe()
    for other in (pickle.loads(pickle.dumps(space)), again):
        assert torch.equal(filled(other.build(code))(x), filled(space.build(code))(x))


@pytest.mark.slow
@spaces
def test_the_canonical_form_is_idempotent_and_its_networks_are_the_same(name: str) -> None:
    space = SPACES[name]
    codes = np.random.default_rng(2).integers(0, space.n_options, size=(200, space.n_choices))
    once = space.canonical(codes)
    assert (space.canonical(once) == once).all()
    x = torch.randn(2, *space.input_shape, generator=torch.Generator().manual_seed(0))
    for code, row in zip(codes[:10], once, strict=False):
        answers = [
            filled(space.builder(space.decode(one[None])[0], space.input_shape, space.output_shape))(x)
            for one in (code, row)
        ]
        assert torch.allclose(*answers, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_rows_of_ways_are_equal_where_pyramids_are(steps: int) -> None:
    """With weights that are equal in all ways; of more than one step a part of all rows."""
    names = path_names(steps)
    codes = np.indices([len(WAYS)] * len(names)).reshape(len(names), -1).T
    codes = codes[np.random.default_rng(0).permutation(len(codes))[:40]]
    x = [torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side)) for side in (8, 4, 2)]

    def answer(row: np.ndarray) -> torch.Tensor:
        ways = {(to, at): WAYS[i] for (to, at, _), i in zip(names, row, strict=True) if WAYS[i] != "none"}
        pyramid = Pyramid([3, 3, 3], 4, ways, steps)
        made: torch.Tensor = filled(pyramid)(x)
        return made

    rows = canonical_paths(codes, steps)
    assert (canonical_paths(rows, steps) == rows).all()
    for code, row in zip(codes, rows, strict=True):
        assert torch.allclose(answer(code), answer(row), rtol=1e-4, atol=1e-4)


def test_maps_are_averaged_down_and_interpolated_up() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert resized(x, torch.zeros(1, 1, 2, 2)).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert resized(x, torch.zeros(1, 1, 8, 8)).shape[2:] == (8, 8)
    assert resized(x, torch.zeros(1, 1, 4, 4)) is x


@pytest.mark.slow
def test_levels_that_the_encoder_lacks_are_none() -> None:
    space = load_space("encoder-decoder").for_data((1, 4, 4), (2, 4, 4))
    assert space.depth < 3  # type: ignore[attr-defined]
    column = space.names.index("levels")
    found = {int(row[column]) for row in space.sample(200, np.random.default_rng(0))}
    assert found == set(range(space.depth))  # type: ignore[attr-defined]


def bare(choices: Any, input_shape: Any, n_classes: Any) -> nn.Module:
    return nn.Conv2d(input_shape[0], choices["width"], 3)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a space of tables": ({"encoder": "tabular"}, "encoder is a space of image networks"),
    "no space": ({"encoder": 3}, "encoder is a space of image networks, by name or as an object, not 3"),
    "levels": ({"levels": (0, 1)}, "takes each of levels as a whole number of at least 1; got 0"),
    "twice": ({"decoder": (8, 8)}, r"takes decoder as whole numbers, each once; got \(8, 8\)"),
    "steps": ({"steps": 0}, "takes steps as a whole number of at least 1"),
    "a choice of the name": (
        {"encoder": NetworkSpace([Choice("levels", [1, 2])], bare, name="mine")},
        "encoder 'mine' has a choice 'levels', which is one of the decoder's",
    ),
    "options of an object": ({"encoder": residual(), "encoder_options": {"width": 3}}, "that is given by name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused(case: str) -> None:
    given, said = BAD[case]
    with pytest.raises(SpaceError, match=said):
        encoder_decoder(**given)


def test_it_is_not_for_classes() -> None:
    with pytest.raises(SpaceError, match="have an output for each pixel, .* not .10,.: give data with masks or maps"):
        searchkit.run("random", space="encoder-decoder", data="digits", budget=1, storage="memory", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["exact", pytest.param("bo", marks=pytest.mark.thorough)])
def test_strategies_search_it(strategy: str, tmp_path: Path) -> None:
    result = searchkit.run(
        strategy, space=SPACES["residual"], data=masked(side=16), budget=6, epochs=1, storage=tmp_path, name="s",
        progress=False, proxies=(),
    )  # fmt: skip
    assert len(result.front)
    again = searchkit.load("s", storage=tmp_path)
    x = torch.zeros(2, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(again.build(0)(x), result.build(0)(x))


@pytest.mark.slow
def test_it_is_the_default_where_each_pixel_has_a_class() -> None:
    result = searchkit.run("random", data=masked(side=8), budget=1, epochs=1, storage="memory", progress=False)
    assert result.space.name == "encoder-decoder"
