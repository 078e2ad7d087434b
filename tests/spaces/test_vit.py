"""Vision transformers as a space: exact counts, one row for equal networks, patches that suit the images, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.torchs_counts import flops
from torch import Tensor, nn

import searchkit
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.modules import node_modules
from searchkit.costs.counts import count, space_counts
from searchkit.data.loading import load_data
from searchkit.plugins import load_space
from searchkit.random_state import seeded
from searchkit.scoring.passes.activation_signs import Signs
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace
from searchkit.spaces.vit import Layer, vit
from searchkit.training.recipe import RecipeError, recipe_for
from searchkit.training.reduced import Reduction
from tests.helpers.recipes import recipes_made

TINY = vit(width=(6, 8), depth=(1, 2, 3), heads=(1, 2), ratio=(1, 2), head=4, input_shape=(1, 8, 8))
PROXIES = ("params", "macs", "layers", "naswot", "swap", "jacov", "grad_norm", "synflow", "zen", "zico", "vkdnw")


def outputs(space: NetworkSpace, code: np.ndarray, x: Tensor) -> Tensor:
    """Of the network of a code as it is, whose weights are drawn from one seed."""
    with seeded(0), torch.no_grad():
        network: nn.Module = space.builder(space.decode(code[None])[0], space.input_shape, space.n_classes)
        found: Tensor = network.eval()(x)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("input_shape", "n"), [((1, 8, 8), 10), ((2, 19, 30), 10), ((4, 3, 2), 10)])
def test_counts_are_torchs_own_with_attention_included(input_shape: tuple[int, int, int], n: int) -> None:
    space = load_space("vit").for_data(input_shape, 7)
    codes = space.sample(n, np.random.default_rng(0))
    counted = space_counts(space, codes)
    for i, code in enumerate(codes):
        network = space.build(code).eval()
        assert flops(network, torch.zeros(1, *input_shape)) == 2 * counted["macs"][i]
        assert sum(p.numel() for p in network.parameters()) == counted["params"][i]
        assert count(network, input_shape) == {name: values[i] for name, values in counted.items()}


def test_a_layer_has_two_products_of_all_pairs_of_tokens() -> None:
    tokens, inner = 9, 3 * 5
    found = count(Layer(7, heads=3, head=5, ratio=2), (7, 3, 3))["macs"]
    assert found == tokens * (4 * 7 * inner + 2 * 7 * 14) + 2 * tokens**2 * inner


@pytest.mark.slow
def test_rows_are_equal_where_networks_are() -> None:
    space = vit(width=(6, 8), depth=(1, 2), heads=(1, 2), ratio=(1, 2), head=4, input_shape=(1, 8, 8))
    x = torch.randn(2, *space.input_shape, generator=torch.Generator().manual_seed(0))
    codes = np.indices(tuple(space.n_options.tolist())).reshape(space.n_choices, -1).T
    found: dict[bytes, bytes] = {}
    for code, row in zip(codes, space.canonical(codes), strict=True):
        answer = outputs(space, code, x).numpy().tobytes()
        assert found.setdefault(row.tobytes(), answer) == answer
    assert len(found) == 2 * 2 * (4 + 4**2) < len(codes)
    assert len(set(found.values())) == len(found)  # rows that differ are networks that differ


def test_designs_to_begin_with_are_of_equal_layers_coarse_patches_first() -> None:
    for space in (load_space("vit"), load_space("vit", input_shape=(1, 8, 8)), TINY, vit(depth=9, width=(5, 7))):
        rows = space.decode(space.reference)
        assert len(rows) >= 2
        for row in rows:
            given = [value for name, value in row.items() if name.startswith("heads")][: row.get("depth", 9)]
            assert len(set(given)) == 1
        macs = space_counts(space, space.reference)["macs"]
        assert macs[0] < macs[1]  # coarse patches


def test_all_networks_are_each_there_once() -> None:
    layer = 2 * 2
    assert len(TINY.enumerate()) == 2 * 2 * (layer + layer**2 + layer**3)


@pytest.mark.parametrize(
    ("sides", "patches"),
    [((8, 8), (1, 2)), ((28, 28), (4, 7)), ((32, 32), (4, 8)), ((64, 64), (4, 8)), ((224, 224), (14, 28))],
)
def test_patches_divide_the_images_of_the_data(sides: tuple[int, int], patches: tuple[int, int]) -> None:
    space = load_space("vit").for_data((3, *sides), 2)
    assert space.choices[space.names.index("patch")].options == patches
    assert space.describe() == load_space("vit", input_shape=(3, *sides), n_classes=2).describe()


@pytest.mark.parametrize("input_shape", [(1, 1, 1), (1, 1, 9), (3, 2, 3), (2, 7, 5)])
def test_any_image_is_taken_to_its_last_pixel(input_shape: tuple[int, int, int]) -> None:
    for space in (TINY.for_data(input_shape, 1), vit(patch=(2, 3), width=4).for_data(input_shape, 1)):
        for code in space.check([[0] * space.n_choices, [1] * space.n_choices]):
            x = torch.randn(2, *input_shape, requires_grad=True)
            logits = space.build(code)(x)
            assert logits.shape == (2, 1)
            logits.sum().backward()
            assert x.grad is not None
            assert bool((x.grad != 0).all())


def test_given_patches_stay_whatever_the_images() -> None:
    space = vit(patch=(3, 2), width=4).for_data((1, 8, 8), 10)
    assert space.choices[0].options == (2, 3)
    assert space.names[:2] == ("patch", "depth")


def test_layers_that_are_always_there_are_blocks_and_the_depth_belongs_to_the_others() -> None:
    space = load_space("vit")
    blocks = blocks_of(space)
    assert blocks.names == ("layer_1", "layer_2", "layers_3_to_6", "patch", "width")
    assert blocks.sizes == (9, 9, sum(9**n for n in range(5)), 2, 3)
    rows = space.sample(50, np.random.default_rng(0))
    assert (blocks.codes(blocks.choose(rows)) == rows).all()
    for found in node_modules(TINY, blocks_of(TINY), 0)[0]:
        assert found is not None
        assert isinstance(found.module, Layer)
        assert found.input_shape == found.output_shape == (6, 8, 8)


def test_a_reduced_network_has_fewer_numbers_in_a_token_and_takes_smaller_images() -> None:
    space = load_space("vit").for_data((3, 32, 32), 10)
    code = space.sample(1, np.random.default_rng(0))[0]
    whole, thin = space.build(code), Reduction(width=0.5, resolution=16).of(space).build(code)
    assert thin.get_parameter("norm.weight").numel() * 2 == whole.get_parameter("norm.weight").numel()
    assert thin(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


@pytest.mark.slow
def test_every_proxy_of_one_network_has_a_finite_score() -> None:
    scorer = Scorer(TINY, [*PROXIES, "eproxy"], load_data("digits", limit=200))
    assert np.isfinite(scorer(TINY.sample(4, np.random.default_rng(0)))).all()


def test_az_nas_says_once_that_layers_of_one_shape_have_no_progressivity() -> None:
    scorer = Scorer(TINY, ["az_nas"])
    with pytest.warns(UserWarning, match="az_progressivity.*attention and blocks of one shape") as caught:
        scores = scorer(TINY.sample(6, np.random.default_rng(0)))
    assert len(caught) == 1
    finite = np.isfinite(scores)
    assert finite.all(axis=0).tolist() == [name != "az_progressivity" for name in scorer.names]
    assert not finite[:, scorer.names.index("az_progressivity")].any()


class Smooth(nn.Module):
    """One convolution whose units are of a kind."""

    def __init__(self, kind: str, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3), getattr(nn, kind)())
        self.classifier = nn.Linear(8, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.layers(x).mean(dim=(2, 3)))
        return found


@pytest.mark.parametrize("kind", ["GELU", "SiLU", "Mish"])
def test_smooth_units_are_active_where_rectified_ones_are(kind: str) -> None:
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    kernels, patterns = [], []
    for one in ("ReLU", kind):
        with seeded(0), Signs(5, torch.device("cpu"), agreement=True, n_patterns=5) as signs, torch.no_grad():
            Smooth(one, 10)(x)
        kernels.append(signs.kernel)
        patterns.append(signs.distinct(5))
    assert torch.equal(*kernels)
    assert patterns[0] == patterns[1] > 1
    assert float(kernels[0].diagonal()[0]) == 8 * 6 * 6


def search(folder: Path | str, **given: Any) -> searchkit.Result:
    call: dict[str, Any] = {"space": TINY, "data": "digits", "budget": 2, "epochs": 1, "progress": False}
    return searchkit.run("random", storage=folder, **(call | given))


@pytest.mark.slow
def test_the_space_brings_its_recipe_and_the_users_settings_come_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipes_made(monkeypatch)
    search("memory", budget=1)
    assert (made[-1].optimiser, made[-1].lr) == ("adamw", TINY.recipe["lr"])
    search("memory", budget=1, recipe={"lr": 0.001})
    assert (made[-1].optimiser, made[-1].lr) == ("adamw", 0.001)
    search("memory", budget=1, recipe={"optimiser": "sgd"})
    assert (made[-1].optimiser, made[-1].lr) == ("sgd", recipe_for("images", 1079, 1).lr)
    with pytest.raises(RecipeError, match="momentum is of sgd"):
        search("memory", budget=1, recipe={"momentum": 0.5})


@pytest.mark.slow
def test_a_planned_search_trains_by_the_recipe_of_the_space() -> None:
    plan = searchkit.plan(space=TINY, data="digits", budget={"seconds": 60})
    assert "adamw" in str(plan)


def test_a_recipe_that_a_space_may_not_bring_is_refused() -> None:
    space = NetworkSpace(TINY.choices, TINY.builder, recipe={"epochs": 3})
    with pytest.raises(RecipeError, match="what a space may bring is batch_size, lr"):
        search("memory", space=space)


@pytest.mark.slow
def test_an_exported_network_gives_the_same_outputs(tmp_path: Path) -> None:
    import onnxruntime

    result = search(tmp_path, objectives=("accuracy", "latency_ms"))
    assert (result.front["latency_ms"] > 0).all()
    onnx, *_ = result.export(0, tmp_path / "best")
    images = load_data("digits").test.x[:7]
    with torch.inference_mode():
        expected = result.build(0)(images).numpy()
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images.float().numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
