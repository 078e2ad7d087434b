"""The size of the ONNX file as a cost: it is that of the file which is delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

import searchkit
from searchkit.costs.onnx_file import distinct, exported, file_bytes, write_onnx
from searchkit.errors import CandidateError
from searchkit.space import Choice, NetworkSpace


class Small(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.again = nn.BatchNorm2d(width)  # as the other until both are trained
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x)).relu()
        return self.head(self.again(y * y).mean((2, 3)))


class Unusual(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
    return Small(choices["width"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "table"])
def test_it_is_the_size_of_the_file_that_export_writes(kind: str, tmp_path: Path) -> None:
    images = kind == "images"
    result = searchkit.run(
        "random", space=NetworkSpace([Choice("width", (8, 12))], build) if images else None,
        data="digits" if images else load_diabetes(return_X_y=True),
        objectives=("log_loss" if images else "rmse", "file_bytes"), budget=1, epochs=1, storage=tmp_path,
        baselines=False, progress=False,
    )  # fmt: skip
    written, *_ = result.export(0, tmp_path / "network")
    assert written.stat().st_size == result.front.file_bytes[0]
    assert set(result.methods["file_bytes"]) == {"the ONNX file that is exported, float32"}


@pytest.mark.slow
def test_the_file_has_nothing_about_the_code_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    write_onnx(Small().eval(), torch.randn(2, 1, 8, 8), path, "images", "logits")
    model = onnx.load(path)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(Path(__file__).parent).encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_is_told() -> None:
    with pytest.raises(CandidateError, match="its file_bytes cannot be told, since it has no ONNX file: "):
        file_bytes(Unusual(), (1, 8, 8))


@pytest.mark.slow
def test_the_network_is_not_changed() -> None:
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    file_bytes(network, (1, 8, 8))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class OnlyThree(nn.Module):
    """What a trace of three examples does not give of another number."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) / len(x)
        return self.head(y)


def outputs(path: Path, x: Tensor) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": x.numpy()})[0])


@pytest.mark.slow
@pytest.mark.parametrize("network", [Small(), OnlyThree()], ids=["traced", "not to be traced"])
def test_a_traced_file_is_the_network_for_any_number_of_examples(network: nn.Module) -> None:
    known = distinct(network)
    with exported(network, (1, 8, 8), False, "latency_ms@phone", traced=True) as path:
        for n in (1, 2, 5):
            x = torch.randn(n, 1, 8, 8)
            with torch.inference_mode():
                np.testing.assert_allclose(outputs(path, x), known(x).numpy(), atol=1e-5)


@pytest.mark.slow
def test_a_network_that_only_its_trace_can_write_is_told_as_well() -> None:
    said = "its latency_ms@phone cannot be told, since it has no ONNX file: "
    with pytest.raises(CandidateError, match=said), exported(Unusual(), (1, 8, 8), False, "latency_ms@phone", True):
        pass
