"""The space of a trained network: candidate 0 is that network, every alternative runs and costs what is counted."""

from __future__ import annotations

import functools
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.marks import thorough_if
from helpers.networks import FAMILIES, SHAPE, Basic, ViT, conv, network, pictures, pooled
from safetensors.torch import save_file
from torch import Tensor, nn

import searchkit
from searchkit import NetworkSpace
from searchkit.blocks import count_tables, front
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.modules import node_modules
from searchkit.compression import ModelSpace, model_space
from searchkit.costs.counts import count, peak_memory, space_counts, space_peak_memory
from searchkit.errors import ModelError, SpaceError
from searchkit.types import Codes

TESTS = Path(__file__).parents[1]


def run(module: nn.Module, fed: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(fed.clone())


@functools.cache
def space_of(family: str) -> ModelSpace:
    """The space of a network of a family, which no test changes."""
    return model_space(network(family), pictures())


def zero(space: NetworkSpace) -> Codes:
    return np.zeros(space.n_choices, dtype=np.int64)


def singles(space: NetworkSpace) -> Codes:
    """The network with one alternative at one node, for all of them."""
    rows = [zero(space)]
    for j, choice in enumerate(space.choices):
        for option in range(1, len(choice.options)):
            rows.append(zero(space))
            rows[-1][j] = option
    return np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize("family", thorough_if(lambda family: family in ("vit", "bottleneck", "densenet"), FAMILIES))
def test_candidate_0_is_the_network_bit_for_bit(family: str) -> None:
    model = network(family)
    space = NetworkSpace.from_model(model, pictures())
    built = space.build(zero(space))
    assert isinstance(space, ModelSpace)
    assert {choice.options[0] for choice in space.choices} == {"original"}
    assert list(built.state_dict()) == list(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(built.state_dict().values(), model.state_dict().values(), strict=True))
    assert torch.equal(run(built, pictures(5, 1)), run(model, pictures(5, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("family", thorough_if(lambda family: family in ("vit", "mobilenet", "densenet"), FAMILIES))
def test_every_alternative_runs_keeps_the_shape_and_costs_what_is_counted(family: str) -> None:
    space = space_of(family)
    codes = singles(space)
    counted = space.count(space, codes)  # type: ignore[misc]
    wanted = run(space.original, pictures()).shape
    for i, code in enumerate(codes):
        built = space.build(code)
        assert run(built, pictures()).shape == wanted
        assert count(built, SHAPE) == {name: values[i] for name, values in counted.items()}
    assert (counted["params"] <= counted["params"][0]).all()
    assert (counted["macs"] <= counted["macs"][0]).all()
    cheaper = (counted["params"] < counted["params"][0]) | (counted["macs"] < counted["macs"][0])
    assert cheaper[1:].all()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mobilenet", "vit", "unet"])
def test_random_assemblies_run_and_cost_what_is_counted(family: str) -> None:
    space = space_of(family)
    codes = space.sample(8, np.random.default_rng(0))
    counted = space_counts(space, codes)
    for i, code in enumerate(codes):
        built = space.build(code)
        assert torch.isfinite(run(built, pictures())).all()
        assert count(built, SHAPE) == {name: values[i] for name, values in counted.items()}
    assert space_peak_memory(space, codes[:1])[0] == peak_memory(space.build(codes[0]), SHAPE)


@pytest.mark.slow
def test_the_usual_alternatives_are_there() -> None:
    labels = {name: space_of(name).choices for name in ("resnet", "efficientnet", "vit", "vgg")}
    options = {name: {choice.name: set(choice.options) for choice in choices} for name, choices in labels.items()}
    usual = {"original", "width 1/2", "width 1/4", "width 1/8", "separable", "grouped 4", "kernel 1", "linear map"}
    assert options["resnet"]["2.1"] == {*usual, "no block"}
    assert options["resnet"]["2.0"] == usual
    assert options["efficientnet"]["2.1"] >= {"width 1/8", "kernel 3", "no block"}
    assert options["vit"]["layers.0"] == options["vit"]["layers.1"]
    assert options["vit"]["layers.0"] >= {"width 1/4", "heads 1/2", "heads 1/4, width 1/2", "no block"}
    assert options["vgg"]["0.4"] >= {"rank 1/2", "rank 1/8", "separable"}


@pytest.mark.slow
def test_alternatives_made_from_the_weights_are_nearer_than_fresh_ones() -> None:
    """A narrowed block and a linear map give something of the original's output; new weights give nothing of it."""
    space = model_space(network("resnet"), pictures(16))
    original = run(space.original, pictures(32, 3))
    for label in ("width 1/2", "rank 1/2", "linear map", "separable"):
        near, fresh = [], []
        for j, choice in enumerate(space.choices):
            if label in choice.options:
                code = zero(space)
                code[j] = choice.options.index(label)
                built = space.build(code)
                near.append(float((run(built, pictures(32, 3)) - original).square().mean()))
                torch.manual_seed(0)
                for part in built.get_submodule(choice.name).modules():
                    if isinstance(part, nn.Conv2d | nn.Linear):
                        part.reset_parameters()
                fresh.append(float((run(built, pictures(32, 3)) - original).square().mean()))
        assert np.mean(near) < np.mean(fresh), label


@pytest.mark.slow
def test_the_model_is_not_changed_and_shares_nothing_with_what_is_built() -> None:
    model = network("mobilenet")
    model[1].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    space = model_space(model, pictures())
    for code in singles(space)[[0, 1, -1]]:
        built = space.build(code)
        with torch.no_grad():
            for tensor in [*built.parameters(), *built.buffers()]:
                tensor.add_(1)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(run(space.build(zero(space)), pictures()), run(model, pictures()))
    assert [p.requires_grad for p in space.original.parameters()] == [p.requires_grad for p in model.parameters()]
    smaller = space.build(singles(space)[1])
    assert all(p.requires_grad for p in smaller.get_submodule(space.choices[0].name).parameters())


def test_blocks_counts_and_exact_fronts_work() -> None:
    space = space_of("resnet")
    tables = count_tables(space)
    blocks = blocks_of(space)
    assert blocks.names == space.names
    codes = space.sample(20, np.random.default_rng(1))
    assert np.allclose(tables["macs"](blocks.choose(codes)), space_counts(space, codes)["macs"])
    picked, values = front([tables["params"], tables["macs"]])
    counted = space_counts(space, blocks.codes(picked))
    assert np.allclose(np.column_stack([counted["params"], counted["macs"]]), values)
    assert values[:, 0].min() == tables["params"].base + sum(table.min() for table in tables["params"].tables)
    modules = node_modules(space, blocks, 1)[0]
    assert [one.output_shape for one in modules[:-1] if one is not None] == [(16, 16, 16)] * (blocks.sizes[1] - 1)
    assert (blocks.labels[1][0][-1], modules[-1]) == ("no block", None)


IN_ANOTHER_PROCESS = """
import pickle, sys, torch
from helpers.networks import pictures
space = pickle.load(open(sys.argv[1], "rb"))
with torch.no_grad():
    torch.save(
        [space.build([option] * space.n_choices)(pictures()) for option in range(2)], sys.argv[2]
    )
print(space.describe() == pickle.load(open(sys.argv[3], "rb")))
"""


@pytest.mark.slow
def test_the_space_travels_to_another_process(tmp_path: Path) -> None:
    space = space_of("vit")
    (tmp_path / "space").write_bytes(pickle.dumps(space))
    (tmp_path / "said").write_bytes(pickle.dumps(space.describe()))
    given = [str(tmp_path / name) for name in ("space", "outputs", "said")]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *given]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=TESTS, check=True)
    assert ended.stdout.strip() == "True"
    outputs = torch.load(tmp_path / "outputs")
    for option, out in enumerate(outputs):
        built = space.build(np.full(space.n_choices, option))
        torch.testing.assert_close(out, run(built, pictures()))


@pytest.mark.slow
def test_the_description_is_json_and_knows_the_weights() -> None:
    model = network("resnet")
    described = model_space(model, pictures()).describe()
    assert json.loads(json.dumps(described)) == described
    assert described == model_space(model.eval(), pictures()).describe()
    assert [choice["name"] for choice in described["choices"]] == ["0", "1.0", "1.1", "2.0", "2.1"]
    with torch.no_grad():
        model[0][0].weight[0, 0, 0, 0] += 1e-3
    assert model_space(model, pictures()).describe()["options"] != described["options"]


def test_weights_are_taken_out_and_put_in(tmp_path: Path) -> None:
    space = space_of("resnet")
    weights = space.weights()
    assert all(torch.equal(weights[name], tensor) for name, tensor in space.with_weights(weights).weights().items())
    learned = {name: tensor + 1 for name, tensor in weights.items() if name.startswith("1.0::width 1/2::")}
    save_file(learned, tmp_path / "learned.safetensors")
    other = space.with_weights(tmp_path / "learned.safetensors")
    code = space.encode({name: "width 1/2" if name == "1.0" else "original" for name in space.names})[0]
    state = other.build(code).state_dict()
    assert all(torch.equal(state["1.0." + name.split("::")[2]], tensor) for name, tensor in learned.items())
    assert not torch.equal(run(other.build(code), pictures()), run(space.build(code), pictures()))
    assert torch.equal(run(other.build(zero(space)), pictures()), run(space.build(zero(space)), pictures()))
    assert other.describe()["options"] != space.describe()["options"]
    assert (other.count(other, singles(space))["params"] == space.count(space, singles(space))["params"]).all()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("1.0::width 1/3::conv1.weight", lambda x: x, "no tensor.*Did you mean '1.0::width 1/.::conv1.weight'"),
        ("1.0::width 1/2::conv1.weight", lambda x: x[:1], "has shape"),
        ("1.0::width 1/2::conv1.weight", lambda x: x, "the weights lack"),
    ],
)
def test_weights_that_do_not_fit(name: str, change: object, said: str) -> None:
    space = space_of("resnet")
    tensor = space.weights()["1.0::width 1/2::conv1.weight"]
    with pytest.raises(SpaceError, match=said):
        space.with_weights({name: change(tensor)})  # type: ignore[operator]


