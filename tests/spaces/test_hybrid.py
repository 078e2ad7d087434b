"""Convolution and attention by stage: exact counts, one row for equal networks, and what block-wise methods take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.torchs_counts import flops

import searchkit
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.modules import node_modules
from searchkit.compression.cutting import cut
from searchkit.costs.counts import count, space_counts
from searchkit.data.loading import load_data
from searchkit.errors import SpaceError
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_setting import DNASetting
from searchkit.random_state import seeded
from searchkit.scoring.scorer import Scorer
from searchkit.spaces.hybrid import Layer, hybrid
from searchkit.spaces.hybrid_plan import plan_of, scales_of
from searchkit.training.reduced import Reduction

TINY = hybrid(width=4, layers=4, head=2, input_shape=(1, 8, 8))
EVEN = hybrid(width=4, layers=8, head=2, downs="even", input_shape=(1, 8, 8))
PROXIES = ("layers", "naswot", "swap", "grad_norm", "synflow", "zen", "vkdnw", "eproxy", "az_nas")


@pytest.mark.parametrize(("input_shape", "n"), [((1, 8, 8), 6), ((3, 32, 32), 6), ((2, 19, 30), 6)])
def test_counts_are_torchs_own_with_attention_included(input_shape: tuple[int, int, int], n: int) -> None:
    space = hybrid(width=(8, 12), layers=6, head=5).for_data(input_shape, 7)
    codes = space.sample(n, np.random.default_rng(0))
    counted = space_counts(space, codes)
    for i, code in enumerate(codes):
        network = space.build(code).eval()
        assert flops(network, torch.zeros(1, *input_shape)) == 2 * counted["macs"][i]
        assert sum(p.numel() for p in network.parameters()) == counted["params"][i]


def test_a_layer_of_attention_has_two_products_of_all_pairs_of_positions() -> None:
    found = count(Layer(6, 4, 6, kind="attention", heads=3, head=2, down=False, odd=False), (6, 3, 3))["macs"]
    assert found == 9 * (6 * 4 + 9 * 4 + 4 * 3 * 6 + 6 * 6) + 2 * 9**2 * 6


@pytest.mark.parametrize(
    ("side", "scales"),
    [(4, [4]), (7, [7, 4]), (8, [8, 4]), (32, [32, 16, 8, 4]), (64, [32, 16, 8, 4]), (224, [56, 28, 14, 7])],
)
def test_the_lowest_scale_has_at_least_four_pixels_and_that_of_large_images_the_published_seven(
    side: int, scales: list[int]
) -> None:
    assert [size[0] for size in plan_of((3, side, side)).sizes] == scales


@pytest.mark.slow
@pytest.mark.parametrize("input_shape", [(1, 8, 8), (1, 16, 17), (1, 4, 3)])
def test_rows_are_equal_where_networks_are(input_shape: tuple[int, int, int]) -> None:
    space = hybrid(width=2, layers=3, head=2, input_shape=input_shape)
    codes = np.indices(tuple(space.n_options.tolist())).reshape(space.n_choices, -1).T
    x = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    found: dict[bytes, bytes] = {}
    for code, row in zip(codes, space.canonical(codes), strict=True):
        with seeded(0), torch.no_grad():
            network = space.builder(space.decode(code[None])[0], space.input_shape, space.n_classes)
            answer = network.eval()(x).numpy().tobytes()
        assert found.setdefault(row.tobytes(), answer) == answer
    assert len(found) < len(codes)
    assert len(set(found.values())) == len(found)  # rows that differ are networks that differ


def test_attention_is_at_the_two_lowest_scales_and_at_most_three_downs_count() -> None:
    space = hybrid(layers=8)
    rows = space.decode(space.sample(60, np.random.default_rng(0)))
    assert max(sum(row[f"down_{i + 1}"] for i in range(8)) for row in rows) == 3
    for row in rows:
        scale = 0
        for i in range(8):
            scale += row[f"down_{i + 1}"]
            assert scale >= 2 or row[f"kind_{i + 1}"] == "convolution"


def test_designs_to_begin_with_go_down_to_the_lowest_scale_and_have_convolutions_and_both() -> None:
    for space in (hybrid(), hybrid(width=(4, 8), input_shape=(1, 8, 8)), TINY, EVEN, hybrid(layers=2, downs="even")):
        scales = scales_of(space, space.reference)
        assert (scales[:, -1] == min(len(plan_of(space.input_shape).sizes), scales.shape[1]) - 1).all()
        first, *others = [
            [value for name, value in row.items() if name.startswith("kind")] for row in space.decode(space.reference)
        ]
        assert set(first) == {"convolution"}
        assert all("attention" in kinds for kinds in others)


def test_layers_are_blocks_of_their_own_where_downs_are_searched() -> None:
    blocks = blocks_of(TINY)
    assert blocks.names == tuple(f"layer_{i + 1}" for i in range(4))
    assert blocks.sizes == (4,) * 4
    codes = TINY.sample(40, np.random.default_rng(0))
    assert (blocks.codes(blocks.choose(codes)) == codes).all()


def test_four_layers_are_a_block_of_fixed_shapes_where_downs_are_even() -> None:
    blocks = blocks_of(EVEN)
    assert blocks.names == ("layers_1_to_4", "layers_5_to_8")
    assert blocks.sizes == (16, 16)
    for block, (before, after) in enumerate([((4, 8, 8), (4, 8, 8)), ((4, 8, 8), (8, 4, 4))]):
        first = node_modules(EVEN, blocks, block)[0]
        for one, kind in zip(first, ("convolution", "attention"), strict=True):
            assert one is not None
            assert isinstance(one.module, Layer)
            assert (one.input_shape, one.output_shape) == (before, after)
            assert any(hasattr(part, "num_heads") for part in one.module.modules()) == (kind == "attention")


@pytest.mark.slow
def test_what_trains_blocks_by_themselves_takes_even_downs_and_refuses_others_in_a_sentence() -> None:
    quick = DNASetting(epochs=1, steps=2, images=64, rated=32, recalibrated=32, teacher_epochs=1)
    data = load_data("digits", limit=200)
    codes = EVEN.sample(3, np.random.default_rng(0))
    assert np.isfinite(DNA(EVEN, data, setting=quick).score(codes)).all()
    with pytest.raises(SpaceError, match="need one height and width at each node"):
        node_modules(TINY, blocks_of(TINY), 0)


def attending(choices: dict[str, object]) -> dict[str, float]:
    kinds = [value for name, value in choices.items() if name.startswith("kind")]
    return {"error": 5.0 - kinds.count("attention"), "downs": float(sum(v is True for v in choices.values()))}


@pytest.mark.parametrize("space", [TINY, EVEN], ids=["searched", "even"])
def test_exact_searches_under_values_of_layers(space: searchkit.NetworkSpace) -> None:
    result = searchkit.run(
        "exact", space=space, evaluate=attending, objectives={"error": "min", "downs": "min"}, budget=24,
        storage="memory", progress=False,
    )  # fmt: skip
    least = min(trial.values["error"] for trial in result.trials)
    assert least == 5 - space.options["layers"]  # attention in all of them


def test_a_network_is_cut_into_its_layers() -> None:
    network = TINY.build(TINY.reference[1]).eval()
    found = [node.name for node in cut(network, torch.randn(2, 1, 8, 8)).nodes]
    assert [name for name in found if name.startswith("layers")] == [f"layers.{i}" for i in range(4)]


def test_a_reduced_network_is_narrower_and_takes_smaller_images() -> None:
    space = hybrid().for_data((3, 64, 64), 10)
    code = space.reference[2]
    whole, thin = space.build(code), Reduction(width=0.5, resolution=32).of(space).build(code)
    assert thin.get_parameter("classifier.weight").numel() * 2 == whole.get_parameter("classifier.weight").numel()
    assert thin(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.slow
def test_every_proxy_of_one_network_has_a_finite_score() -> None:
    scorer = Scorer(TINY, PROXIES, load_data("digits", limit=200))
    assert np.isfinite(scorer(TINY.sample(3, np.random.default_rng(0)))).all()


@pytest.mark.slow
def test_an_exported_network_gives_the_same_outputs(tmp_path: Path) -> None:
    import onnxruntime

    result = searchkit.run(
        "random", space=TINY, data="digits", budget=1, start=TINY.reference[2:3], epochs=1, storage=tmp_path,
        progress=False,
    )  # fmt: skip
    onnx, *_ = result.export(0, tmp_path / "best")
    images = load_data("digits").test.x[:7]
    with torch.inference_mode():
        expected = result.build(0)(images).numpy()
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images.float().numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
