"""A network in nodes: blocks are found, most of the work is covered, and what cannot be taken is said."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.networks import FAMILIES, Basic, ViT, conv, network, pictures, pooled
from torch import Tensor, nn
from torch.nn import functional

from searchkit.compression import cut, model_space
from searchkit.costs.counts import count, module_macs
from searchkit.errors import ModelError

# family -> the nodes that stand where a person would cut
BLOCKS = {
    "resnet": ["0", "1.0", "1.1", "2.0", "2.1"],
    "bottleneck": ["0", "1", "2", "3"],
    "mobilenet": ["0", "1", "2", "3", "4"],
    "efficientnet": ["0", "1", "2.0", "2.1", "3"],
    "vgg": ["0.0", "0.1", "0.3", "0.4", "0.6", "1"],
    "vit": [f"layers.{i}" for i in range(6)],
    "convnext": ["1", "2", "3", "4", "5"],
    "unet": ["enter", "down1", "down2", "up1", "join1", "up2", "join2"],
    "densenet": ["0", *(f"1.layers.{i}" for i in range(4)), "2", *(f"3.layers.{i}" for i in range(4))],
    "untraceable": ["stem", *(f"blocks.b{i}" for i in range(4)), "widen", "join.mix"],
    "twice": ["stem", "first", "second", "last"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_nodes_are_the_blocks_and_cover_the_work(family: str) -> None:
    model = network(family)
    found = cut(model, pictures(2))
    assert [node.name for node in found.nodes] == BLOCKS[family]
    if family != "twice":
        assert found.covered >= 0.95
    whole = count(model, pictures().shape[1:])
    assert (found.macs, found.params) == (whole["macs"], whole["params"])
    for node in found.nodes:
        assert {"macs": node.macs, "params": node.params} == count(model.get_submodule(node.name), node.input_shape)
        assert node.name in found.report()


@pytest.mark.slow
def test_shapes_and_kinds_are_those_of_the_modules() -> None:
    node = {node.name: node for node in cut(network("resnet"), pictures()).nodes}["2.0"]
    assert (node.input_shape, node.output_shape, node.kind, node.block) == (
        (16, 16, 16),
        (32, 8, 8),
        "convolution",
        True,
    )
    assert {node.kind for node in cut(network("vit"), pictures()).nodes} == {"attention"}


def test_the_macs_of_modules_are_those_of_their_parts() -> None:
    model = network("resnet")
    macs = module_macs(model, (3, 16, 16))
    assert (
        macs[""] == count(model, (3, 16, 16))["macs"] == sum(macs[str(i)] for i in range(len(list(model.children()))))
    )
    assert macs["1.0"] == 2 * 9 * 16 * 16 * 16 * 16
    assert module_macs(network("twice"), (3, 16, 16))["block"] == 2 * macs["1.0"]


def test_what_is_shared_or_called_twice_is_kept_and_said() -> None:
    found = cut(network("twice"), pictures())
    assert found.kept == {
        "block": "it is called 2 times",
        "one": "it shares weights with other",
        "other": "it shares weights with one",
    }
    assert "kept: block: it is called 2 times" in found.report()


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Bilinear(16, 16, 16)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.mix(a, b)


class Odd(nn.Module):
    """A part with two inputs, one at two places, one that is given by keyword, one that returns a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.two, self.last = conv(3, 16), TwoInputs(), Basic(16, 16)
        self.place = Basic(16, 16)
        self.again = nn.ModuleList([self.place])
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.scaled = Scaled()

    def forward(self, x: Tensor) -> Tensor:
        x = self.scaled(self.last(self.place(self.stem(x))), factor=2.0).mean((2, 3))
        x = self.lstm(x[:, None])[0][:, 0]
        return self.two(x, x)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, 1, 1)

    def forward(self, x: Tensor, factor: float) -> Tensor:
        return x + factor * self.conv(functional.relu(x))


def test_parts_of_other_forms_are_kept_and_said() -> None:
    found = cut(Odd(), pictures())
    assert [node.name for node in found.nodes] == ["stem", "last", "scaled.conv"]
    assert "two places" in found.kept["place"]
    assert "2 tensors" in found.kept["two"]
    assert "tuple" in found.kept["lstm"]


