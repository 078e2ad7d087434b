"""The space mobilenet: what it builds is what it counts and names, and every strategy searches it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.marks import thorough_if

import searchkit
from searchkit import plugins
from searchkit.blocks.additive import blocks_of
from searchkit.costs import counts as costs
from searchkit.errors import SpaceError
from searchkit.plugins import load_space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import NetworkSpace, keys
from searchkit.spaces.layers import InvertedResidual, divisible
from searchkit.spaces.mobilenet import mobilenet
from searchkit.training.reduced import narrower
from searchkit.types import Codes

OPTIONS: dict[str, dict[str, Any]] = {
    "digits": {"width": 0.25, "input_shape": (1, 8, 8)},
    "wide, on 32x32": {"width": 1.2, "input_shape": (3, 32, 32), "n_classes": 7},
    "resized": {"width": 0.1, "resolution": 33, "input_shape": (3, 8, 12), "n_classes": 3},
    "three resolutions": {"width": 0.35, "resolution": (16, 131, 8), "input_shape": (2, 11, 16)},
    "as published": {"width": 1.2, "input_shape": (3, 224, 224), "n_classes": 1000},
}
spaces = pytest.mark.parametrize("space", [mobilenet(**options) for options in OPTIONS.values()], ids=OPTIONS.keys())
some_spaces = pytest.mark.parametrize("space", [mobilenet(**OPTIONS[name]) for name in ("digits", "resized")])
NAMES = plugins.names("strategy")
N_NETWORKS = (9**2 + 9**3 + 9**4) ** 5


def random_codes(space: NetworkSpace, n: int, seed: int) -> Codes:
    """Codes as a user gives them, not canonical; the smallest network is the first, the largest the second."""
    codes = np.random.default_rng(seed).integers(0, space.n_options, size=(n, space.n_choices))
    return np.vstack([np.zeros_like(space.n_options), space.n_options - 1, codes])


def on_meta(space: NetworkSpace, code: Codes) -> torch.nn.Module:
    with torch.device("meta"):
        return space.build(code).eval()


@pytest.mark.slow
@spaces
def test_params_and_macs_are_those_of_the_network_that_is_built(space: NetworkSpace) -> None:
    codes = random_codes(space, 3, seed=0)
    counted = costs.space_counts(space, codes)
    for i, code in enumerate(codes):
        built = costs.count(on_meta(space, code), space.input_shape)
        assert built == {"params": counted["params"][i], "macs": counted["macs"][i]}


def test_its_layers_make_mobilenet_v3_large_to_the_published_parameter() -> None:
    layers = [  # input, hidden and output channels, kernel, squeeze-and-excitation: table 1 of arXiv 1905.02244
        (16, 16, 16, 3, False), (16, 64, 24, 3, False), (24, 72, 24, 3, False), (24, 72, 40, 5, True),
        (40, 120, 40, 5, True), (40, 120, 40, 5, True), (40, 240, 80, 3, False), (80, 200, 80, 3, False),
        (80, 184, 80, 3, False), (80, 184, 80, 3, False), (80, 480, 112, 3, True), (112, 672, 112, 3, True),
        (112, 672, 160, 5, True), (160, 960, 160, 5, True), (160, 960, 160, 5, True),
    ]  # fmt: skip
    n_params = (27 + 2) * 16 + (160 + 2) * 960 + (960 + 1) * 1280 + (1280 + 1) * 1000  # the stem and the head
    for n_in, hidden, n_out, kernel, squeeze in layers:
        layer = InvertedResidual(n_in, hidden, n_out, kernel=kernel, stride=1, squeeze=squeeze, hard_swish=True)
        n_params += sum(p.numel() for p in layer.parameters())
    assert n_params == 5_483_032


def test_channels_stay_divisible_by_8_and_lose_no_more_than_a_tenth() -> None:
    published = [16, 24, 40, 80, 112, 160, 960, 1280]
    assert [divisible(n) for n in published] == published
    assert [divisible(1.2 * n) for n in published] == [24, 32, 48, 96, 136, 192, 1152, 1536]
    assert [divisible(n) for n in (0.1, 8, 10, 11.9, 12)] == [8, 8, 16, 16, 16]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "sizes"),
    [
        (224, [56, 28, 14, 14, 7]),
        (97, [25, 13, 7, 7, 4]),
        (96, [24, 12, 6, 6, 6]),
        (32, [8, 4, 4, 4, 4]),
        (8, [4, 4, 4, 4, 4]),
        (3, [3, 3, 3, 3, 3]),
    ],
)
def test_a_stride_is_taken_while_four_pixels_are_left(side: int, sizes: list[int]) -> None:
    space = mobilenet(input_shape=(3, side, side))
    stages = on_meta(space, random_codes(space, 1, seed=0)[2]).features(  # type: ignore[operator]
        torch.zeros(1, 3, side, side, device="meta")
    )
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (channels, size, size) for channels, size in zip((24, 40, 80, 112, 160), sizes, strict=True)
    ]


@spaces
def test_the_canonical_form_is_idempotent_and_keeps_the_network(space: NetworkSpace) -> None:
    codes = random_codes(space, 200, seed=1)
    once = space.check(codes)
    assert (space.check(once) == once).all()
    assert (once != codes).any()
    given, kept = costs.space_counts(space, codes), costs.space_counts(space, once)
    assert all((given[name] == kept[name]).all() for name in ("params", "macs"))
    depths = [column for column, name in enumerate(space.names) if name.startswith("depth")]
    assert (once[:, depths] == codes[:, depths]).all()


def test_layers_beyond_the_depth_make_no_other_candidate() -> None:
    space = mobilenet()
    shallow = dict.fromkeys(space.names, 3) | {f"depth_{stage}": 2 for stage in range(1, 6)}
    twin = shallow | {"kernel_2_3": 7, "expansion_2_3": 6, "kernel_5_4": 5}
    other = shallow | {"kernel_2_2": 7}
    codes = space.encode([shallow, twin, other])
    assert (codes[0] == codes[1]).all()
    assert (codes[0] != codes[2]).any()


@pytest.mark.thorough
def test_candidates_that_differ_are_networks_that_differ() -> None:
    space = mobilenet(width=0.1, resolution=(8, 16), input_shape=(1, 8, 8))
    near = space.neighbours(space.sample(1, np.random.default_rng(2))[0])
    assert len({str(on_meta(space, code)) for code in near}) == len(near)


@pytest.mark.slow
def test_there_are_over_ten_to_the_nineteen_networks_in_five_blocks() -> None:
    space = mobilenet()
    blocks = blocks_of(space)
    assert blocks.sizes == (7371,) * 5
    assert math.prod(blocks.sizes) == N_NETWORKS == 21_758_655_492_572_485_851
    assert blocks.nodes[1] == tuple(f"stage_2_layer_{layer}" for layer in range(1, 5))
    assert {labels[-1] for labels in blocks.labels[0][2:]} == {"no block"}
    resolutions = blocks_of(mobilenet(resolution=(8, 16, 32)))
    assert resolutions.sizes == (*(7371,) * 5, 3)
    assert resolutions.names[-1] == "resolution"


@pytest.mark.slow
@spaces
def test_blocks_and_codes_are_two_ways_to_say_the_same(space: NetworkSpace) -> None:
    blocks = blocks_of(space)
    codes = space.check(random_codes(space, 200, seed=3))
    assert (blocks.codes(blocks.choose(codes)) == codes).all()


def shapes_seen(network: torch.nn.Module, modules: list[str], input_shape: tuple[int, ...]) -> dict[str, Any]:
    """The shapes of one image before and after each module, in the order of the calls."""
    seen: dict[str, Any] = {}

    def note(module: str) -> Callable[..., None]:
        return lambda _, x, y: seen.update({module: (tuple(x[0].shape[1:]), tuple(y.shape[1:]))})

    for module in modules:
        network.get_submodule(module).register_forward_hook(note(module))
    network(torch.zeros(1, *input_shape, device="meta"))
    return seen


@pytest.mark.slow
@some_spaces
def test_nodes_are_modules_of_the_network_with_the_shapes_they_say(space: NetworkSpace) -> None:
    for code in random_codes(space, 3, seed=4):
        choices = space.decode(code)[0]
        if "resolution" in choices:  # of several resolutions the nodes tell the largest
            choices["resolution"] = max(space.options["resolution"])
        network = on_meta(space, space.encode(choices)[0])
        modules = dict(network.named_modules())
        expected = {}
        for node in space.nodes:
            there = node.optional is None or choices[node.optional[0]] >= node.optional[1]
            assert (node.module in modules) == there
            if there:
                expected[node.module] = (node.input_shape, node.output_shape)
        seen = shapes_seen(network, list(expected), space.input_shape)
        assert list(seen.items()) == list(expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "wide, on 32x32", "resized"])
def test_every_parameter_learns(name: str) -> None:
    space = mobilenet(**OPTIONS[name])
    for code in random_codes(space, 1, seed=5):
        network = space.build(code)
        x = torch.randn(4, *space.input_shape)
        logits = network(x)
        assert logits.shape == (4, space.n_classes)
        before = [p.detach().clone() for p in network.parameters()]
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        torch.nn.functional.cross_entropy(logits, torch.arange(4) % space.n_classes).backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
        optimiser.step()
        assert any((p != old).any() for p, old in zip(network.parameters(), before, strict=True))


def test_several_resolutions_are_the_last_choice_and_images_stay_the_users() -> None:
    space = load_space("mobilenet", width=0.25, resolution=[8, 24], input_shape=(1, 9, 9))
    assert space.names[-1] == "resolution"
    assert space.choices[-1].options == (8, 24)
    assert space.choices[-1].ordered
    small, large = np.zeros((2, space.n_choices), dtype=np.int64)
    large[-1] = 1
    counted = costs.space_counts(space, np.stack([small, large]))
    assert counted["params"][0] == counted["params"][1]
    assert counted["macs"][0] < counted["macs"][1]
    for code, side in ((small, 4), (large, 6)):
        network = space.build(code).eval()
        assert network(torch.zeros(2, 1, 9, 9)).shape == (2, 10)
        assert network.features(torch.zeros(1, 1, 9, 9))[-1].shape[-1] == side  # type: ignore[operator]


@pytest.mark.slow
def test_it_follows_the_data_and_a_rung_makes_it_narrower() -> None:
    space = load_space("mobilenet", width=0.5).for_data((1, 8, 8), 7)
    code = random_codes(space, 1, seed=6)[2]
    network = space.build(code)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    assert sum(p.numel() for p in network.parameters()) == costs.space_counts(space, code[None])["params"][0]
    narrow = mobilenet(width=0.25, input_shape=(1, 8, 8), n_classes=7)
    rung = sum(p.numel() for p in narrower(space, 0.5).build(code).parameters())
    assert rung == costs.space_counts(narrow, code[None])["params"][0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 0}, "takes width as a number above 0; got 0"),
        ({"width": -1.5}, "takes width as a number above 0; got -1.5"),
        ({"width": math.nan}, "takes width as a number above 0; got nan"),
        ({"width": math.inf}, "takes width as a number above 0; got inf"),
        ({"width": True}, "takes width as a number above 0; got True"),
        ({"width": "1.0"}, "takes width as a number above 0; got '1.0'"),
        ({"width": (0.5, 1.0)}, r"takes width as a number above 0; got \(0.5, 1.0\)"),
        ({"resolution": 0}, "takes resolution as a whole number of at least 1; got 0"),
        ({"resolution": "16"}, "takes resolution as a whole number of at least 1; got '16'"),
        ({"resolution": (16, 1.5)}, "takes each resolution as a whole number of at least 1; got 1.5"),
        ({"resolution": ()}, "choice 'resolution' has no options"),
        ({"resolution": (16, 16)}, "choice 'resolution' lists 16 more than once"),
        ({"input_shape": (8, 8)}, r"takes input_shape as \(channels, height, width\); got \(8, 8\)"),
        ({"n_classes": 0}, "takes n_classes as a whole number of at least 1; got 0"),
        ({"stages": 4}, "cannot be made with"),
    ],
)
def test_an_impossible_option_is_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        load_space("mobilenet", **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", thorough_if(lambda name: name in ("auto", "bo", "portfolio"), NAMES))
def test_every_strategy_asks_for_new_candidates_of_it(name: str) -> None:
    space = mobilenet(width=0.25, resolution=(8, 16), input_shape=(1, 8, 8))
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


@pytest.mark.slow
def test_it_is_searched_on_digits_and_leaves_as_onnx(tmp_path: Path) -> None:
    result = searchkit.run(
        "random", space=mobilenet(width=0.1, resolution=(8, 9)), data="digits", objectives=("accuracy", "macs"),
        budget=1, epochs=1, storage="memory", progress=False,
    )  # fmt: skip
    assert {path.suffix for path in result.export(0, tmp_path / "best")} == {".onnx", ".safetensors", ".json"}


@pytest.fixture
def ofa(real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the closed-form benchmark, where its data are."""
    real_data("ofa_surrogate/ofa_mbv3_acc_predictor.npz")
    real_data("ofa_surrogate/ofa_note10_latency_lut.csv.gz")
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return importlib.import_module("benchmarks.common.ofa")


