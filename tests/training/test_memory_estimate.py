"""Memory of a training, known before it: by hand, against real trainings, and where shapes alone do not do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.marks import slow_if, thorough_if
from torch import Tensor, nn

from searchkit.costs.autocast import HalfPrecision
from searchkit.costs.memory_tracker import LiveMemory
from searchkit.costs.meta_tensors import shape_only
from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.loader import train_batches
from searchkit.data.splits import Split
from searchkit.runtime import torch_compat
from searchkit.runtime.meta_operations import run
from searchkit.space import NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.spaces.residual import residual
from searchkit.spaces.tabular import tabular
from searchkit.training.memory_estimate import candidate_training_bytes, data_bytes, training_bytes
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.training.train import train

CPU = torch.device("cpu")
SHAPE = (3, 16, 16)
SGD = Recipe(epochs=2, batch_size=32, lr=0.01, precision="float32")
ADAMW = replace(SGD, optimiser="adamw", lr=0.001)


def images(n: int = 96, n_val: int = 16, shape: tuple[int, ...] = SHAPE, augment: str = "crop-flip") -> Data:
    generator = torch.Generator().manual_seed(0)
    parts = [
        Split(torch.randint(0, 255, (k, *shape), dtype=torch.uint8, generator=generator), torch.arange(k) % 10)
        for k in (n, n_val, 0)
    ]
    return assemble(parts, tuple(range(10)), augment=augment)  # type: ignore[arg-type]


def table(n: int = 96, n_features: int = 20, n_val: int = 16) -> Data:
    generator = torch.Generator().manual_seed(0)
    parts = [
        Split(torch.randn(k, n_features, generator=generator), torch.randn(k, generator=generator).double())
        for k in (n, n_val, 0)
    ]
    return assemble(parts, ())


SPACES = {
    "nas-bench-201": (nas_bench_201(width=4, cells=1, input_shape=SHAPE), images()),
    "macro": (macro(width=4, input_shape=SHAPE), images()),
    "mobilenet": (mobilenet(width=0.25, input_shape=SHAPE), images()),
    "residual": (residual(width=(4, 6), input_shape=SHAPE), images()),
    "tabular": (tabular(input_shape=(20,), n_classes=1), table()),
}


class ReadsValues(nn.Module):
    """Looks at its input before it runs the network, which meta tensors cannot."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x) if math.isfinite(x[(0,) * x.ndim].item()) else x
        return y


class Attention(nn.Module):
    """A layer of a transformer over the rows of an image, then a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.last = nn.Linear(16, 32), nn.Linear(32, 10)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.layer(self.embed(x.flatten(1, 2))).mean(1))
        return y


def trained_peak(network: nn.Module, data: Data, recipe: Recipe) -> int:
    """What a real training on the CPU held, beside the data."""
    train_batches(data, recipe.batch_size, CPU, torch.Generator())  # the data are there, as if by an earlier training
    with LiveMemory([*network.parameters(), *network.buffers()]) as memory:
        train(network, data, recipe=recipe, device="cpu")
    return memory.peak


def autocast_peak(network: nn.Module, data: Data, recipe: Recipe) -> int:
    """What two real steps under torch's autocast of the CPU held, beside the data."""
    batches = train_batches(data, recipe.batch_size, CPU, torch.Generator().manual_seed(0))
    batches.shuffle()
    own = [value for name, value in vars(batches).items() if isinstance(value, Tensor) and name not in ("x", "y")]
    loss_function = loss_of(data, recipe, CPU)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=recipe.momentum, fused=True)
    network.train()
    with LiveMemory([*network.parameters(), *network.buffers(), *own]) as memory:
        for _ in range(2):
            x, y = batches.batch(slice(0, recipe.batch_size))
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_function(network(x), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            del loss, x, y
    return memory.peak


def test_a_linear_layer_is_counted_as_by_hand() -> None:
    # The peak is in the backward pass, when the new gradient of the weights has been made.
    data, network = table(50, 1000, n_val=2), nn.Linear(1000, 1)
    weights, batch, order, small = 4 * 1001, 4 * 10 * 1000, 8 * 50, 4 * 10
    n_bytes = training_bytes(network, data, Recipe(batch_size=10), autocast=False)
    assert n_bytes == 3 * weights + batch + order + 2 * small + 8  # targets, outputs' gradient; the loss and its own
    plain = training_bytes(network, data, Recipe(batch_size=10, momentum=0.0), autocast=False)
    adamw = training_bytes(network, data, Recipe(batch_size=10, optimiser="adamw"), autocast=False)
    assert (n_bytes - plain, adamw - plain) == (weights, 2 * weights + 2 * 4)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("name", thorough_if(lambda name: name == "mobilenet", SPACES))
def test_it_is_what_a_real_training_holds(name: str, recipe: Recipe) -> None:
    space, data = SPACES[name]
    for code in space.sample(2, np.random.default_rng(1)):
        network = space.build(code)
        predicted = training_bytes(network, data, recipe, autocast=False)
        assert candidate_training_bytes(space, code, data, recipe, autocast=False) == predicted
        assert predicted == pytest.approx(trained_peak(network, data, recipe), rel=0.01, abs=1024)


@pytest.mark.slow
@pytest.mark.parametrize("name", thorough_if(lambda name: name == "mobilenet", SPACES))
def test_under_autocast_it_is_what_real_steps_hold(name: str) -> None:
    space, data = SPACES[name]
    for code in space.sample(2, np.random.default_rng(1)):
        network = space.build(code)
        predicted = training_bytes(network, data, SGD, autocast=True)
        assert predicted == pytest.approx(autocast_peak(network, data, SGD), rel=0.02, abs=1024)
        if name != "tabular":  # where weights weigh more than activations, their second copies cost more than is saved
            assert predicted < 0.7 * training_bytes(network, data, SGD, autocast=False)


def test_the_scoring_counts_where_its_larger_batches_hold_more() -> None:
    data, network = images(32, 512), nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(2048, 10))
    recipe = replace(SGD, batch_size=8)
    predicted = training_bytes(network, data, recipe, autocast=False)
    assert predicted == pytest.approx(trained_peak(network, data, recipe), rel=0.05)
    assert predicted > 1.5 * training_bytes(network, replace(data, val=images(32, 8).val), recipe, autocast=False)


