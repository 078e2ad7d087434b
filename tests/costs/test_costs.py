"""Costs known without training: against hand counts, against torch's own counter, and without touching the network."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from searchkit.costs import counts as costs
from searchkit.runtime import mac_counter
from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201


class Residual(nn.Module):
    """y + b(relu(y)) with y = a(x): at the worst moments x, y and two more are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(100, 100), nn.Linear(100, 100)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.a(x)
        z: Tensor = self.b(torch.relu(y))
        return y + z


class ReadsValues(nn.Module):
    """Looks at its input before it runs the network, which meta tensors cannot."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x) if x.abs().sum().item() >= 0 else x
        return y


class Attention(nn.Module):
    """Attention over 10 tokens of width 8, which are the image's pixels."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


@pytest.mark.parametrize(
    ("network", "input_shape", "params", "macs"),
    [
        (nn.Linear(10, 20), (10,), 220, 200),
        (nn.Linear(10, 20, bias=False), (7, 10), 200, 1400),
        (nn.Conv2d(8, 16, 3, padding=1), (8, 5, 6), 1168, 1152 * 30),
        (nn.Conv2d(8, 16, 3, stride=2, groups=4), (8, 5, 7), 304, 288 * 2 * 3),
        (nn.Conv1d(4, 6, 5, dilation=2), (4, 20), 126, 120 * 12),
        (nn.ConvTranspose2d(8, 16, 3, stride=2, groups=2), (8, 5, 6), 592, 576 * 30),
        (nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)), (4, 8, 8), 8, 0),
        (Attention(), (8, 2, 5), 0, 2 * 10 * 10 * 8),
        (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (10, 32), 8544, 10 * (4 * 1024 + 2 * 2048 + 2 * 320)),
        (nn.LSTM(8, 16, batch_first=True), (5, 8), 1664, 5 * 4 * 16 * 24),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_counts_are_those_by_hand(network: nn.Module, input_shape: tuple[int, ...], params: int, macs: int) -> None:
    assert costs.count(network, input_shape) == {"params": params, "macs": macs}


@settings(max_examples=50, deadline=None)
@given(
    groups=st.integers(1, 3),
    n_in=st.integers(1, 3),
    n_out=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    transposed=st.booleans(),
)
def test_convolutions_count_as_in_torchs_own_counter(
    groups: int, n_in: int, n_out: int, kernel: tuple[int, int], stride: int, padding: int, transposed: bool
) -> None:
    convolution = nn.ConvTranspose2d if transposed else nn.Conv2d
    network = convolution(groups * n_in, groups * n_out, kernel, stride=stride, padding=padding, groups=groups)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, groups * n_in, 9, 10))
    assert 2 * costs.count(network, (groups * n_in, 9, 10))["macs"] == counter.get_total_flops()


def test_a_shared_parameter_counts_once_and_its_macs_each_time() -> None:
    layer = nn.Linear(10, 10)
    assert costs.count(nn.Sequential(layer, layer), (10,)) == {"params": 110, "macs": 200}


def test_peak_memory_of_a_chain_is_weights_input_and_its_widest_two_neighbours() -> None:
    chain = nn.Sequential(nn.Linear(100, 200), nn.Linear(200, 50), nn.Linear(50, 10))
    weights = 100 * 200 + 200 + 200 * 50 + 50 + 50 * 10 + 10
    assert costs.peak_memory(chain, (100,)) == 4 * (weights + 100 + 200 + 50)


def test_peak_memory_of_a_residual_holds_what_the_sum_waits_for() -> None:
    assert costs.peak_memory(Residual(), (100,)) == 4 * (2 * 10_100 + 4 * 100)


def test_views_and_operations_in_place_take_no_memory() -> None:
    for inplace, n_alive in ((False, 3), (True, 2)):
        network = nn.Sequential(nn.Linear(100, 100), nn.ReLU(inplace))
        assert costs.peak_memory(network, (100,)) == 4 * (10_100 + n_alive * 100)
    assert costs.peak_memory(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (5, 4))), (2, 10)) == 4 * 20


def test_peak_memory_is_in_float32_and_counts_buffers() -> None:
    norm = nn.BatchNorm2d(3)
    expected = 4 * (4 * 3 + 2 * 3 * 5 * 5) + 8  # the number of batches seen is one int64
    assert costs.peak_memory(norm, (3, 5, 5)) == expected
    assert costs.peak_memory(norm.half(), (3, 5, 5)) == expected


@pytest.mark.parametrize(
    "network",
    [
        nas_bench_201(width=4, cells=1).build([3, 3, 3, 2, 4, 1]),
        macro(width=4).build([2] * 8),
        nn.Sequential(Attention(), nn.Linear(3, 4), nn.TransformerEncoderLayer(4, 2, 64, batch_first=True)),
    ],
    ids=["nas-bench-201", "macro", "attention"],
)
def test_a_network_that_reads_its_values_is_counted_on_the_cpu_with_the_same_result(network: nn.Module) -> None:
    reader, shape = ReadsValues(network), (3, 32, 32)
    assert costs.count(reader, shape) == costs.count(network, shape)
    assert costs.peak_memory(reader, shape) == costs.peak_memory(network, shape)