def test_the_published_latency_table_is_of_the_layers_that_the_space_names(
    ofa: Any, real_data: Callable[[str], Path]
) -> None:
    rows = pd.read_csv(real_data("ofa_surrogate/ofa_note10_latency_lut.csv.gz"))
    for resolution in ofa.RESOLUTIONS:
        space = ofa.ofa_space(resolution)
        layers = [key for i, node in enumerate(space.nodes) for key in ofa.layer_keys(node, i // 4)]
        assert {*layers, *ofa.fixed_keys(space)} == set(rows["key"][rows["resolution"] == resolution])


def test_published_latency_is_a_sum_over_the_layers_that_are_there(ofa: Any, real_data: Callable[[str], Path]) -> None:
    rows = pd.read_csv(real_data("ofa_surrogate/ofa_note10_latency_lut.csv.gz"))
    table = rows[rows["resolution"] == 192].set_index("key")["mean_ms"]
    space = ofa.ofa_space(192)
    codes = random_codes(space, 5, seed=7)
    for choices, found in zip(space.decode(codes), ofa.latency_ms(codes, 192), strict=True):
        total = sum(table[key] for key in ofa.fixed_keys(space))
        for i, node in enumerate(space.nodes):
            if node.optional is None or choices[node.optional[0]] >= node.optional[1]:
                hidden = node.input_shape[0] * choices[node.choices[1]]
                part = f"-expand:{hidden}-kernel:{choices[node.choices[0]]}-"
                total += sum(table[key] for key in ofa.layer_keys(node, i // 4) if part in key)
        assert found == pytest.approx(total, rel=1e-12)


@pytest.mark.slow
def test_published_latency_is_additive_over_the_blocks(ofa: Any) -> None:
    space = ofa.ofa_space()
    model, blocks = ofa.additive_latency(space), blocks_of(space)
    codes = random_codes(space, 500, seed=8)
    picked = blocks.choose(space.check(codes))
    np.testing.assert_allclose(model(picked), ofa.latency_ms(codes), rtol=1e-12)
    assert (ofa.latency_ms(codes) == ofa.latency_ms(space.check(codes))).all()
    with pytest.raises(SpaceError, match="the latency table is of"):
        ofa.additive_latency(mobilenet(width=1.0, input_shape=(3, 224, 224), n_classes=1000))
    with pytest.raises(SpaceError, match="share the resolutions"):
        ofa.ofa_space(164)


def test_the_predictor_is_given_what_it_was_trained_on(ofa: Any, real_data: Callable[[str], Path]) -> None:
    space = ofa.ofa_space(176)
    codes = random_codes(space, 5, seed=9)
    with np.load(real_data("ofa_surrogate/ofa_mbv3_acc_predictor.npz")) as held:
        weights = dict(held)
    for choices, found in zip(space.decode(codes), ofa.accuracy(codes, 176), strict=True):
        x = np.zeros(128)
        for stage in range(5):
            for layer in range(choices[f"depth_{stage + 1}"]):
                place = 3 * (4 * stage + layer)
                x[place + (3, 5, 7).index(choices[f"kernel_{stage + 1}_{layer + 1}"])] = 1
                x[60 + place + (3, 4, 6).index(choices[f"expansion_{stage + 1}_{layer + 1}"])] = 1
        x[120 + (176 - 112) // 16] = 1
        for i in (0, 2, 4):
            x = np.maximum(weights[f"{i}_weight"] @ x + weights[f"{i}_bias"], 0)
        assert found == pytest.approx(100 * (weights["6_weight"] @ x + weights["6_bias"])[0], abs=1e-3)


def test_published_accuracy_and_latency_grow_with_the_network(ofa: Any) -> None:
    ends = random_codes(ofa.ofa_space(), 0, seed=0)
    accuracy, latency = ofa.accuracy(ends), ofa.latency_ms(ends)
    assert 70 < accuracy[0] < accuracy[1] < 85
    assert 10 < latency[0] < latency[1] < 100
    assert ofa.accuracy(ends, 160)[1] < accuracy[1]
    assert ofa.latency_ms(ends, 160)[1] < latency[1]