class Leaning(nn.Module):
    """A block that reads what its parent left elsewhere: alone it gives other outputs."""

    def __init__(self, place: dict[str, Tensor]) -> None:
        super().__init__()
        self.conv, self.place = nn.Conv2d(16, 16, 3, 1, 1), place

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x) + self.place["x"]
        self.place["x"] = self.place["x"] * 0
        return out


class Leaned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.place: dict[str, Tensor] = {}
        self.stem, self.block, self.head = conv(3, 16), Leaning(self.place), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        self.block.place["x"] = x
        return self.head(self.block(x).mean((2, 3)))


def test_a_module_that_does_other_things_alone_is_no_node() -> None:
    found = cut(Leaned(), pictures())
    assert [node.name for node in found.nodes] == ["stem", "head"]
    assert found.kept == {"block": "alone it gives another output than in the network"}


class Listed(nn.Module):
    """Most of the work is in blocks of a list, which have a hundredth of the parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.blocks = nn.ModuleList(Basic(8, 8) for _ in range(3))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 256, 100), nn.ReLU(), nn.Linear(100, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Branches(nn.Module):
    """Most of the work of the network in four parallel convolutions and one behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=i, dilation=i) for i in range(1, 5))
        self.project = nn.Conv2d(64, 16, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([branch(x) for branch in self.branches], 1))


class Dropped(nn.Module):
    """Blocks that are called with a rate, which counts in training alone, or with a factor that always counts."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.blocks = nn.ModuleList(Rated(8) for _ in range(3))
        self.head = nn.Linear(8, 10)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x = block(x, 0.1 * i, factor=self.factor)
        return self.head(x.mean((2, 3)))


class Rated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, 4 * width), conv(4 * width, width)

    def forward(self, x: Tensor, rate: float | None = None, factor: float = 1.0) -> Tensor:
        out = self.second(self.first(x))
        return x + factor * functional.dropout(out, rate or 0.0, self.training)


@pytest.mark.slow
def test_further_arguments_that_change_nothing_do_not_hinder() -> None:
    model = Dropped(1.0).eval()
    found = cut(model, pictures(2))
    assert {node.name: node.further for node in found.nodes} == {f"blocks.{i}": True for i in range(3)}
    space = model_space(model, pictures(4))
    for code in [*np.eye(space.n_choices, dtype=np.int64), *space.sample(8, np.random.default_rng(0))]:
        assert space.build(code)(pictures(2)).shape == (2, 10)
    labels = [choice.labels for choice in space.choices if choice.name == "blocks.1"]
    assert {"width 1/2", "no block"} <= set(labels[0])


def test_further_arguments_that_count_keep_a_block_from_being_a_node() -> None:
    found = cut(Dropped(0.5).eval(), pictures(2))
    assert not any(node.name in ("blocks.0", "blocks.1", "blocks.2") for node in found.nodes)
    assert any(node.name.startswith("blocks.0.") for node in found.nodes)


def test_a_part_with_most_of_the_work_is_taken_apart() -> None:
    found = cut(nn.Sequential(conv(3, 16), Branches(), *pooled(16)), pictures())
    assert [node.name for node in found.nodes][:6] == ["0", *(f"1.branches.{i}" for i in range(4)), "1.project"]


def test_blocks_in_a_list_that_is_not_called_are_found() -> None:
    assert [node.name for node in cut(Listed(), pictures()).nodes] == [
        "stem",
        "blocks.0",
        "blocks.1",
        "blocks.2",
        "head",
    ]


class Thin(nn.Module):
    """Forty layers of 1 to 3 % of the work each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(8, 8, 3 if i % 8 else 1, 1, "same") for i in range(60))
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = functional.relu(layer(x))
        return self.head(x.mean((2, 3)))


def test_smaller_layers_are_taken_where_the_larger_ones_cover_too_little() -> None:
    found = cut(Thin(), pictures())
    assert found.covered >= 0.95
    assert len(found.nodes) == 53