class Function(nn.Module):
    """A network whose forward pass is ``function(x, *layers)``."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


@pytest.mark.parametrize(
    ("network", "input_shape", "macs"),
    [
        (Function(lambda x, layer: layer(x, x[:, :6]), nn.Bilinear(8, 6, 4)), (8,), 8 * 6 * 4),
        (Function(lambda x: torch.einsum("bij,bjk,bkl->bil", x, x, x)), (8, 8), 2 * 8**3),
        (Function(lambda x: x.mT @ x), (5, 8), 8 * 5 * 8),
        (Function(lambda x: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")), (5, 8), 5 * 5 * 8),
        (Function(lambda x: torch.vdot(x[0], x[0])), (8,), 8),
        (Function(lambda x: torch.tensordot(x, x, ([1], [1]))), (8,), 8),
        (Function(lambda x, layer: layer(x)[0], nn.GRU(8, 16, batch_first=True)), (5, 8), 5 * 3 * 16 * 24),
    ],
)
def test_products_that_are_no_layers_are_counted(network: nn.Module, input_shape: tuple[int, ...], macs: int) -> None:
    assert costs.count(network, input_shape)["macs"] == macs
    assert costs.count(ReadsValues(network), input_shape)["macs"] == macs


def test_an_lstm_that_reads_its_values_is_counted_the_same() -> None:
    lstm = Function(lambda x, layer: layer(x)[0], nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True))
    assert costs.count(ReadsValues(lstm), (5, 8)) == costs.count(lstm, (5, 8))
    assert costs.count(lstm, (5, 8))["macs"] == 5 * 2 * 4 * 16 * (24 + 48)


def test_what_is_not_counted_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    mac_counter._say_uncounted.cache_clear()
    network = Function(lambda x, layer: torch.fft.fft(layer(x)).abs(), nn.Linear(8, 8))
    for _ in range(2):
        assert costs.count(network, (8,))["macs"] == 64
    assert [record.getMessage() for record in caplog.records] == [
        "macs of _fft_r2c are not counted: torch has no formula for this operation"
    ]
    caplog.clear()
    assert costs.count(Function(lambda x: nn.functional.normalize(x)), (8,))["macs"] == 0
    assert not caplog.records


def test_counting_leaves_the_network_and_the_random_state_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    costs.count(network, (3, 8, 8))
    costs.peak_memory(network, (3, 8, 8))
    custom = NetworkSpace([Choice("width", (2, 4, 8))], build_custom, input_shape=(1, 3, 3))
    for space in (nas_bench_201(width=4, cells=1), custom):
        space.count = None
        costs.space_counts(space, space.sample(3, np.random.default_rng(0)))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


built: list[int] = []


def build_custom(choices: dict[str, int], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """A user's network, whose builder needs real numbers."""
    built.append(choices["width"])
    linear = nn.Linear(math.prod(input_shape), choices["width"])
    assert float(linear.weight.detach().abs().max()) > 0
    return nn.Sequential(nn.Flatten(), linear)


def test_a_space_without_a_formula_is_counted_by_building_each_candidate_once() -> None:
    space = NetworkSpace([Choice("width", (2, 4, 8))], build_custom, input_shape=(1, 3, 3))
    codes = np.array([[0], [2], [0]])
    counted = costs.space_counts(space, codes)
    assert counted["params"].tolist() == [20.0, 80.0, 20.0]
    assert counted["macs"].tolist() == [18.0, 72.0, 18.0]
    n_built = len(built)
    costs.space_counts(space, codes)
    assert len(built) == n_built
    memory = costs.space_peak_memory(space, codes)
    assert memory.tolist() == [4.0 * (20 + 9 + 2), 4.0 * (80 + 9 + 8), 4.0 * (20 + 9 + 2)]


class Mean(nn.Module):
    """The mean over an axis that images do not have."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(4)


class Sum(nn.Module):
    """A sum of tensors that do not fit."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(3, device=x.device)


@pytest.mark.parametrize(
    ("network", "shape", "said"),
    [
        (nn.Linear(10, 20), (9,), "shapes cannot be multiplied"),
        (nn.LayerNorm(4), (2, 5), "normalized_shape"),
        (nn.BatchNorm2d(3), (4, 5, 5), "running_mean|weight"),
        (nn.Conv2d(3, 4, 3), (2, 5, 5), "channels"),
        (Mean(), (2, 5, 5), "out of range"),
        (Sum(), (2, 5, 5), "size of tensor|broadcast"),
    ],
)
def test_a_network_that_cannot_run_says_so_itself(network: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises((RuntimeError, IndexError), match=said):
        costs.count(network, shape)
