"""Costs of blocks: sums that are the counts themselves, and latency that is nearly a sum."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from searchkit import Choice, NetworkSpace, Node, Space
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.cost_tables import count_tables
from searchkit.blocks.latency_tables import LatencyTable, measure_latency
from searchkit.blocks.modules import node_modules
from searchkit.costs.counts import space_counts
from searchkit.errors import SearchkitError, SpaceError
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201

SMALL = macro(width=4, layers=(1, 2), input_shape=(1, 8, 8))


@pytest.mark.parametrize("make", [macro, mobilenet, nas_bench_201, lambda: SMALL])
def test_sums_of_blocks_are_the_counts_of_networks(make: Callable[[], NetworkSpace]) -> None:
    space = make()
    codes = space.sample(1000, np.random.default_rng(1))
    picked, counts = blocks_of(space).choose(codes), space_counts(space, codes)
    models = count_tables(space)
    assert set(models) == {"params", "macs"}
    for name, model in models.items():
        assert np.array_equal(model(picked), counts[name])
        assert all(table.min() == 0 for table in model.tables)


def test_a_space_without_a_formula_is_counted_by_building_its_networks() -> None:
    bare = copy.copy(SMALL)
    bare.count = None
    for name, model in count_tables(bare).items():
        known = count_tables(SMALL)[name]
        assert model.base == known.base
        assert all(np.array_equal(a, b) for a, b in zip(model.tables, known.tables, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "words"),
    [
        (nas_bench_201(width=(8, 16, 32)), r"macs of space 'nas-bench-201' are no sum .* off by up to \d+.*'width'"),
        (mobilenet(resolution=(128, 192)), r"macs of space 'mobilenet' are no sum .* off by up to \d+.*'resolution'"),
        (Space([Choice("a", range(2))]), "space 'custom' builds no networks whose parameters"),
    ],
)
def test_counts_that_do_not_add_up_are_refused_with_the_choice_that_breaks_them(space, words) -> None:
    with pytest.raises(SearchkitError, match=words):
        count_tables(space)


def alone(module: nn.Module) -> float:
    """A made-up time of a block."""
    return 0.01 + 1e-5 * sum(p.numel() for p in module.parameters())


class Clock:
    """Times networks of macro and mobilenet as overhead and 0.8 times their blocks; ``busy`` says by how much slower.

    Args:
        busy: number of the network, in the order of measuring -> factor.
    """

    def __init__(self, busy: Callable[[int], float] = lambda n: 1.0) -> None:
        self.busy, self.networks, self.modules = busy, 0, 0

    def __call__(self, module: nn.Module, input_shape) -> float:
        if not hasattr(module, "stages"):
            self.modules += 1
            assert not isinstance(module, nn.Identity)
            return alone(module)
        self.networks += 1
        layers = [layer for stage in module.stages for layer in stage if not isinstance(layer, nn.Identity)]
        return (0.5 + 0.8 * sum(map(alone, layers))) * self.busy(self.networks - 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    [SMALL, pytest.param(mobilenet(width=0.25, input_shape=(1, 8, 8)), marks=pytest.mark.thorough)],
    ids=lambda space: space.name,
)
def test_blocks_and_an_overhead_are_found_again(space: NetworkSpace) -> None:
    clock = Clock()
    table = measure_latency(space, measure=clock)
    assert table.overhead_ms == table.model.base
    assert table.overhead_ms == pytest.approx(0.5)
    assert table.scale == pytest.approx(0.8)
    assert table.rank_correlation == pytest.approx(1)
    assert table.median_error < 1e-9
    assert clock.networks == (27 if space is SMALL else 32)
    assert table.n_measured == clock.networks + clock.modules
    codes = space.sample(20, np.random.default_rng(7))
    times = [Clock()(space.build(code), ()) for code in codes]
    assert np.allclose(table.model(blocks_of(space).choose(codes)), times)


def test_a_few_disturbed_networks_do_not_move_the_fit() -> None:
    table = measure_latency(SMALL, fitted=10, held_out=4, measure=Clock(lambda n: 1.7 if n in (2, 5) else 1.0))
    assert (table.overhead_ms, table.scale) == (pytest.approx(0.5), pytest.approx(0.8))


@pytest.mark.thorough
def test_parameters_that_cost_time_beside_their_blocks_are_found() -> None:
    """As weights do that are out of the cache within a network, and in it alone."""
    clock = Clock()

    def slow(module: nn.Module, input_shape: Sequence[int]) -> float:
        within = sum(p.numel() for p in module.parameters()) if hasattr(module, "stages") else 0.0
        return clock(module, input_shape) + 2e-5 * within

    space = mobilenet(width=0.25, input_shape=(1, 8, 8))
    table = measure_latency(space, measure=slow, held_out=10)
    assert np.abs(table.errors).max() < 1e-6
    codes = space.sample(20, np.random.default_rng(7))
    times = [slow(space.build(code), ()) for code in codes]
    assert np.allclose(table.model(blocks_of(space).choose(codes)), times)


def test_a_table_is_corrected_by_other_networks() -> None:
    table = measure_latency(SMALL, measure=Clock(), fitted=10, held_out=10)
    codes = SMALL.canonical(SMALL.sample(9, np.random.default_rng(3)))
    twice = np.array([2 * Clock()(SMALL.build(code), ()) for code in codes])
    slower = table.corrected(codes, twice)
    assert np.allclose(slower.model(slower.blocks.choose(codes)), twice)
    assert np.allclose(slower.errors, 1.0)  # those that it had not seen were measured at full speed
    with pytest.raises(SearchkitError, match="at least 3 networks"):
        table.corrected(codes[:2], twice[:2])


@pytest.mark.thorough
def test_an_interval_has_the_latency_of_so_many_networks() -> None:
    """Nine in ten of those that the table has not seen, when times vary by a tenth."""
    rng = np.random.default_rng(0)
    space = mobilenet(width=0.25, input_shape=(1, 8, 8))
    table = measure_latency(space, measure=Clock(lambda n: float(np.exp(rng.normal(0, 0.1)))), held_out=60)
    codes = space.canonical(space.sample(200, np.random.default_rng(7)))
    times = np.array([Clock()(space.build(code), ()) for code in codes]) * np.exp(rng.normal(0, 0.1, 200))
    low, high = table.interval(table.blocks.choose(codes))
    assert 0.8 < np.mean((low <= times) & (times <= high)) < 1
    few = replace(table, errors=np.sort(table.errors)[:3])
    assert (few.interval(table.blocks.choose(codes))[1] > high).all()


def test_the_error_is_that_on_networks_that_were_not_fitted() -> None:
    table = measure_latency(SMALL, fitted=6, held_out=9, measure=Clock(lambda n: 1.25 if n >= 6 else 1.0))
    assert len(table.held_out) == len(table.measured_ms) == len(table.errors) == 9
    assert np.allclose(table.errors, -0.2)
    assert table.median_error == pytest.approx(0.2)
    assert str(table) == table.report()
    assert "9 networks that it had not seen off by 20.0% (median), 20.0% at most, rank correlation 1.000" in str(table)
    times = [Clock(lambda n: 1.25)(SMALL.build(code), ()) for code in table.held_out]
    assert np.allclose(table.measured_ms, times)


@pytest.mark.slow
def test_the_seed_says_which_networks_are_timed() -> None:
    tables = [measure_latency(SMALL, seed=seed, fitted=4, held_out=4, measure=Clock()) for seed in (1, 1, 2)]
    assert np.array_equal(tables[0].held_out, tables[1].held_out)
    assert not np.array_equal(tables[0].held_out, tables[2].held_out)


@pytest.mark.slow
def test_a_measured_table_is_positive_and_says_how_it_was_measured() -> None:
    table = measure_latency(SMALL, fitted=4, held_out=3, seconds=0.02)
    assert np.isfinite([table.overhead_ms, table.scale, *table.errors]).all()
    assert (table.measured_ms > 0).all()
    assert table.method.startswith("onnxruntime ")
    assert isinstance(table, LatencyTable)


def test_modules_of_nodes_are_those_of_networks_with_the_shapes_that_they_map_between() -> None:
    blocks = blocks_of(SMALL)
    first, second = node_modules(SMALL, blocks, blocks.names.index("stage_2"))
    assert [(one.input_shape, one.output_shape) for one in first] == [((8, 4, 4), (16, 4, 4))] * 3
    assert [(one.input_shape, one.output_shape) for one in second] == [((16, 4, 4), (16, 4, 4))] * 3
    assert [isinstance(one.module, nn.Identity) for one in first + second] == [False] * 3 + [True, False, False]


@pytest.mark.slow
def test_a_layer_that_is_not_there_is_no_module() -> None:
    space = mobilenet(width=0.25, input_shape=(1, 8, 8))
    nodes = node_modules(space, blocks_of(space), 0)
    assert [len(node) for node in nodes] == [9, 9, 10, 10]
    assert [[i for i, one in enumerate(node) if one is None] for node in nodes] == [[], [], [9], [9]]


def one_node(node: Node) -> NetworkSpace:
    def build(choices, input_shape, n_classes):
        network = nn.Sequential(nn.Conv2d(1, choices["a"], 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return network.append(nn.Linear(choices["a"], 2))

    return NetworkSpace([Choice("a", (1, 2, 3))], build, input_shape=(1, 4, 4), nodes=lambda space: (node,))


@pytest.mark.parametrize(
    ("space", "given", "words"),
    [
        (SMALL, {"fitted": 2}, "fitted to at least 3 networks, not fitted=2"),
        (SMALL, {"held_out": 1}, "measured on at least 2 networks, not held_out=1"),
        (SMALL, {"fitted": 200}, r"has \d+ different networks; fitted=200 and held_out=8 take 208"),
        (Space([Choice("a", range(2))]), {}, "space 'custom' names no nodes, so that its blocks cannot be timed"),
        (nas_bench_201(), {}, "'edge_0_to_1' of space 'nas-bench-201' is no module of its networks"),
        (mobilenet(resolution=(32, 64)), {}, "'resolution' of space 'mobilenet' is no module of its networks"),
    ],
)
def test_a_latency_table_that_cannot_be_made_is_refused_before_work(space, given, words) -> None:
    def never(module, input_shape) -> float:
        raise AssertionError("timed")

    with pytest.raises(SearchkitError, match=words):
        measure_latency(space, measure=never, **given)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node("n", ("a",), (1, 4, 4), (1, 4, 4), module="body"), "'body', which the network with '1' there does not"),
        (
            Node("n", ("a",), (1, 4, 4), (1, 2, 2), module="0"),
            r"to give \(1, 2, 2\) and its module '0' gives \(1, 4, 4",
        ),
    ],
)
def test_a_node_that_is_not_what_the_space_says_is_named(node, words) -> None:
    space = one_node(node)
    with pytest.raises(SpaceError, match=words):
        node_modules(space, blocks_of(space), 0)
