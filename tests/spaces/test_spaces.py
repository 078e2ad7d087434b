"""The network spaces: they count what they build, equal networks have equal rows, and the published tables agree."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchkit.costs import counts as costs
from searchkit.errors import SpaceError
from searchkit.plugins import load_space
from searchkit.space import NetworkSpace
from searchkit.spaces.cell_form import EDGES, OPERATIONS, canonical, live_edges
from searchkit.spaces.hybrid import hybrid
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201, published_params
from searchkit.spaces.residual import residual
from searchkit.spaces.vit import vit
from searchkit.types import Codes

SMALL = {
    "nas-bench-201": nas_bench_201(width=4, cells=1, input_shape=(1, 8, 8)),
    "nas-bench-201, resized": nas_bench_201(width=4, cells=2, resolution=9, input_shape=(3, 8, 12), n_classes=3),
    "nas-bench-201, three widths": nas_bench_201(width=(2, 3, 5), cells=1, input_shape=(1, 8, 8)),
    "nas-bench-201, odd": nas_bench_201(width=3, cells=1, input_shape=(2, 7, 5)),
    "macro": macro(width=4, input_shape=(1, 8, 8)),
    "macro, resized": macro(width=4, resolution=17, input_shape=(3, 8, 12), n_classes=3),
    "macro, other layers": macro(width=3, layers=(1, 4), input_shape=(2, 11, 9)),
    "mobilenet": mobilenet(width=0.25, input_shape=(1, 8, 8)),
    "mobilenet, two resolutions": mobilenet(width=0.3, resolution=(17, 8), input_shape=(2, 11, 9), n_classes=3),
    "hybrid": hybrid(width=(4, 6), layers=6, head=3, input_shape=(1, 8, 8)),
    "hybrid, even": hybrid(width=3, layers=5, bottleneck=4, head=2, downs="even", input_shape=(2, 19, 17), n_classes=3),
    "hybrid, large": hybrid(width=3, layers=4, input_shape=(3, 65, 70)),
    "residual": residual(width=(4, 6), input_shape=(1, 8, 8)),
    "residual, one width and stem": residual(width=3, stem=2, input_shape=(2, 11, 9), n_classes=3),
    "residual, resized": residual(width=3, stem=(2, 1), stages=2, resolution=65, input_shape=(3, 8, 12)),
    "vit": vit(width=(8, 12), depth=(1, 2, 3), heads=(1, 2), ratio=(1, 2), head=4, input_shape=(1, 8, 8)),
    "vit, one depth, padded": vit(patch=(3, 4), width=6, depth=2, ratio=(1.5, 2), input_shape=(2, 11, 9), n_classes=3),
    "vit, one patch for all": vit(
        patch=20, width=(4, 5), depth=(1, 4), heads=2, head=3, stem="none", input_shape=(3, 8, 12)
    ),
}
spaces = pytest.mark.parametrize("space", SMALL.values(), ids=SMALL.keys())
cells = st.lists(st.integers(0, 4), min_size=6, max_size=6)
Table = Callable[[str], Path]


def random_codes(space: NetworkSpace, n: int, seed: int) -> Codes:
    """Codes as a user gives them: not canonical."""
    return np.random.default_rng(seed).integers(0, space.n_options, size=(n, space.n_choices))


def digits(column: pd.Series[str]) -> Codes:
    return np.array([[int(digit) for digit in row] for row in column], dtype=np.int64)


@spaces
def test_the_canonical_form_is_idempotent_and_keeps_the_counts(space: NetworkSpace) -> None:
    codes = random_codes(space, 500, seed=0)
    once = space.check(codes)
    assert (space.check(once) == once).all()
    given_counts, kept = costs.space_counts(space, codes), costs.space_counts(space, once)
    for name in ("params", "macs"):
        assert (given_counts[name] == kept[name]).all()


@spaces
def test_counts_are_those_of_the_network_that_is_built(space: NetworkSpace) -> None:
    codes = np.vstack([np.zeros((1, space.n_choices), np.int64), random_codes(space, 4, seed=1)])
    counted = costs.space_counts(space, codes)
    without_formula = copy.copy(space)
    without_formula.count = None
    generic = costs.space_counts(without_formula, codes)
    for i, code in enumerate(codes):
        assert sum(p.numel() for p in space.build(code).parameters()) == counted["params"][i]
    for name in ("params", "macs"):
        assert counted[name].dtype == np.float64
        assert (counted[name] == generic[name]).all()


@spaces
def test_every_network_trains_and_shows_its_stages(space: NetworkSpace) -> None:
    for code in np.vstack([np.zeros((1, space.n_choices), np.int64), random_codes(space, 4, seed=2)]):
        network = space.build(code)
        x = torch.randn(2, *space.input_shape, requires_grad=True)
        logits = network(x)
        assert logits.shape == (2, space.n_classes)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
        loss.backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
        stages = network.features(x)  # type: ignore[operator]
        if space.name not in ("vit", "hybrid"):  # layers of a vit have one width; layers of a hybrid may have
            assert stages[-1].shape[1] > stages[0].shape[1]
        assert all(stage.ndim == 4 and len(stage) == 2 for stage in stages)


@spaces
def test_a_space_survives_pickling(space: NetworkSpace) -> None:
    other = pickle.loads(pickle.dumps(space))
    code = random_codes(space, 1, seed=3)
    torch.manual_seed(0)
    first = space.build(code)
    torch.manual_seed(0)
    second = other.build(code)
    x = torch.randn(2, *space.input_shape)
    assert torch.equal(first(x), second(x))
    assert other.describe() == space.describe()


@spaces
def test_nodes_name_their_choices_and_their_shapes_are_real(space: NetworkSpace) -> None:
    decided = [choice for node in space.nodes for choice in node.choices]
    of_all = ("width", "stem", "resolution", "patch")
    of_stages = () if space.name == "residual" else ("depth",)  # whose layers are nodes; of residual its stages are
    assert decided == [name for name in space.names if not name.startswith((*of_all, *of_stages))]
    if space.name != "macro":
        return
    code = np.full((1, space.n_choices), 1)
    shapes = [(tuple(node.input_shape), tuple(node.output_shape)) for node in space.nodes]
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    network = space.build(code).eval()
    for stage in network.get_submodule("stages"):  # type: ignore[attr-defined]
        for layer in stage:
            layer.register_forward_hook(lambda _, x, y: seen.append((tuple(x[0].shape[1:]), tuple(y.shape[1:]))))
    network(torch.zeros(1, *space.input_shape))
    assert seen == shapes


def test_spaces_follow_the_data_they_are_given() -> None:
    for name in ("hybrid", "nas-bench-201", "macro", "residual", "vit"):
        space = load_space(name, width=4).for_data((1, 8, 8), 7)
        code = random_codes(space, 1, seed=0)
        network = space.build(code)
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
        assert sum(p.numel() for p in network.parameters()) == costs.space_counts(space, code)["params"][0]


def test_a_resolution_of_its_own_makes_the_network_resize_the_users_image() -> None:
    space = nas_bench_201(width=4, cells=1, resolution=16, input_shape=(3, 8, 8))
    network = space.build([1, 1, 1, 1, 1, 1])
    stages = network.features(torch.zeros(1, 3, 8, 8))  # type: ignore[operator]
    assert stages[0].shape == (1, 4, 16, 16)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("nas-bench-201", {"width": 0}, "takes width as a whole number of at least 1; got 0"),
        ("nas-bench-201", {"cells": 1.5}, "takes cells as a whole number of at least 1; got 1.5"),
        ("nas-bench-201", {"cells": True}, "takes cells as a whole number of at least 1; got True"),
        ("nas-bench-201", {"resolution": "8"}, "takes resolution as a whole number of at least 1; got '8'"),
        ("nas-bench-201", {"input_shape": (8, 8)}, r"takes input_shape as \(channels, height, width\); got \(8, 8\)"),
        ("nas-bench-201", {"depth": 3}, "cannot be made with"),
        ("macro", {"layers": ()}, r"takes layers as one number of layers for each stage; got \(\)"),
        ("macro", {"layers": (2, 0)}, "takes each number of layers as a whole number of at least 1; got 0"),
        ("hybrid", {"downs": "odd"}, "takes downs as one of searched, even; got 'odd'"),
        ("hybrid", {"width": (4, 4)}, r"takes width as a value, or as several that differ; got \(4, 4\)"),
        ("hybrid", {"layers": 0}, "takes layers as a whole number of at least 1; got 0"),
        ("vit", {"width": 0}, "takes width as a whole number of at least 1; got 0"),
        ("vit", {"stem": "conv"}, "takes stem as one of convolution, none; got 'conv'"),
        ("vit", {"ratio": "2"}, "takes ratio as a number above 0, or several; got '2'"),
        ("vit", {"heads": (2, 2)}, r"takes heads as a value, or as several that differ; got \(2, 2\)"),
        ("vit", {"input_shape": (30,)}, r"takes input_shape as \(channels, height, width\); got \(30,\)"),
        (
            "vit",
            {"patch": 4, "width": 64, "depth": 2, "heads": 3, "ratio": 2},
            "has nothing to choose: give several values of an option",
        ),
        ("macro", {"n_classes": 0}, "takes n_classes as a whole number of at least 1; got 0"),
    ],
)
def test_an_impossible_option_is_refused_in_a_sentence(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        load_space(name, **options)


def test_the_published_anchors_are_met_to_the_parameter() -> None:
    cell, layers = nas_bench_201(), macro()
    assert published_params(cell, [4, 2, 1, 2, 1, 1]) == [129_306]
    first = layers.count(layers, np.array([[0] * 8, [0] * 7 + [1]]))  # type: ignore[misc]
    assert first["params"].tolist() == [387_882, 791_594]
    assert first["macs"].tolist() == [7_713_280, 14_115_328]


@given(cells)
def test_dead_edges_are_those_on_no_path_from_input_to_output(cell: list[int]) -> None:
    present = {edge for edge, operation in zip(EDGES, cell, strict=True) if operation != 0}
    paths = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    alive = {edge for path in paths if set(path) <= present for edge in path}
    assert live_edges(np.array([cell]))[0].tolist() == [edge in alive for edge in EDGES]


def cell_output(cell: list[int], weights: dict[int, np.ndarray]) -> np.ndarray:
    """A cell on a vector, by its definition: pooling is a fixed matrix, a convolution tanh of one of its own."""
    pool = np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]])
    values = [np.array([0.3, -0.7, 1.1]), np.zeros(3), np.zeros(3), np.zeros(3)]
    for edge, ((source, target), operation) in enumerate(zip(EDGES, cell, strict=True)):
        x = values[source]
        if OPERATIONS[operation] == "skip_connect":
            values[target] = values[target] + x
        elif OPERATIONS[operation] == "avg_pool_3x3":
            values[target] = values[target] + pool @ x
        elif operation != 0:
            values[target] = values[target] + np.tanh(weights[edge] @ x)
    return values[3]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(cells)
def test_a_cell_and_its_canonical_form_are_one_function_up_to_the_names_of_the_weights(cell: list[int]) -> None:
    form = canonical(np.array([cell]))[0].tolist()
    drawn = np.random.default_rng(0).normal(size=(6, 3, 3))
    alive = live_edges(np.array([cell]))[0]

    def convolutions(of: list[int], operation: int) -> list[int]:
        return [edge for edge in range(6) if of[edge] == operation and (of is form or alive[edge])]

    assert all(len(convolutions(cell, op)) == len(convolutions(form, op)) for op in (2, 3))
    weights = dict(enumerate(drawn))
    wanted = cell_output(cell, weights)
    assert any(
        np.allclose(
            cell_output(
                form, {**dict(zip(ones, drawn[list(a)], strict=True)), **dict(zip(threes, drawn[list(b)], strict=True))}
            ),
            wanted,
        )
        for ones, threes in [(convolutions(form, 2), convolutions(form, 3))]
        for a in itertools.permutations(convolutions(cell, 2))
        for b in itertools.permutations(convolutions(cell, 3))
    )


@pytest.mark.parametrize(
    ("cell", "twin"),
    [
        ([3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]),  # leads nowhere
        ([0, 0, 3, 0, 3, 3], [0, 0, 0, 0, 0, 0]),  # fed by nothing
        ([1, 0, 0, 0, 3, 0], [0, 0, 0, 3, 0, 0]),  # a skip connection is its input
        ([0, 3, 0, 0, 0, 2], [3, 0, 0, 0, 2, 0]),  # nodes 1 and 2 change places
    ],
)
def test_equal_cells_have_one_form(cell: list[int], twin: list[int]) -> None:
    assert (canonical(np.array([cell])) == canonical(np.array([twin]))).all()


@pytest.mark.parametrize(
    ("cell", "other"),
    [
        ([1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0]),  # x + x is not x
        ([3, 3, 0, 0, 1, 1], [3, 0, 0, 0, 1, 0]),  # two convolutions are not one
        ([3, 1, 1, 0, 1, 1], [3, 3, 0, 1, 1, 1]),  # one convolution used twice is not two
        ([2, 0, 0, 0, 3, 0], [3, 0, 0, 0, 2, 0]),  # order matters
    ],
)
def test_different_cells_have_different_forms(cell: list[int], other: list[int]) -> None:
    assert (canonical(np.array([cell])) != canonical(np.array([other]))).any()


def test_nas_bench_201_has_5260_distinct_networks() -> None:
    assert len(nas_bench_201().enumerate()) == 5260


def test_macro_puts_the_identities_of_a_stage_last_and_leaves_its_first_layer() -> None:
    assert macro().check([0, 1, 0, 0, 2, 2, 0, 1]).tolist() == [[0, 1, 0, 2, 0, 2, 1, 0]]
    assert len(macro().enumerate()) == 9 * 21 * 21


@pytest.mark.slow
def test_nas_bench_201_params_equal_the_published_table_but_for_its_150_inconsistent_rows(real_data: Table) -> None:
    table = pd.read_csv(real_data("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    deviation = published_params(nas_bench_201(), digits(table.ops)) - np.round(table.cifar10valid_params_M * 1e6)
    assert len(table) == 15_625
    assert (deviation == 0).sum() == 15_475
    # Where the table differs, it is by whole convolutions: the row was written for another cell.
    one, three = 28_000, 243_040
    wholes = {a * one + b * three for a in range(-6, 7) for b in range(-6, 7)}
    assert set(deviation) <= wholes


def test_nas_bench_201_merges_only_what_the_published_accuracies_call_equal(real_data: Table) -> None:
    table = pd.read_csv(real_data("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    form = ["".join(map(str, row)) for row in nas_bench_201().check(digits(table.ops)).tolist()]
    runs = table[["cifar10valid_val200_r0", "cifar10valid_val200_r1", "cifar10valid_val200_r2"]]
    between_seeds = np.sqrt(runs.var(axis=1).mean())
    groups = runs.iloc[:, 0].groupby(np.array(form))
    within_groups = np.sqrt((groups.var() * (groups.size() - 1)).sum() / (groups.size() - 1).sum())
    assert groups.ngroups == 5260
    assert within_groups < 1.5 * between_seeds


def test_macro_params_and_macs_equal_the_published_table_on_all_networks(real_data: Table) -> None:
    table = pd.read_csv(real_data("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    counted = costs.space_counts(macro(), digits(table.arch))
    assert len(table) == 6561
    assert (counted["params"] == table.params).all()
    assert (counted["macs"] == table.flops).all()


@pytest.mark.slow
def test_macro_merges_what_the_published_table_trained_once(real_data: Table) -> None:
    table = pd.read_csv(real_data("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    form = np.array(["".join(map(str, row)) for row in macro().check(digits(table.arch)).tolist()])
    accuracies = table[["test_acc_0", "test_acc_1", "test_acc_2", "params", "flops"]].groupby(form)
    assert (accuracies.nunique() == 1).all(axis=None)