def test_nodes_by_name() -> None:
    assert [node.name for node in cut(network("resnet"), pictures(), nodes=["2", "1.0.conv1"]).nodes] == [
        "1.0.conv1",
        "2",
    ]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (["blocks.b5"], "no such module. Did you mean 'blocks.b"),
        (["join"], "'join', which cannot be a node: it takes 2 tensors"),
        (["blocks"], "'blocks', which cannot be a node: it is not called"),
        (["blocks.b0", "blocks.b0.conv1"], "'blocks.b0.conv1', which is inside 'blocks.b0'"),
        (["stem", "stem"], "more than once"),
        ("stem", "list of dotted names"),
        ([], "list of dotted names"),
        ([""], "no such module"),
    ],
)
def test_nodes_that_cannot_be(nodes: list[str], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        cut(network("untraceable"), pictures(), nodes=nodes)


def state_of(model: nn.Module) -> list[object]:
    return [
        *((name, value.clone(), value.requires_grad) for name, value in model.state_dict(keep_vars=True).items()),
        *((name, m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for name, m in model.named_modules()),
        *(sorted(vars(tensor)) for tensor in model.parameters()),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mobilenet", "vit", "twice"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_and_the_random_states_are_as_they_were(family: str, training: bool) -> None:
    model = network(family).train(training)
    next(model.parameters()).requires_grad_(False)
    example = pictures(1)
    before, fed, drawn = state_of(model), example.clone(), torch.get_rng_state()
    cut(model, example)
    assert str(state_of(model)) == str(before)
    assert all(
        a is not b and torch.equal(a[1], b[1])
        for a, b in zip(state_of(model), before, strict=True)
        if isinstance(a, tuple) and isinstance(a[1], Tensor)
    )  # type: ignore[index]
    assert torch.equal(example, fed)
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.slow
def test_an_array_and_a_single_picture_are_examples() -> None:
    model, one = network("resnet"), pictures(1)
    wanted = cut(model, pictures(3))
    assert (
        cut(model, one).nodes == cut(model, one.numpy()).nodes == cut(model, one.double().numpy()).nodes == wanted.nodes
    )
    assert cut(model, (255 * pictures(2).clamp(0, 1)).numpy().astype(np.uint8)).nodes == wanted.nodes


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network("resnet")

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(self.body(x), 0.5, training=True)


class Several(nn.Module):
    def __init__(self, gives: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.body, self.gives = network("resnet"), gives

    def forward(self, x: Tensor) -> object:
        return self.gives(self.body(x))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten())


@pytest.mark.parametrize(
    ("model", "example", "said"),
    [
        (None, pictures(), "model is a torch.nn.Module, not a NoneType"),
        (ViT, pictures(), "model is a torch.nn.Module, not the class ViT"),
        (network("resnet").half(), pictures(), "weights in float16; give a copy in float32"),
        (network("resnet").double(), pictures(), "weights in float64; give a copy in float32"),
        (copy.deepcopy(network("resnet")).to("meta"), pictures(), "meta device"),
        (lazy(), pictures(), "lazy layers"),
        (nn.Sequential(nn.Flatten()), pictures(), "no parameters"),
        (TwoInputs(), pictures(), "takes 2 inputs (a, b)"),
        (Random(), pictures(), "other outputs on each call"),
        (Several(lambda x: (x, x)), pictures(), "returns a tuple of 2, and one tensor is wanted"),
        (Several(lambda x: {"out": x}), pictures(), "returns a dict of 1"),
        (Several(lambda x: x.mean()), pictures(), "first axis has to be the batch"),
        (Several(lambda x: x.mean(1)), pictures(), "first axis has to be the batch"),
        (network("resnet"), torch.zeros(2, 4, 16, 16), "raised RuntimeError: Given groups=1"),
        (network("resnet"), torch.zeros(16), "example is a batch of pictures"),
        (network("resnet"), torch.zeros(0, 3, 16, 16), "example is a batch of pictures"),
        (network("resnet"), torch.full((2, 3, 16, 16), torch.nan), "NaN or infinite"),
        (network("resnet"), "pictures", "an array or a tensor of pictures"),
        (network("resnet"), [[1], [2, 3]], "an array or a tensor of pictures"),
        (nn.Conv2d(3, 5, 1), pictures(), "no block that can be cut"),
    ],
)
def test_what_cannot_be_cut_is_said_in_a_sentence(model: object, example: object, said: str) -> None:
    with pytest.raises(ModelError) as raised:
        cut(model, example)  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_network_of_one_block_has_that_block_and_the_head() -> None:
    assert [node.name for node in cut(nn.Sequential(Basic(3, 16), *pooled(16)), pictures()).nodes] == ["0", "3"]