class Wide(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 1)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("not today")


def own(name: str, module: nn.Module, before: tuple[int, ...], after: tuple[int, ...]) -> Mapping[str, nn.Module]:
    if name != "1.1":
        return {}
    with torch.no_grad():
        next(module.parameters()).zero_()  # a copy
    big = nn.Sequential(*(Basic(16, 16) for _ in range(3)))
    return {"mine": nn.Conv2d(16, 16, 1), "wide": Wide(), "broken": Broken(), "big": big, "same": Basic(16, 16)}


@pytest.mark.slow
def test_a_user_adds_alternatives_and_those_that_do_not_fit_are_said() -> None:
    model = network("resnet")
    space = model_space(model, pictures(), alternatives=own)
    choice = {choice.name: choice for choice in space.choices}["1.1"]
    assert choice.options[-1] == "mine"
    left_out = space.library.left_out["1.1"]
    assert "(32, 16, 16) and not (16, 16, 16)" in left_out["wide"]
    assert left_out["broken"] == "it raises RuntimeError: not today"
    assert "dearer" in left_out["big"]
    assert left_out["same"] == "it saves nothing"
    assert "left out: broken: it raises RuntimeError: not today" in space.report()
    assert torch.equal(run(space.build(zero(space)), pictures()), run(model, pictures()))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda *_: 1 / 0, "raised for node '0': ZeroDivisionError"),
        (lambda *_: [nn.Identity()], "dictionary of labels and modules"),
        (lambda *_: {"a": "b"}, "dictionary of labels and modules"),
        (lambda *_: {"original": nn.Identity()}, "'original' for node '0', which is there already"),
    ],
)
def test_a_function_of_alternatives_that_is_wrong(function: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        model_space(network("resnet"), pictures(), alternatives=function)  # type: ignore[arg-type]


class Looked(nn.Module):
    """Reads into its block, so that only alternatives with that part can stand there."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.tail = conv(3, 16), Basic(16, 16), nn.Sequential(*pooled(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.block(self.stem(x)) * self.block.conv2.weight.shape[0])


@pytest.mark.slow
def test_alternatives_with_which_the_network_does_not_run_are_left_out() -> None:
    space = model_space(Looked(), pictures())
    (choice,) = (choice for choice in space.choices if choice.name == "block")
    assert "width 1/2" in choice.options
    assert not {"no block", "linear map", "separable"} & set(choice.options)
    assert "AttributeError" in space.library.left_out["block"]["no block"]
    for code in singles(space):
        assert run(space.build(code), pictures()).shape == (4, 5)


@pytest.mark.slow
def test_nodes_by_name_are_the_choices() -> None:
    space = model_space(network("resnet"), pictures(), nodes=["1", "2.1"])
    assert space.names == ("1", "2.1")


def test_data_of_another_kind_are_refused() -> None:
    space = space_of("resnet")
    assert space.for_data(SHAPE, 5).n_choices == space.n_choices
    with pytest.raises(SpaceError, match="inputs of shape \\(3, 16, 16\\) and gives 5 classes, and the data have"):
        space.for_data(SHAPE, 6)
    with pytest.raises(SpaceError, match="the data have \\(1, 16, 16\\) and 5"):
        space.for_data((1, 16, 16), 5)


def test_a_network_without_alternatives_is_refused() -> None:
    with pytest.raises(ModelError, match="no node of Sequential has an alternative"):
        model_space(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), torch.randn(4, 4))
    with pytest.raises(ModelError, match="other outputs on each call"):
        NetworkSpace.from_model(nn.Sequential(nn.Conv2d(3, 8, 3), Always()), pictures())


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


@pytest.mark.slow
def test_a_search_over_the_space() -> None:
    torch.manual_seed(0)
    space = space_of("resnet")
    x, y = pictures(60, 5).numpy(), np.arange(60) % 5
    original = space_counts(space, zero(space)[None])["params"][0]
    result = searchkit.run(
        "random", space=space, data=(x, y), budget=3, epochs=1, constraints={"params": original / 2}, storage="memory",
        proxies=None, progress=False,
    )  # fmt: skip
    frame = result.front
    assert len(frame)
    assert (frame["params"] <= original / 2).all()
    assert run(result.build(0), pictures()).shape == (4, 5)


@pytest.mark.slow
def test_transformers_of_torch_keep_their_attention_without_a_fast_path() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = ViT()
            layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
            self.inner.layers = nn.Sequential(layer, nn.TransformerEncoderLayer(32, 4, 64, batch_first=True))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    space = model_space(Own(), pictures())
    assert all("heads 1/2" in choice.options for choice in space.choices if choice.name.startswith("inner.layers"))
    for code in singles(space):
        assert run(space.build(code), pictures()).shape == (4, 5)