@pytest.mark.slow
@pytest.mark.parametrize("autocast", [False, True])
def test_it_grows_with_the_batch_and_with_the_width(autocast: bool) -> None:
    data, code = images(), [3, 1, 3, 2, 4, 3]
    by_batch = [
        candidate_training_bytes(
            SPACES["nas-bench-201"][0], code, data, replace(SGD, batch_size=size), autocast=autocast
        )
        for size in (8, 16, 32, 64)
    ]
    spaces = [nas_bench_201(width=width, cells=1, input_shape=SHAPE) for width in (4, 8, 16)]
    by_width = [candidate_training_bytes(space, code, data, SGD, autocast=autocast) for space in spaces]
    for sizes in (by_batch, by_width):
        assert all(1.3 * small < large < 4 * small for small, large in itertools.pairwise(sizes))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", slow_if(lambda name: name == "mobilenet", SPACES))
def test_a_network_that_reads_its_values_is_run_small_and_comes_to_the_same(name: str, autocast: bool) -> None:
    space, data = SPACES[name]
    network = space.build(space.sample(1, np.random.default_rng(2))[0])
    expected = training_bytes(network, data, SGD, autocast=autocast)
    assert training_bytes(ReadsValues(network), data, SGD, autocast=autocast) == pytest.approx(expected, rel=0.03)


