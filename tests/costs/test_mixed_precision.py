"""Files of networks whose blocks have a precision each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import searchkit
from searchkit.costs.int8_file import answers_of, mixed_file, write_int8
from searchkit.costs.mixed_precision import marked, rest_in_int8
from searchkit.costs.onnx_file import difference, distinct, write_quickly
from searchkit.errors import CandidateError
from searchkit.space.precision_space import BLOCK, precisions_of

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


def written(network: nn.Module, folder: Path, rest: bool | None) -> Path:
    source, target = folder / "float32.onnx", folder / "int8.onnx"
    write_quickly(network, torch.from_numpy(X[:3]), source, "images", "logits")
    write_int8(source, target, X, "MinMax", rest)
    return target


def mixed(network: nn.Module, folder: Path) -> Path:
    return written(marked(network), folder, rest_in_int8(network))


def in_int8(path: Path) -> int:
    """How many tensors of weights in int8 a file has."""
    return sum(
        one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1 for one in onnx.load(path).graph.initializer
    )


def n_blocks(name: str) -> int:
    return len(searchkit.load_space(name, precisions=True, **OPTIONS[name]).further)


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
    plain = written(network, tmp_path, None)
    assert count == in_int8(plain) > 3
    assert difference(answers_of(plain, X), answers) < 0.02


@pytest.mark.parametrize("name", OPTIONS)
def test_only_the_chosen_blocks_are_in_int8(name: str, tmp_path: Path) -> None:
    """Each weight is in int8 in the file of one block alone, and in that of all."""
    n = n_blocks(name)
    counts = []
    for block in range(n):
        path = mixed(network_of(name, "".join("fi"[i == block] for i in range(n))), tmp_path)
        counts.append(in_int8(path))
        network = network_of(name, "f" * n)
        assert difference(network(torch.from_numpy(X)).detach().numpy(), answers_of(path, X)) < 0.2
    everything = in_int8(mixed(network_of(name, "i" * n), tmp_path))
    assert sum(counts) == everything
    assert min(counts) > 0


def test_a_network_is_not_changed_by_what_shows_its_precisions() -> None:
    network = network_of("macro", "iff")
    names, x = [name for name, _ in network.named_modules()], torch.from_numpy(X)
    shown = marked(network)
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


def test_a_network_without_a_file_says_so() -> None:
    network = Eigenvalues()
    setattr(network, BLOCK, "int8")
    with pytest.raises(CandidateError, match="it has no int8 file"):
        mixed_file(network, X[:1])
