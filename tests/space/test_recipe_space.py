"""Networks and settings of their training as one space: a network is what it is without the settings."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.marks import slow_if
from torch import nn

from searchkit import Choice, NetworkSpace, load_space
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.cost_tables import count_tables
from searchkit.blocks.latency_tables import measure_latency
from searchkit.costs.counts import space_counts
from searchkit.data.loading import load_data
from searchkit.errors import SpaceError
from searchkit.plugins import names
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.mathnas import MathNAS
from searchkit.space.recipe_space import RecipeSpace, listed_choice, networks_of, settings_of, with_settings
from searchkit.surrogates.features import structure
from searchkit.training.reduced import narrower

LARGE = ("encoder-decoder", "mobilenet")
SETTINGS = (Choice("optimiser", ("sgd", "adamw")), Choice("lr", (0.02, 0.05, 0.1), ordered=True))


def own_build(choices: dict[str, int], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    width = choices["width"]
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * input_shape[0], width), nn.Linear(width, n_classes)
    )


def own() -> NetworkSpace:
    """A user's space, without anything that is not needed."""
    return NetworkSpace([Choice("width", (2, 3, 4), ordered=True)], own_build, name="own", input_shape=(1, 8, 8))


SPACES: dict[str, Callable[[], NetworkSpace]] = {"own": own} | {
    name: (lambda name=name: load_space(name)) for name in names("space")
}


def states(network: nn.Module) -> list[torch.Tensor]:
    return list(network.state_dict().values())


@pytest.mark.parametrize("name", slow_if(lambda name: name == "encoder-decoder", SPACES))
def test_the_networks_are_those_of_the_space(name: str) -> None:
    networks = SPACES[name]()
    outputs = (5, 16, 16) if name == "encoder-decoder" else 5
    shape = {"tabular": (20,), "sequence": (2, 30)}.get(name, (1, 16, 16))
    networks = networks.for_data(shape, outputs)
    space = RecipeSpace(networks, SETTINGS, {"lr": 0.05})
    codes = space.sample(12, np.random.default_rng(0))
    inner = networks.canonical(codes[:, : networks.n_choices])
    assert (space.of_networks(codes) == inner).all()
    assert len(np.unique(codes[:, -1])) == 3
    assert space.size == 6 * networks.size
    for cost, values in space_counts(space, codes).items():
        assert values.tolist() == space_counts(networks, inner)[cost].tolist()
    torch.manual_seed(0)
    first = states(space.build(codes[0]))
    torch.manual_seed(0)
    assert all(map(torch.equal, first, states(networks.build(inner[0]))))
    assert space.nodes == networks.nodes
    assert (space.graph_features is None) == (networks.graph_features is None)
    if networks.graph_features is not None and space.graph_features is not None:
        assert np.array_equal(space.graph_features(codes), networks.graph_features(inner))
    assert len(structure(space, codes)) == len(codes)
    assert space.reference.tolist() == [[*row, 0, 1] for row in networks.reference.tolist()]
    assert (space.canonical(space.reference) == space.reference).all()
    again = pickle.loads(pickle.dumps(space))
    assert space_counts(again, codes)["params"].tolist() == space_counts(networks, inner)["params"].tolist()
    assert networks_of(space) is networks
    assert networks_of(networks) is networks


@pytest.mark.parametrize("name", slow_if(lambda name: name in LARGE, [name for name in SPACES if name != "own"]))
def test_a_setting_is_a_block_of_its_own(name: str) -> None:
    space = RecipeSpace(SPACES[name](), SETTINGS)
    blocks = blocks_of(space)
    assert blocks.names[-2:] == ("optimiser", "lr")
    assert blocks.sizes[-2:] == (2, 3)
    codes = space.sample(20, np.random.default_rng(1))
    assert (blocks.codes(blocks.choose(codes)) == codes).all()


def test_costs_of_blocks_are_those_of_the_networks() -> None:
    networks = load_space("macro", width=4, layers=(1, 2), input_shape=(1, 8, 8))
    space = RecipeSpace(networks, SETTINGS)
    codes = space.sample(30, np.random.default_rng(2))
    for name, model in count_tables(space).items():
        counted = space_counts(networks, space.of_networks(codes))[name]
        assert np.allclose(model(blocks_of(space).choose(codes)), counted)
        assert [np.ptp(table) for table in model.tables[-2:]] == [0, 0]
    table = measure_latency(
        space, fitted=4, held_out=4, measure=lambda module, shape: 1.0 + sum(p.numel() for p in module.parameters())
    )
    assert [np.ptp(table) for table in table.model.tables[-2:]] == [0, 0]
    assert all(np.ptp(table) > 0 for table in table.model.tables[:-2])