class StopsWithoutValues(ReadsValues):
    """The same, where what is raised for meta tensors is no Exception."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            raise asyncio.CancelledError
        return super().forward(x)


def test_whatever_is_raised_for_shapes_alone_is_left_to_small_batches() -> None:
    network, data = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 10)), images()
    expected = training_bytes(ReadsValues(network), data, SGD, autocast=False)
    assert training_bytes(StopsWithoutValues(network), data, SGD, autocast=False) == expected


@pytest.mark.slow
def test_attention_is_what_real_steps_hold_under_autocast_and_a_bound_otherwise() -> None:
    data, network = images(), Attention()
    predicted = training_bytes(network, data, SGD, autocast=True)
    assert predicted == pytest.approx(autocast_peak(network, data, SGD), rel=0.05)
    single = training_bytes(network, data, SGD, autocast=False)
    assert 1 <= single / trained_peak(network, data, SGD) < 2  # by shapes alone, attention's weights are all there


@pytest.mark.parametrize("augment", ["none", "shift", "crop-flip"])
def test_data_are_counted_as_they_lie_on_a_device(augment: str) -> None:
    data = images(50, shape=(3, 32, 32), augment=augment)
    side = 32 if augment == "none" else 40
    assert data_bytes(data) == 50 * 3 * side * side + 50 * 8
    assert data_bytes(table(50, 7)) == 4 * 50 * 7 + 4 * 50


@pytest.mark.slow
def test_predicting_leaves_the_network_the_data_and_the_random_state_alone() -> None:
    space, data = SPACES["nas-bench-201"]
    network = ReadsValues(space.build([3] * 6)).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    for autocast in (False, True):
        training_bytes(network, data, SGD, autocast=autocast)
        training_bytes(network.network, data, SGD, autocast=autocast)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_network_that_cannot_be_trained_says_so_itself() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training_bytes(nn.Linear(9, 1), table(), SGD, autocast=False)


def types(space: NetworkSpace, autocast: contextlib.AbstractContextManager[object]) -> list[torch.dtype]:
    """Of the outputs of all modules."""
    network = space.build(space.sample(1, np.random.default_rng(0))[0])
    seen: list[torch.dtype] = []
    for module in network.modules():
        module.register_forward_hook(lambda _module, _inputs, out: seen.append(out.dtype))
    with autocast:
        network(torch.zeros(4, *SHAPE))
    return seen


@pytest.mark.parametrize("name", ["nas-bench-201", "macro", "mobilenet", "residual"])
def test_types_are_those_of_torchs_own_autocast(name: str) -> None:
    space = SPACES[name][0]
    assert types(space, HalfPrecision()) == types(space, torch.autocast("cpu", torch.bfloat16))


def test_what_needs_range_is_in_float32_and_a_weight_is_cast_once() -> None:
    network = shape_only(nn.Linear(8, 8))
    x = torch.zeros(2, 8, device="meta")
    with HalfPrecision(), LiveMemory([x, *network.parameters()]) as memory:
        y = network(network(x))
        assert (x @ x.t()).dtype == torch.bfloat16
        loss = nn.functional.cross_entropy(y, torch.zeros(2, dtype=torch.int64, device="meta"), label_smoothing=0.1)
        normal = nn.functional.layer_norm(y, (8,))
        for out in (loss, normal, y.softmax(1), nn.functional.mse_loss(y, x), y**2, y.exp()):
            assert out.dtype == torch.float32
        assert nn.functional.relu(y).dtype == y.dtype == torch.bfloat16
        before = memory.live
        z = network(y)
        assert memory.live - before == z.nbytes


def bare(tensor: Tensor) -> Tensor:
    """Its shape, strides and storage, without its numbers."""
    n_stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    return torch.empty(n_stored, dtype=tensor.dtype, device="meta").as_strided(tensor.shape, tensor.stride())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [False, True])
def test_operations_by_shape_make_what_the_kernels_make(dtype: torch.dtype, training: bool) -> None:
    aten = torch.ops.aten
    x = torch.randn(2, 3, 4, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    gradient = x.mean((2, 3), keepdim=True).expand(x.shape)  # has strides of 0, as what comes back through a mean
    weights = [torch.ones(3) for _ in range(4)]  # weight, bias, running mean and variance
    made = aten.native_batch_norm.default(x, *weights, training, 0.1, 1e-5)
    stored = made[1:] if training else (torch.ones(3), torch.ones(3))
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (aten.native_batch_norm.default, (x, *weights, training, 0.1, 1e-5)),
        (
            aten.native_batch_norm_backward.default,
            (x, x, weights[0], *weights[2:], *stored, training, 1e-5, [True, True, False]),
        ),
        (aten.relu.default, (x,)),
        (aten.hardswish.default, (gradient,)),
        (aten.threshold_backward.default, (gradient, x, 0)),
        (aten.hardsigmoid_backward.default, (x, gradient)),
        (aten.add.Tensor, (gradient, x)),
        (aten.mul.Tensor, (gradient, gradient)),
        (aten.mul.Tensor, (x, x.mean((2, 3), keepdim=True))),
        (aten.add.Tensor, (x, x[0, 0, 0])),
        (aten.mul.Scalar, (x, 0.5)),
        (aten.mean.dim, (x, [2, 3])),
        (aten.mean.dim, (x, [-1, 1], True)),
        (aten.native_layer_norm.default, (x.contiguous(), [4, 5], *(torch.ones(4, 5, dtype=dtype),) * 2, 1e-5)),
        (aten.native_layer_norm.default, (x.contiguous(), [5], None, None, 1e-5)),
        (aten.addmm.default, (x[0, 0, 0], x[0, 0].T, x[0, 0].contiguous())),
        (torch_compat.SAFE_SOFTMAX, (x.contiguous(), -1)),
    ]
    for func, args in calls:
        shapes = [bare(value) if isinstance(value, Tensor) else value for value in args]
        expected, found = func(*args), run(func, tuple(shapes), {})
        if isinstance(expected, Tensor):
            expected, found = (expected,), (found,)
        for a, b in zip(expected, found, strict=True):
            assert (a is None) == (b is None), func
            if a is not None:
                assert (a.shape, a.dtype) == (b.shape, b.dtype), func
                assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes(), func
