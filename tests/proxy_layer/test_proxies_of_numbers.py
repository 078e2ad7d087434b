"""Proxies that searchkit chooses itself are those that the space allows: block values need options to list."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from torch import nn

import searchkit
from searchkit import Choice, Float, NetworkSpace
from searchkit.errors import SpaceError
from searchkit.proxy_layer.setup import DEFAULT, IN_SEARCH, suiting


def build(choices: dict[str, float], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    width = int(choices["width"])
    return nn.Sequential(
        nn.Linear(input_shape[0], width), nn.ReLU(), nn.Dropout(choices["drop"]), nn.Linear(width, n_classes)
    )


SPACE = NetworkSpace(
    [Choice("width", (16, 24, 32, 64), ordered=True), Float("drop", 0.0, 0.5)], build, name="numbers", input_shape=(4,)
)
RNG = np.random.default_rng(0)
DATA = (RNG.normal(size=(90, 4)).astype(np.float32), RNG.integers(0, 2, 90))


def test_what_is_chosen_suits_the_space() -> None:
    assert suiting(IN_SEARCH, SPACE) == DEFAULT
    assert suiting(IN_SEARCH, searchkit.load_space("macro")) == IN_SEARCH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy .* has no score")  # so small a network has few signs
def test_the_default_set_works_on_a_space_of_numbers() -> None:
    result = searchkit.run("random", space=SPACE, data=DATA, proxies="default", budget=6, epochs=1, storage="memory")
    assert len(result.trials) == 6
    assert {"jacov", "naswot", "params"} <= set(result.signals.proxy)
    assert "mathnas" not in set(result.signals.proxy)


@pytest.mark.slow
def test_a_number_in_the_recipe_leaves_the_signals(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "searchkit")
    for given in ({"space": SPACE}, {"space": "tabular", "recipe": {"lr": Float("lr", 0.01, 0.1)}}):
        fixed = {"data": DATA, "strategy": "random", "budget": 20, "epochs": 1, "storage": "memory"}
        searchkit.run(**fixed, **given)
    said = [line for line in caplog.messages if line.startswith("proxies:")]
    assert len(said) == 2
    assert not [line for line in said if "could not be measured" in line]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy .* has no score")
def test_the_default_set_works_beside_a_function_of_the_user() -> None:
    result = searchkit.run(
        "random", space=SPACE, data=DATA, evaluate=lambda choices: {"loss": choices["width"] * choices["drop"]},
        objectives={"loss": "min"}, proxies="default", budget=6, storage="memory",
    )  # fmt: skip
    assert len(result.trials) == 6
    assert "mathnas" not in set(result.signals.proxy)


def test_who_names_block_values_is_told_why_not() -> None:
    with pytest.raises(SpaceError, match="block values need alternatives that can be listed, and 'drop'"):
        searchkit.run(space=SPACE, data=DATA, proxies=("mathnas",), budget=3, storage="memory")
    with pytest.raises(SpaceError, match="block values need alternatives that can be listed, and 'drop'"):
        searchkit.run(space=SPACE, data=DATA, proxies=["default", "mathnas"], budget=3, storage="memory")
