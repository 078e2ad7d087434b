"""Spaces in which the precision of each block is a choice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Node
from searchkit.blocks import Limit, blocks_of, k_best
from searchkit.blocks.additive import Additive
from searchkit.blocks.latency_tables import measure_latency
from searchkit.blocks.latency_terms import BLOCKS, INT8_MODULES, INT8_REST
from searchkit.blocks.solve import solve
from searchkit.costs.counts import space_counts
from searchkit.errors import CandidateError, ObjectiveError, SpaceError
from searchkit.space.precision_space import PrecisionSpace, precisions_of, rest_precision_of
from searchkit.space.recipe_space import RecipeSpace

OPTIONS = {
    "macro": {"width": 4, "layers": (2, 1), "input_shape": (1, 8, 8)},
    "mobilenet": {"width": 0.25, "input_shape": (1, 8, 8)},
    "residual": {"input_shape": (1, 8, 8)},
}
DATA = searchkit.load_data("digits", limit=300)


def spaces() -> dict[str, NetworkSpace]:
    return {name: searchkit.load_space(name, **options) for name, options in OPTIONS.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_block_has_a_precision_beside_its_choices(name: str) -> None:
    networks = spaces()[name]
    space = networks.with_precisions()
    assert isinstance(space, PrecisionSpace)
    assert space.names[: networks.n_choices] == networks.names
    further = {choice.name: choice.options for choice in space.further}
    blocks = [block for block in blocks_of(networks).names if f"{block}.precision" in further]
    assert blocks
    assert set(further) == {f"{block}.precision" for block in blocks} | {"rest.precision"}
    assert set(further.values()) == {("float32", "int8")}
    assert space.size == networks.size * 2 ** len(further)
    codes = space.sample(20, np.random.default_rng(0))
    assert np.array_equal(space.canonical(codes), codes)
    assert np.array_equal(space.encode(space.decode(codes)), codes)
    found, expected = space_counts(space, codes), space_counts(networks, space.of_networks(codes))
    assert all(np.array_equal(found[cost], expected[cost]) for cost in expected)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_network_is_that_of_its_choices_and_says_the_precisions_of_its_blocks(name: str) -> None:
    networks = spaces()[name]
    space = networks.with_precisions()
    code = space.sample(1, np.random.default_rng(1))[0]
    torch.manual_seed(0)
    network = space.build(code)
    torch.manual_seed(0)
    plain = networks.build(space.of_networks(code))
    x = torch.zeros(2, *space.input_shape)
    assert torch.equal(network.eval()(x), plain.eval()(x))
    assert precisions_of(plain) == {}
    assert rest_precision_of(plain) is None
    chosen, said = space.chosen(code), precisions_of(network)
    assert rest_precision_of(network) == chosen["rest.precision"]
    named = dict(network.named_modules())
    for node in networks.nodes:
        if node.module in named and f"{node.block or node.name}.precision" in chosen:
            assert said[node.module] == chosen[f"{node.block or node.name}.precision"]


def test_the_blocks_of_the_space_have_both_precisions_as_alternatives() -> None:
    networks = spaces()["macro"]
    before, after = blocks_of(networks), blocks_of(networks.with_precisions())
    assert after.names == (*before.names, "rest.precision")
    assert after.sizes == (*(2 * size for size in before.sizes), 2)


@pytest.mark.slow
def test_a_space_by_name_has_precisions_as_an_option_and_a_study_gives_it_back(tmp_path: Path) -> None:
    space = searchkit.load_space("macro", width=4, layers=(1, 1), precisions=True)
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("accuracy@int8", "file_bytes@int8"), budget=4, epochs=1,
        storage=tmp_path, name="s",
    )  # fmt: skip
    again = searchkit.load("s", tmp_path)
    assert isinstance(again.space, PrecisionSpace)
    assert again.space.describe() == result.space.describe()
    assert np.isfinite(again.history["accuracy@int8"]).all()
    assert set(again.history["rest.precision"]) <= {"float32", "int8"}
    assert rest_precision_of(again.build(0)) == again.front["rest.precision"][0]


@pytest.mark.slow
def test_a_target_measures_the_file_in_the_precisions_of_the_blocks() -> None:
    space = searchkit.load_space("macro", width=4, layers=(1, 1), precisions=True)
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("accuracy", "latency_ms@scales"), budget=6, epochs=1,
        targets={"scales": lambda path: float(Path(path).stat().st_size)}, storage="memory",
    )  # fmt: skip
    history = result.history[["rest.precision", "stage_1.precision", "latency_ms@scales", "params"]]
    int8 = history[history["rest.precision"] == "int8"]
    others = history[history["rest.precision"] == "float32"]
    assert len(int8) > 0 < len(others)
    assert (int8["latency_ms@scales"] / int8.params).max() < (others["latency_ms@scales"] / others.params).min()


@pytest.mark.thorough
def test_a_file_of_a_network_without_a_block_in_int8_is_said_to_be_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = searchkit.load_space("macro", width=32, layers=(1,), precisions=True)
    columns = [name for name in space.names if name.endswith("precision")]
    design = space.decode(space.sample(1, np.random.default_rng(0)))[0]
    both = [design | dict.fromkeys(columns, precision) for precision in ("int8", "float32")]
    for direction in ("min", "max"):  # of the size of the file, which is largest with all in float32
        goals = {"file_bytes@int8": direction, "accuracy": "max"}
        result = searchkit.run(
            "random", space=space, data=DATA, objectives=goals, budget=2, epochs=1, storage=tmp_path, name=direction,
            start=both,
        )  # fmt: skip
        row = int((result.front["file_bytes@int8"] * (1 if direction == "max" else -1)).argmax())
        result.export(row, tmp_path / direction, precision="int8")
        warnings = json.loads((tmp_path / f"{direction}.json").read_text())["int8"]["warnings"]
        plain = bool((result.front[columns].iloc[row] == "float32").all())
        assert plain == (direction == "max")
        assert any("this file is in float32 as well" in one for one in warnings) == plain
    assert "no block of this network was chosen to be in int8" in caplog.text


@pytest.mark.parametrize("name", ["macro", "mobilenet", "residual"])
def test_designs_are_those_of_the_networks_in_both_precisions_and_none_where_there_are_none(name: str) -> None:
    space = searchkit.load_space(name, precisions=True)
    assert isinstance(space, PrecisionSpace)
    assert space.reference.shape == (2 * len(space.networks.reference), space.n_choices)


@pytest.mark.slow
def test_settings_of_the_training_may_stand_beside_precisions(tmp_path: Path) -> None:
    space = searchkit.load_space("macro", width=4, layers=(1, 1), precisions=True)
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("accuracy@int8", "params"), budget=2, epochs=1,
        recipe={"lr": [0.02, 0.1]}, storage=tmp_path, name="s",
    )  # fmt: skip
    assert isinstance(result.space, RecipeSpace)
    assert isinstance(searchkit.load("s", tmp_path).space, RecipeSpace)
    assert {"lr", "rest.precision"} <= set(result.history.columns)


@pytest.mark.slow
def test_of_a_trained_network_candidate_0_is_the_network_as_it_is() -> None:
    torch.manual_seed(0)
    residual = spaces()["residual"]
    model = residual.build(residual.sample(1, np.random.default_rng(3))[0]).eval()
    x = torch.randn(4, 1, 8, 8)
    space = NetworkSpace.from_model(model, x).with_precisions()
    first = np.zeros(space.n_choices, dtype=np.int64)
    assert torch.equal(space.build(first)(x), model(x))
    assert set(precisions_of(space.build(first)).values()) == {"float32"} == {rest_precision_of(space.build(first))}
    assert not space.fine_tuned(first)
    changed = first.copy()
    changed[-1] = 1
    assert not space.fine_tuned(changed), "another precision is no other network"
    assert space.teacher is not None


def by_choice(choices: dict, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_classes))


class Pair(nn.Module):
    def __init__(self, inputs: int, n_classes: int) -> None:
        super().__init__()
        self.flat, self.a = nn.Flatten(), nn.Linear(inputs, n_classes)
        self.same = self.a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(self.flat(x))


def pair(*modules: str) -> NetworkSpace:
    """A space of two blocks, whose nodes name these modules."""
    nodes = tuple(Node(name, (name,), (1,), (1,), module=module) for name, module in zip("pq", modules, strict=True))
    return NetworkSpace(
        [Choice("p", (1, 2)), Choice("q", (1, 2))],
        lambda choices, shape, n_classes: Pair(int(np.prod(shape)), n_classes),
        nodes=lambda space: nodes, name="pair", input_shape=(1, 4, 4),
    )  # fmt: skip


def test_two_blocks_that_are_one_module_are_refused_and_so_is_a_module_that_is_not_there() -> None:
    with pytest.raises(SpaceError, match="two nodes of space 'pair' name the module 'a'"):
        pair("a", "a").with_precisions()
    space = pair("a", "same").with_precisions()
    assert set(precisions_of(space.build([0, 0, 1, 1, 0])).values()) == {"int8"}
    with pytest.raises(CandidateError, match="nodes 'p' and 'q' are one module, which has one precision"):
        space.build([0, 0, 1, 0, 0])
    with pytest.raises(CandidateError, match="node 'q' names the module 'b', which it does not have"):
        pair("a", "b").with_precisions().build([0, 0, 0, 0, 0])
    assert space.with_precisions() is space


def test_what_has_no_precisions_to_choose_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"space 'mine' names no modules of its networks.*Node.*module="):
        NetworkSpace([Choice("a", (1, 2))], by_choice, name="mine").with_precisions()
    with pytest.raises(SpaceError, match="precisions of space 'macro' is True or False, not 'int8'"):
        searchkit.load_space("macro", precisions="int8")
    networks = spaces()["macro"]
    with pytest.raises(SpaceError, match="recipe= is given to the search"):
        RecipeSpace(networks, [Choice("lr", (0.1, 0.2))]).with_precisions()
    with pytest.raises(ObjectiveError, match="no objective or bound depends on it: ask for accuracy@int8"):
        searchkit.run(space=networks.with_precisions(), data=DATA, budget=1, epochs=1, storage="memory")


def alone(module: nn.Module) -> float:
    """A made-up time of a block: int8 takes half of what float32 takes, and 0.02 ms to change between them."""
    ms = 0.1 + 1e-4 * sum(p.numel() for p in module.parameters())
    return ms / 2 + 0.02 if "int8" in precisions_of(module).values() else ms


def whole(network: nn.Module, input_shape: tuple[int, ...] = ()) -> float:
    """A made-up time of a network: within it changing takes nothing, and the rest gains 0.2 ms in int8."""
    if not hasattr(network, "stages"):
        return alone(network)
    layers = [layer for stage in network.stages for layer in stage if not isinstance(layer, nn.Identity)]
    times = [alone(layer) - 0.02 * ("int8" in precisions_of(layer).values()) for layer in layers]
    return 1.0 - 0.2 * (rest_precision_of(network) == "int8") + 0.8 * sum(times)


@pytest.mark.slow
def test_a_latency_table_has_the_times_of_both_precisions() -> None:
    space = spaces()["macro"].with_precisions()
    table = measure_latency(space, measure=whole)
    assert table.factors[BLOCKS] == pytest.approx(0.8)
    assert table.factors[INT8_MODULES] == pytest.approx(-0.016)
    assert table.factors[INT8_REST] == pytest.approx(-0.2)
    assert np.abs(table.errors).max() < 1e-6
    codes = space.sample(30, np.random.default_rng(5))
    expected = [whole(space.build(code)) for code in codes]
    assert np.allclose(table.model(table.blocks.choose(codes)), expected)
    assert "ms x modules in int8" in table.report()


@pytest.mark.slow
def test_the_exact_programme_chooses_precisions_under_a_bound() -> None:
    space = spaces()["macro"].with_precisions()
    table = measure_latency(space, measure=whole)
    blocks, rng = table.blocks, np.random.default_rng(0)
    lost = Additive(0.0, tuple(rng.uniform(size=size) for size in blocks.sizes))
    picked, _ = k_best(lost, int(np.prod(blocks.sizes)))
    ms = table.model(picked)
    bound = float(np.quantile(ms, 0.2))
    best = picked[ms <= bound][0]  # by brute force: all, in the order of what they lose
    found = solve(lost, [Limit("latency_ms@int8", table.model, high=bound)])
    assert np.array_equal(found.picked, best)
