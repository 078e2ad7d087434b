"""Latency: what is stated about a measurement holds, and a second measurement agrees with the first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from searchkit.costs.cpu_timing import _expected_slowdown, _references
from searchkit.costs.latency import latency
from searchkit.costs.one_method import OneMethod
from searchkit.errors import DeviceError, UnknownNameError
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201

SPACE = nas_bench_201(width=8, cells=1, input_shape=(1, 8, 8))
NETWORK = SPACE.build([3, 1, 4, 0, 2, 3])


class Unexportable(nn.Module):
    """Runs in torch; the ONNX exporter knows no Bessel function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.special.bessel_j0(self.linear(x))
        return y


@pytest.mark.slow
def test_a_measurement_says_how_it_was_made() -> None:
    measured = latency(NETWORK, SPACE.input_shape, batch=2, seconds=0.05)
    assert 0.001 < measured.median_ms < 50
    assert measured.spread >= 0
    assert measured.n > 10
    assert measured.method.startswith("onnxruntime ")
    assert measured.device
    assert (measured.threads, measured.batch) == (1, 2)


@pytest.mark.slow
def test_measuring_leaves_the_network_the_threads_and_the_random_state_alone() -> None:
    network = SPACE.build([3, 1, 4, 0, 2, 3]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    _references.cache_clear()  # as in a process that has measured nothing yet
    torch.set_num_threads(2)
    try:
        latency(network, SPACE.input_shape, seconds=0.02)
        latency(network, SPACE.input_shape, seconds=0.02, method="torch")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert network.training
    assert not torch.is_inference_mode_enabled()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_network_that_onnx_runtime_cannot_take_is_measured_in_torch_and_says_so() -> None:
    assert latency(Unexportable(), (4,), seconds=0.02).method.startswith("torch ")
    with pytest.raises(Exception, match="bessel_j0"):
        latency(Unexportable(), (4,), seconds=0.02, method="onnxruntime")


def test_a_broken_network_raises_its_own_error() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        latency(nn.Linear(10, 20), (9,))


@pytest.mark.slow
def test_a_network_thirty_times_as_large_is_slower() -> None:
    large = macro(width=16)
    assert (
        latency(large.build([2] * 8), large.input_shape, seconds=0.05).median_ms
        > 3 * latency(NETWORK, SPACE.input_shape, seconds=0.05).median_ms
    )


def test_the_expected_slowdown_lies_between_that_of_dispatch_and_that_of_arithmetic() -> None:
    references = np.array([[1.4, 1.2]] * 3)
    slowdown = _expected_slowdown(np.array([0.01, 0.12, 1000.0]), references)
    assert slowdown == pytest.approx([1.4, 1.3, 1.2], abs=1e-4)


def test_a_device_or_method_that_is_not_there_is_refused_in_a_sentence() -> None:
    with pytest.raises(DeviceError, match="latency is measured on 'cpu' or 'cuda'; got device 'tpu'"):
        latency(NETWORK, SPACE.input_shape, device="tpu")
    with pytest.raises(UnknownNameError, match="unknown latency method 'onnx': choose from onnxruntime, torch"):
        latency(NETWORK, SPACE.input_shape, method="onnx")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="torch sees no CUDA device"):
            latency(NETWORK, SPACE.input_shape, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_on_cuda_events_time_a_graph() -> None:
    measured = latency(NETWORK, SPACE.input_shape, device="cuda", seconds=0.05)
    assert measured.median_ms > 0
    assert "CUDA events" in measured.method
    assert measured.device == torch.cuda.get_device_name(0)


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """A process that keeps one core at matrix products."""
    work = "import torch\ntorch.set_num_threads(1)\na = torch.randn(500, 500)\nprint(flush=True)\nwhile True: a @ a"
    process = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def median_disagreement(n_pairs: int) -> float:
    """Median over pairs of measurements of one network of their relative difference."""
    values = np.array([latency(NETWORK, SPACE.input_shape).median_ms for _ in range(2 * n_pairs)]).reshape(-1, 2)
    return float(np.median(np.abs(values[:, 0] - values[:, 1]) / values.min(axis=1)))


@pytest.mark.slow
@pytest.mark.thorough
def test_two_measurements_differ_by_less_than_a_tenth() -> None:
    assert median_disagreement(20) < 0.1


@pytest.mark.thorough
def test_two_measurements_differ_by_less_than_a_tenth_beside_a_busy_neighbour() -> None:
    with busy_neighbour():
        assert median_disagreement(11) < 0.1


@pytest.mark.thorough
def test_beside_a_busy_neighbour_no_latency_of_a_search_is_refused() -> None:
    timing = OneMethod(SPACE, "cpu")
    with busy_neighbour():
        for code in SPACE.sample(8, np.random.default_rng(0)):
            assert timing(SPACE.build(code))[0]["latency_ms"] > 0


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": float("nan")}, {"seconds": -1}, {"seconds": "a"}, {"batch": 0}, {"batch": 1.5}],
)
def test_no_time_and_no_batch_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match="a latency is of a whole number of images from 1 on, in seconds above 0"):
        latency(nn.Linear(2, 2), (2,), **wrong)


@pytest.mark.parametrize(
    ("network", "shape", "more", "said"),
    [
        ("a network", (2,), {}, "a latency is of a torch.nn.Module; got 'a network'"),
        (nn.Linear(2, 2), 2, {}, "whole numbers such as .*; got 2"),
        (nn.Linear(2, 2), "ab", {}, "whole numbers such as .*; got 'ab'"),
        (nn.Linear(2, 2), (-1,), {}, "whole numbers such as"),
        (nn.Linear(2, 2), (2,), {"most_spread": "a"}, "most_spread is a number above 0, such as 0.3, or None; got 'a'"),
    ],
)
def test_what_is_no_network_shape_or_spread_is_refused(network: Any, shape: Any, more: Any, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        latency(network, shape, **more)


def test_a_device_of_torch_is_taken() -> None:
    assert latency(nn.Linear(2, 2), [2], device=torch.device("cpu"), seconds=0.01).median_ms > 0  # type: ignore[arg-type]
