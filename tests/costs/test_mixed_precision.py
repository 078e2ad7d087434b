"""Files of networks whose blocks have a precision each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.marks import thorough_if
from torch import nn

import searchkit
from searchkit.costs.int8_file import answers_of, mixed_file, write_int8, write_mixed
from searchkit.costs.mixed_precision import marked
from searchkit.costs.onnx_file import difference, distinct, write_quickly
from searchkit.errors import CandidateError
from searchkit.space.precision_space import BLOCK, OUTSIDE, precisions_of

OPTIONS = {
    "macro": {"width": 8, "layers": (2, 2), "input_shape": (3, 16, 16)},
    "mobilenet": {"width": 0.25, "input_shape": (3, 16, 16)},
    "residual": {"input_shape": (3, 16, 16)},
}
X = np.random.default_rng(0).standard_normal((64, 3, 16, 16), dtype=np.float32)


def network_of(name: str, precisions: str) -> nn.Module:
    """A network with the precisions of its blocks, "i" or "f" each, the rest last."""
    space = searchkit.load_space(name, precisions=True, **OPTIONS[name])
    code = space.sample(1, np.random.default_rng(0))[0]
    code[-len(space.further) :] = [letter == "i" for letter in precisions]
    torch.manual_seed(0)
    return distinct(space.build(code).eval())


def plain_int8(network: nn.Module, folder: Path) -> Path:
    source, target = folder / "float32.onnx", folder / "int8.onnx"
    write_quickly(network, torch.from_numpy(X[:3]), source, "images", "logits")
    write_int8(source, target, X, "MinMax")
    return target


def mixed(network: nn.Module, folder: Path) -> Path:
    target = folder / "mixed.onnx"
    write_mixed(network, target, X, "MinMax")
    return target


def in_int8(path: Path) -> int:
    """How many tensors of weights in int8 a file has."""
    return sum(
        one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1 for one in onnx.load(path).graph.initializer
    )


def n_blocks(name: str) -> int:
    return len(searchkit.load_space(name, precisions=True, **OPTIONS[name]).further)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_all_in_float32_is_the_network_and_all_in_int8_the_plain_int8_file(name: str, tmp_path: Path) -> None:
    n = n_blocks(name)
    network = network_of(name, "f" * n)
    expected = network(torch.from_numpy(X)).detach().numpy()
    path = mixed(network, tmp_path)
    assert in_int8(path) == 0
    assert difference(expected, answers_of(path, X)) < 1e-4
    everything = mixed(network_of(name, "i" * n), tmp_path)
    answers, count = answers_of(everything, X), in_int8(everything)
    plain = plain_int8(network, tmp_path)
    assert count == in_int8(plain) > 3
    assert difference(answers_of(plain, X), answers) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", thorough_if(lambda name: name != "macro", OPTIONS))
def test_only_the_chosen_blocks_are_in_int8(name: str, tmp_path: Path) -> None:
    """Each weight is in int8 in the file of one block alone, and in that of all."""
    n = n_blocks(name)
    counts, expected = [], network_of(name, "f" * n)(torch.from_numpy(X)).detach().numpy()
    for block in range(n):
        path = mixed(network_of(name, "".join("fi"[i == block] for i in range(n))), tmp_path)
        counts.append(in_int8(path))
        assert difference(expected, answers_of(path, X)) < 0.2
    everything = in_int8(mixed(network_of(name, "i" * n), tmp_path))
    assert sum(counts) == everything
    assert min(counts) > 0


def test_a_network_is_not_changed_by_what_shows_its_precisions() -> None:
    network = network_of("macro", "iff")
    names, x = [name for name, _ in network.named_modules()], torch.from_numpy(X)
    shown, _ = marked(network, x)
    assert torch.equal(shown(x), network(x))
    assert [name for name, _ in network.named_modules()] == names
    assert shown.stages[0][0].training is network.stages[0][0].training


def test_a_block_alone_has_a_file_in_its_precision() -> None:
    network = network_of("residual", "i" * n_blocks("residual"))
    block = network.get_submodule(next(iter(precisions_of(network))))
    channels = next(block.parameters()).shape[1]
    content = mixed_file(block, np.zeros((1, channels, 16, 16), dtype=np.float32))
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(content).graph.node)


class Eigenvalues(nn.Module):
    """ONNX has no such operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(x).flatten(1)


@pytest.mark.slow
def test_a_network_without_a_file_says_so() -> None:
    network = Eigenvalues()
    setattr(network, BLOCK, "int8")
    with pytest.raises(CandidateError, match="it has no int8 file"):
        mixed_file(network, X[:1])


class Stem(nn.Module):
    """What networks of users do with their blocks."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.a = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.b = nn.Identity() if way == "identity" else nn.Conv2d(4, 4, 3)
        self.features = nn.Sequential(self.b)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "iterated":
            for layer in self.a:
                x = layer(x)
        elif self.way == "indexed":
            x = self.a[1](self.a[0](x))
        elif self.way == "looks":
            x = self.a(x) if isinstance(self.a, nn.Sequential) else x[:, :1].expand(-1, 4, -1, -1)
        elif self.way == "weights":
            x = torch.relu(nn.functional.conv2d(x, self.a[0].weight))
        else:
            x = self.a(x)
        return self.head(self.features(x).mean(dim=(2, 3)))


def with_precisions(way: str, a: str, b: str) -> nn.Module:
    torch.manual_seed(0)
    network = Stem(way).eval()
    for module, precision in ((network.a, a), (network.b, b)):
        setattr(module, BLOCK, precision)
    setattr(network, OUTSIDE, "float32")
    return network


@pytest.mark.parametrize("way", ["plain", "iterated", "indexed", "identity"])
def test_blocks_are_found_however_they_are_called(way: str, tmp_path: Path) -> None:
    """Also a block that is registered twice (b)."""
    counts = {}
    for a, b in (("int8", "float32"), ("float32", "int8"), ("float32", "float32")):
        network = with_precisions(way, a, b)
        path = mixed(network, tmp_path)
        assert difference(network(torch.from_numpy(X)).detach().numpy(), answers_of(path, X)) < 0.1
        counts[a, b] = in_int8(path)
    assert counts == {
        ("int8", "float32"): 1, ("float32", "int8"): 0 if way == "identity" else 1, ("float32", "float32"): 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("way", "said"), [("looks", "it looks at what its blocks are"), ("weights", "'a' is never called as a module")]
)
def test_a_network_whose_blocks_cannot_be_told_apart_is_refused(way: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        mixed(with_precisions(way, "int8", "float32"), tmp_path)


def test_of_nested_blocks_the_inner_one_says(tmp_path: Path) -> None:
    for inner, expected in (("float32", 0), ("int8", 1)):
        network = with_precisions("plain", "int8", "float32")
        setattr(network.a[0], BLOCK, inner)
        assert in_int8(mixed(network, tmp_path)) == expected