def test_what_a_candidate_chose_and_what_it_may_leave_out() -> None:
    space = RecipeSpace(own(), SETTINGS, {"lr": 0.05, "optimiser": "unheard of"})
    assert space.settings_of(space.encode({"width": 3, "lr": 0.1, "optimiser": "adamw"})[0]) == {
        "optimiser": "adamw", "lr": 0.1
    }  # fmt: skip
    assert space.settings_of(space.encode({"width": 3})[0]) == {"optimiser": "sgd", "lr": 0.05}
    assert settings_of(own(), np.array([0])) == {}
    for same in (space.for_data((3, 9, 9), 4), space.over(own()), space.with_builder(own_build)):
        assert same.settings_of(same.encode({"width": 3})[0]) == {"optimiser": "sgd", "lr": 0.05}
    with pytest.raises(SpaceError, match="candidate 0 says nothing of choice 'width'"):
        space.encode({"lr": 0.1})


@pytest.mark.parametrize("space", [own(), RecipeSpace(own(), SETTINGS)])
def test_a_space_may_have_another_build_function(space: NetworkSpace) -> None:
    def build(choices: dict[str, int], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10 * choices["width"]))

    other = space.with_builder(build)
    code = space.encode({"width": 3})[0]
    assert [p.shape for p in other.build(code).parameters()] == [(30, 64), (30,)]
    assert space_counts(other, code[None])["params"].tolist() == [30 * 65]
    assert other.builder is build
    assert space.builder is own_build
    assert next(space.build(code).parameters()).shape == (3, 4)


def test_the_space_of_a_record_is_the_same() -> None:
    space = RecipeSpace(own(), (*SETTINGS, Choice("augment", (None, "none", "flip")), Choice("momentum", (0.9, 0.8))))
    again = with_settings(own(), space.describe())
    assert isinstance(again, RecipeSpace)
    assert again.settings == space.settings
    assert again.describe() == space.describe()
    assert with_settings(own(), own().describe()).describe() == own().describe()
    assert with_settings(space, space.describe()) is space


def test_a_narrower_space_keeps_the_settings() -> None:
    space = RecipeSpace(own(), SETTINGS, {"lr": 0.1})
    half = narrower(space, 0.5)
    code = space.encode({"width": 4})[0]
    assert settings_of(half, code) == settings_of(space, code)
    assert isinstance(half.build(code)[2], nn.Linear)
    assert half.build(code)[2].out_features == 2
    assert half.reference.shape == (0, 3)


def test_a_choice_of_the_networks_may_not_have_the_name_of_a_setting() -> None:
    taken = NetworkSpace([Choice("lr", (1, 2))], own_build, name="taken")
    with pytest.raises(SpaceError, match="recipe has options for 'lr', and space 'taken' has a choice of that name"):
        RecipeSpace(taken, SETTINGS)


@pytest.mark.parametrize(
    ("options", "ordered"),
    [
        ((0.1, 0.2, 0.3), True), ((32, 16), True), ((0.1, 0.3, 0.2), False), ((0.1,), False), (("sgd", "adamw"), False),
        ((None, 1), False), ((True, False), False),
    ],
)  # fmt: skip
def test_numbers_that_rise_or_fall_lie_on_a_scale(options: tuple[object, ...], ordered: bool) -> None:
    assert listed_choice("x", options).ordered == ordered


def test_block_methods_rate_a_network_whatever_its_settings() -> None:
    data = load_data("digits", limit=300)
    quick = DNASetting(epochs=1, steps=2, images=64, rated=32, recalibrated=32, teacher_epochs=1, teacher_width=1.0)
    networks = load_space("macro", width=4, layers=(2, 1)).for_data(data.input_shape, data.n_classes)
    space = RecipeSpace(networks, SETTINGS)
    code = space.sample(1, np.random.default_rng(0))[0]
    codes = np.array([[*code[:-2], i, j] for i in range(2) for j in range(3)])
    scores = DNA(space, data, setting=quick).score(codes)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == 1
    rng = np.random.default_rng(1)
    seen = space.sample(40, rng)
    predicted = MathNAS(space).fit(seen, -seen[:, -1] + 0.01 * rng.normal(size=len(seen))).block_values
    rates = predicted[predicted.block == "lr"].set_index("alternative").value
    assert rates["0.02"] > rates["0.05"] > rates["0.1"]
