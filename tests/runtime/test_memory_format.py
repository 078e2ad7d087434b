"""On CPUs where torch's convolutions of tensors that lie channels last are not safe, nothing is convolved that way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import searchkit
from searchkit import Choice, NetworkSpace, plugins
from searchkit.data.data import Data
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_self import DNASelf
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.gradient import Gradient, GradientSetting
from searchkit.runtime import devices
from searchkit.scoring.scorer import Scorer
from searchkit.sharing import SharedWeights
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, score, train

CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default)


class Convolutions(TorchDispatchMode):
    """Counts convolutions, and those that torch does channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.n, self.channels_last = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CONVOLUTIONS:
            self.n += 1
            first = CONVOLUTIONS.index(func)  # backward has the gradient before input and weight, which decide
            self.channels_last += any(map(_lies_channels_last, args[first : first + 2]))
        return func(*args, **(kwargs or {}))


def _lies_channels_last(x: Tensor) -> bool:
    """Whether torch takes it so; also one of a single channel or pixel, which is both, by its strides."""
    return x.ndim == 4 and torch._prims_common.suggest_memory_format(x) is torch.channels_last


@pytest.fixture
def without_avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.fixture
def convolutions(without_avx512: None) -> Iterator[Convolutions]:
    with Convolutions() as found:
        yield found


class Residual(nn.Module):
    """A narrow residual network as a user would write it; its strided 1x1 convolution is what killed the process."""

    def __init__(self, channels: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.body = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.skip = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.norm = nn.BatchNorm2d(2 * width)
        self.head = nn.Linear(2 * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(self.norm(self.body(x) + self.skip(x))).mean((2, 3)))


def residual_space(channels: int = 1) -> NetworkSpace:
    return NetworkSpace(
        [Choice("width", (3, 4, 6), ordered=True)],
        build=lambda choices, shape, n_classes: Residual(shape[0], choices["width"], n_classes),
        input_shape=(channels, 16, 16),
        n_classes=3,
        name="residual",
    )


def pictures(channels: int) -> Data:
    rng = np.random.default_rng(0)
    return searchkit.load_data((rng.integers(0, 255, (240, channels, 16, 16)).astype(np.uint8), np.arange(240) % 3))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_trainings(channels: int, convolutions: Convolutions) -> None:
    space, data = residual_space(channels), pictures(channels)
    for code in space.sample(3, np.random.default_rng(0)):
        network = build_seeded(space, code, 0)
        train(network, data, recipe=Recipe(epochs=1), seed=0, device="cpu")
        score(network, data.val, data, "cpu")
    assert convolutions.n > 15
    assert convolutions.channels_last == 0


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.thorough)])
def test_passes_of_every_proxy(channels: int, convolutions: Convolutions) -> None:
    space, data = residual_space(channels), pictures(channels)
    apart = ("dna", "dna++", "gradient", "one-shot", "mathnas", "topology", "angle", "flatness")
    names = [name for name in plugins.names("proxy") if name not in apart]
    Scorer(space, names, data, device="cpu", seed=0)(space.sample(2, np.random.default_rng(0)))
    assert convolutions.n > 15
    assert convolutions.channels_last == 0


@pytest.mark.slow
def test_shared_weights_and_mixed_networks(convolutions: Convolutions) -> None:
    space = searchkit.load_space("macro", width=4, layers=(2, 1)).for_data((3, 16, 16), 3)
    data = pictures(3)
    codes = space.sample(2, np.random.default_rng(0))
    SharedWeights(space, data, epochs=1, batch=16).losses(codes)
    Gradient(space, data, setting=GradientSetting(epochs=1, batch=16)).score(codes)
    assert convolutions.n > 15
    assert convolutions.channels_last == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DNA, pytest.param(DNASelf, marks=pytest.mark.thorough)])
def test_blocks_of_dna(kind: type, convolutions: Convolutions) -> None:
    space = searchkit.load_space("macro", width=8, layers=(2, 1)).for_data((3, 16, 16), 3)
    few = DNASetting(epochs=1, steps=8, images=64, rated=32, recalibrated=32, teacher_epochs=1)
    proxy = kind(space, pictures(3), setting=few, device="cpu")
    proxy.score(space.sample(2, np.random.default_rng(0)))
    assert convolutions.n > 15
    assert convolutions.channels_last == 0


def test_the_counter_sees_what_it_is_for() -> None:
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last)
    one = torch.randn(2, 8, 8, 1).permute(0, 3, 1, 2)
    with Convolutions() as found:
        nn.Conv2d(4, 8, 1)(x)
        nn.Conv2d(1, 8, 1)(one)
        nn.Conv2d(4, 8, 1)(x.contiguous())
    assert (found.n, found.channels_last) == (3, 2)


@pytest.mark.parametrize(
    ("capability", "isa", "safe"),
    [
        ("AVX512", None, True),
        ("AVX512", "ALL", True),
        ("AVX512", "AVX512_CORE", True),
        ("AVX512", "AVX2", False),
        ("AVX512", "sse41", False),
        ("AVX2", None, False),
        ("DEFAULT", None, False),
    ],
)
def test_channels_last_on_a_cpu_needs_avx512(
    capability: str, isa: str | None, safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if isa is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    expected = torch.channels_last if safe else torch.contiguous_format
    assert devices.memory_format(torch.device("cpu")) is expected


@pytest.mark.slow
def test_a_process_confined_to_avx2_survives() -> None:
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from searchkit.training.recipe import Recipe\n"
        "from searchkit.training.train import build_seeded, train\n"
        "from test_memory_format import pictures, residual_space\n"
        "import numpy as np\n"
        "for channels in (1, 4):\n"
        "    space = residual_space(channels)\n"
        "    for width in range(3):\n"
        "        train(build_seeded(space, np.array([width]), 0), pictures(channels), recipe=Recipe(epochs=20), seed=0,"
        " device='cpu')\n"
    )
    confined = os.environ | {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MALLOC_CHECK_": "3",
        "PYTHONPATH": os.path.dirname(__file__),
    }
    ended = subprocess.run([sys.executable, "-c", code], env=confined, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
