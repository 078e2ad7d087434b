"""The space residual: what it builds is what it counts and names, on images of any size, and block methods take it."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from helpers.marks import slow_if

import searchkit
from searchkit import plugins
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.cost_tables import count_tables
from searchkit.blocks.exact import front
from searchkit.blocks.modules import node_modules
from searchkit.costs import counts as costs
from searchkit.data.loading import load_data
from searchkit.errors import SearchkitError, SpaceError
from searchkit.plugins import load_space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.mathnas import MathNAS
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace, keys
from searchkit.spaces.residual import residual
from searchkit.training.reduced import narrower
from searchkit.types import Codes

SIZES = [(8, 8), (28, 28), (32, 32), (96, 96), (29, 31), (64, 200), (6, 9), (1, 1)]
FIXED = {"width": 4, "stem": 1, "input_shape": (1, 8, 8)}


def random_codes(space: NetworkSpace, n: int, seed: int) -> Codes:
    """Codes as a user gives them, not canonical; the smallest options come first, the largest second."""
    codes = np.random.default_rng(seed).integers(0, space.n_options, size=(n, space.n_choices))
    return np.vstack([np.zeros_like(space.n_options), space.n_options - 1, codes])


def on_meta(space: NetworkSpace, code: Codes) -> torch.nn.Module:
    with torch.device("meta"):
        return space.build(code).eval()


@pytest.mark.parametrize(
    ("options", "size"),
    slow_if(
        lambda options, size: size not in ((8, 8), (6, 9)),
        itertools.product(({}, {"width": (6, 5), "stem": 2, "stages": 4}, {"stem": (2, 1), "resolution": 66}), SIZES),
    ),
)
def test_params_and_macs_are_those_of_the_network_that_is_built(size: tuple[int, int], options: dict[str, Any]) -> None:
    space = residual(**options, input_shape=(2, *size), n_classes=7)
    codes = random_codes(space, 2, seed=sum(size))
    counted = costs.space_counts(space, codes)
    for i, code in enumerate(codes):
        built = costs.count(on_meta(space, code), space.input_shape)
        assert built == {"params": counted["params"][i], "macs": counted["macs"][i]}


def test_the_parameters_of_a_plain_network_are_those_of_its_layers() -> None:
    space = residual(width=16, stem=1, input_shape=(3, 32, 32))
    plain = space.encode({name: default(name) for name in space.names})
    stem = 27 * 16 + 32
    first = 2 * 9 * 16 * 16 + 64
    second = 9 * 16 * 32 + 9 * 32 * 32 + 128 + 16 * 32 + 64
    third = 9 * 32 * 64 + 9 * 64 * 64 + 256 + 32 * 64 + 128
    assert costs.space_counts(space, plain)["params"] == [stem + first + second + third + 650]


def default(name: str) -> Any:
    return {"depth": 1, "block": "residual", "kernel": 3, "squeeze": False}[name.split("_")[0]]


@pytest.mark.parametrize("size", [(29, 31), (31, 8), (65, 100), (5, 7), (1, 1)])
def test_networks_take_images_of_odd_sizes_and_every_parameter_learns(size: tuple[int, int]) -> None:
    space = residual(width=(3, 4), input_shape=(2, *size), n_classes=3)
    for code in random_codes(space, 2, seed=1):
        network = space.build(code)
        logits = network(torch.randn(4, *space.input_shape))
        assert logits.shape == (4, 3)
        torch.nn.functional.cross_entropy(logits, torch.arange(4) % 3).backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("side", "stem", "sizes"),
    [
        (8, 1, [8, 4, 4]),
        (8, 2, [4, 4, 4]),
        (6, 2, [6, 6, 6]),
        (28, 1, [28, 14, 7]),
        (28, 2, [14, 7, 4]),
        (63, 1, [63, 32, 16]),
        (64, 1, [32, 16, 8]),
        (64, 2, [16, 8, 4]),
        (127, 1, [32, 16, 8]),
        (224, 2, [28, 14, 7]),
    ],
)
def test_large_images_are_halved_in_front_and_small_ones_keep_four_pixels(
    side: int, stem: int, sizes: list[int]
) -> None:
    space = residual(width=4, stem=stem, input_shape=(3, side, side))
    stages = on_meta(space, random_codes(space, 1, seed=0)[2]).features(  # type: ignore[operator]
        torch.zeros(1, 3, side, side, device="meta")
    )
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (channels, size, size) for channels, size in zip((4, 8, 16), sizes, strict=True)
    ]


@pytest.mark.parametrize("stems", [(1, 2), (2, 1)])
def test_a_stem_that_is_not_used_is_the_same_candidate_and_the_same_network(stems: tuple[int, int]) -> None:
    space = residual(width=(4, 8), stem=stems).for_data((1, 6, 40), 10)
    codes = random_codes(space, 20, seed=2)
    once = space.check(codes)
    assert (space.check(once) == once).all()
    assert {row["stem"] for row in space.decode(once)} == {1}
    assert (np.delete(once, 1, axis=1) == np.delete(codes, 1, axis=1)).all()
    other = residual(width=(4, 8), stem=stems, input_shape=(1, 6, 40))
    other.canonical = lambda given: given  # type: ignore[method-assign]
    for code in codes[:4]:
        assert str(on_meta(other, code)) == str(on_meta(space, code))
    large = space.for_data((1, 7, 40), 10)
    assert (large.check(codes) == codes).all()
    assert pickle.loads(pickle.dumps(space)).check(codes).tolist() == once.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8, 8), (66, 70)])
def test_candidates_that_differ_are_networks_that_differ(size: tuple[int, int]) -> None:
    space = residual(input_shape=(1, *size))
    near = space.neighbours(space.sample(1, np.random.default_rng(2))[0])
    assert len({str(on_meta(space, code)) for code in near}) == len(near)


def test_there_are_165888_candidates_and_the_stages_are_three_blocks_of_24() -> None:
    space = residual()
    assert space.size == 6 * 2 * 24**3 == 165_888
    assert blocks_of(space).sizes == (24, 24, 24, 6, 2)
    assert residual(width=16, stem=2).names == space.names[2:]
    assert [choice.ordered for choice in space.choices[:6]] == [True, True, True, False, True, False]


@pytest.mark.slow
def test_nodes_are_the_stages_with_the_shapes_they_say() -> None:
    for options in (FIXED, {"width": (5, 3), "stem": (2, 1), "input_shape": (3, 29, 31)}):
        space = residual(**options)
        blocks = blocks_of(space)
        for i, node in enumerate(space.nodes):
            for module in node_modules(space, blocks, i)[0]:
                assert module is not None
                assert (module.input_shape, module.output_shape) == (node.input_shape, node.output_shape)


def test_it_follows_the_data_and_a_rung_makes_it_narrower() -> None:
    for width, half in ((8, 4), ((8, 16), (4, 8))):
        space = residual(width=width).for_data((1, 8, 8), 7)
        code = space.check(random_codes(space, 1, seed=6)[2])
        network = space.build(code)
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
        assert sum(p.numel() for p in network.parameters()) == costs.space_counts(space, code)["params"][0]
        narrow = residual(width=half, input_shape=(1, 8, 8), n_classes=7)
        rung = sum(p.numel() for p in narrower(space, 0.5).build(code).parameters())
        assert rung == costs.space_counts(narrow, code)["params"][0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 0}, "takes width as a whole number of at least 1; got 0"),
        ({"width": "16"}, "takes width as a whole number of at least 1; got '16'"),
        ({"width": (8, 1.5)}, "takes each width as a whole number of at least 1; got 1.5"),
        ({"width": ()}, "choice 'width' has no options"),
        ({"width": (8, 8)}, "choice 'width' lists 8 more than once"),
        ({"stem": 4}, "takes stem as a stride of 1 or 2, or both; got 4"),
        ({"stem": (1, 3)}, r"takes stem as a stride of 1 or 2, or both; got \(1, 3\)"),
        ({"stem": True}, "takes stem as a whole number of at least 1; got True"),
        ({"stages": 0}, "takes stages as a whole number of at least 1; got 0"),
        ({"resolution": "8"}, "takes resolution as a whole number of at least 1; got '8'"),
        ({"input_shape": (8, 8)}, r"takes input_shape as \(channels, height, width\); got \(8, 8\)"),
        ({"n_classes": 0}, "takes n_classes as a whole number of at least 1; got 0"),
        ({"depth": 4}, "cannot be made with"),
    ],
)
def test_an_impossible_option_is_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        load_space("residual", **options)


@pytest.mark.parametrize(
    ("size", "stems"),
    [((8, 8), [1, 1, 1, 1, 1, 1, 1, 1]), ((28, 28), [2, 2, 2, 1, 2, 1, 2, 1]), ((96, 96), [2, 2, 2, 1, 2, 1, 2, 1])],
)
def test_the_reference_designs_are_plain_networks_with_a_stem_for_the_size(
    size: tuple[int, int], stems: list[int]
) -> None:
    space = pickle.loads(pickle.dumps(residual().for_data((1, *size), 10)))
    designs = space.decode(space.reference)
    assert [(design["width"], design["depth_1"]) for design in designs] == [
        (16, 1), (32, 1), (8, 1), (16, 2), (24, 1), (32, 2), (48, 1), (48, 2)
    ]  # fmt: skip
    assert [design["stem"] for design in designs] == stems
    for design in designs:
        assert {design[f"block_{stage}"] for stage in (1, 2, 3)} == {"residual"}
        assert {design[f"kernel_{stage}"] for stage in (1, 2, 3)} == {3}
        assert {design[f"squeeze_{stage}"] for stage in (1, 2, 3)} == {False}
        assert {design[f"depth_{stage}"] for stage in (1, 2, 3)} == {design["depth_1"]}


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        ({"width": 16}, [16, 16]),
        ({"width": (4, 8)}, [8]),
        ({"width": (4, 6), "stem": 2}, [4, 4, 6, 6]),
        ({"width": 5, "stem": 1, "stages": 1}, [5, 5]),
    ],
)
def test_reference_designs_are_of_the_widths_that_there_are(options: dict[str, Any], widths: list[int]) -> None:
    space = residual(**options, input_shape=(1, 5, 5))
    assert len(space.reference) == len(widths)
    assert [row.get("width", options["width"]) for row in space.decode(space.reference)] == widths


@pytest.mark.parametrize("name", slow_if(lambda name: name in ("auto", "bo", "portfolio"), plugins.names("strategy")))
def test_every_strategy_asks_for_new_candidates_of_it(name: str) -> None:
    space = residual(input_shape=(1, 8, 8))
    strategy = plugins.resolve("strategy", name)(Problem(space, 2, budget=24))
    seen: set[bytes] = set()
    for step in range(6):
        codes = strategy.ask(4, np.random.default_rng(step), np.empty((0, space.n_choices), dtype=np.int64))
        assert (space.check(codes) == codes).all()
        seen.update(keys(codes))
        assert len(seen) == 4 * (step + 1)
        counted = costs.space_counts(space, codes)
        losses = np.column_stack([-np.log(counted["params"]), counted["macs"]])
        strategy.tell(Observations(codes, losses, np.empty((4, 0))))


def test_one_width_and_one_stem_are_an_exact_sum_over_the_stages() -> None:
    space = residual(**FIXED)
    models, blocks = count_tables(space), blocks_of(space)
    codes = space.sample(50, np.random.default_rng(3))
    counted = costs.space_counts(space, codes)
    assert all(np.array_equal(models[name](blocks.choose(codes)), counted[name]) for name in models)
    picked, _ = front([models["params"], models["macs"]])
    assert len(picked)
    with pytest.raises(SearchkitError, match=r"of space 'residual' are no sum over its blocks.*'width'"):
        count_tables(residual(input_shape=(1, 8, 8)))


@pytest.mark.parametrize("options", [{}, FIXED])
def test_mathnas_learns_what_is_a_sum(options: dict[str, Any]) -> None:
    space = residual(**options)
    value = np.random.default_rng(4).normal(size=(space.n_choices, 6))
    codes = space.sample(150, np.random.default_rng(5))
    truth = value[np.arange(space.n_choices), codes].sum(axis=1)
    fitted = MathNAS(space).fit(codes[:100], truth[:100])
    assert np.corrcoef(fitted.score(codes[100:]), truth[100:])[0, 1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("options", [FIXED, {"width": (4, 8), "input_shape": (1, 8, 8)}], ids=["fixed", "chosen"])
def test_dna_rates_its_stages(options: dict[str, Any]) -> None:
    digits = load_data("digits", limit=100)
    space = residual(**options)
    quick = DNASetting(epochs=1, steps=1, images=32, rated=16, recalibrated=16, teacher_epochs=1, dimension=8)
    scores = Scorer(space, [DNA(space, digits, setting=quick)], digits)(space.sample(4, np.random.default_rng(0)))
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1


@pytest.mark.slow
def test_the_exact_strategy_searches_it_on_digits() -> None:
    result = searchkit.run(
        "exact", space=residual(width=2, stem=2), data="digits", budget=3, epochs=1, storage="memory", progress=False
    )
    assert len(result.history) == 3


def test_the_copy_of_a_space_keeps_its_form() -> None:
    small = residual(input_shape=(1, 4, 4))
    assert (copy.copy(small).check(random_codes(small, 5, seed=0))[:, 1] == 0).all()
