"""A training whose step is recorded once and repeated comes to the same, bit by bit, as one that makes every step.

The recording here is the test double of tests/helpers/replayed.py, which keeps a CUDA graph's rules on a CPU.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers.marks import slow_if
from helpers.replayed import Recording, refused, replayed
from torch import Tensor, nn

from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.data.splits import Split
from searchkit.errors import OutOfMemoryError
from searchkit.plugins import load_space
from searchkit.training.recipe import Recipe
from searchkit.training.train import Trained, build_seeded, course, train
from searchkit.training.turns import finish

RECIPE = Recipe(epochs=3, batch_size=16)


def images(augment: Any = "shift") -> Data:
    y = np.arange(200) % 3
    x = np.random.default_rng(0).integers(0, 60, (200, 8, 8), dtype=np.uint8)
    x[y == 0, ::2] += 150
    x[y == 1, :, ::2] += 150
    return load_data((x, y), augment=augment)


def table(task: Any) -> Data:
    x = np.random.default_rng(0).normal(size=(200, 5))
    y = x.sum(axis=1) if task == "regression" else (x.sum(axis=1) > 0).astype(int)
    return load_data((x, y), kind="table", task=task)


def convolutional(dropout: float = 0.2) -> nn.Module:
    """With batch norm, random numbers of its own, and weights that are not used."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    network.register_parameter("unused", nn.Parameter(torch.ones(3)))
    return network


def perceptron(n_out: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, n_out))


def trained(network: nn.Module, data: Data, capture: Any, recipe: Recipe = RECIPE) -> tuple[Trained, list[Tensor]]:
    found = finish(course(network, data, recipe=recipe, seed=4, device="cpu", capture=capture))
    return found, list(network.state_dict().values())


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Data], Recipe]] = {
    "sgd": (convolutional, images, RECIPE),
    "adamw": (convolutional, images, Recipe(epochs=3, batch_size=16, optimiser="adamw", lr=0.01)),
    "no momentum": (convolutional, images, Recipe(epochs=3, batch_size=16, momentum=0.0)),
    "mirrored": (convolutional, lambda: images("crop-flip"), RECIPE),
    "as they are": (convolutional, lambda: images("none"), RECIPE),
    "classes of a table": (lambda: perceptron(2), lambda: table("classification"), RECIPE),
    "regression": (lambda: perceptron(1), lambda: table("regression"), RECIPE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_training_is_the_same_bit_by_bit_as_one_step_by_step(case: str) -> None:
    make, load, recipe = CASES[case]
    record, data = Recording(), load()
    (repeated, repeated_weights) = trained(make(), data, record, recipe)
    (stepped, stepped_weights) = trained(make(), data, refused, recipe)
    assert (record.recorded, record.repeated) == (1, 3 * (120 // 16) - 3)
    assert repeated.scores == stepped.scores
    assert repeated.train_loss == stepped.train_loss
    assert all(torch.equal(a, b) for a, b in zip(repeated_weights, stepped_weights, strict=True))
    network = make()
    plain = train(network, data, recipe=recipe, seed=4, device="cpu")  # learning rates of Python, in double precision
    assert plain.train_loss == pytest.approx(repeated.train_loss, rel=1e-4)
    for a, b in zip(repeated_weights, network.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", slow_if(lambda name: name in ("macro", "mobilenet"), ["nas-bench-201", "macro", "mobilenet", "residual"])
)
def test_networks_of_the_built_in_spaces_can_be_recorded(name: str) -> None:
    data = images()
    space = load_space(name).for_data(data.input_shape, data.n_classes)
    code = space.sample(1, np.random.default_rng(2))[0]
    record, recipe = Recording(), Recipe(epochs=2, batch_size=20)
    results = [trained(build_seeded(space, code, 0), data, capture, recipe) for capture in (record, refused)]
    assert record.recorded == 1
    assert results[0][0].train_loss == results[1][0].train_loss
    assert all(torch.equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_weighted_classes_are_weighted_in_a_recording_too() -> None:
    data = images()
    weighted = assemble([data.train, data.val, data.test], data.classes, augment="shift", class_weights=(9.0, 1.0, 1.0))
    record = Recording()
    losses = {trained(convolutional(), weighted, capture)[0].train_loss for capture in (record, refused)}
    assert record.recorded == 1
    assert len(losses) == 1
    assert losses != {trained(convolutional(), data, refused)[0].train_loss}


def test_weighted_rows_are_weighted_in_a_recording_too() -> None:
    data = images()
    weight = torch.linspace(0.1, 5.0, len(data.train), dtype=torch.float64)
    parts = [Split(data.train.x, data.train.y, weight), data.val, data.test]
    weighted = assemble(parts, data.classes, augment="shift")
    record = Recording()
    losses = {trained(convolutional(), weighted, capture)[0].train_loss for capture in (record, refused)}
    assert record.recorded == 1
    assert len(losses) == 1
    assert losses != {trained(convolutional(), data, refused)[0].train_loss}


class Waits(nn.Module):
    """Looks at a value in between."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = convolutional()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x if x.sum().item() < 1e9 else -x)
        return out


class DrawsFromPython(nn.Module):
    """Leaves out its middle now and then, by random numbers that a recording would repeat."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.layers, self.draw, self.drawn = convolutional(), draw, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.drawn += 1
            x = x * (0.5 + self.draw())
        out: Tensor = self.layers(x)
        return out


def test_a_network_that_waits_for_a_value_is_trained_step_by_step_to_the_same_end() -> None:
    data = images()
    (waits, waits_weights), (plain, plain_weights) = (
        trained(network, data, replayed) for network in (Waits(), convolutional())
    )
    assert waits.train_loss == plain.train_loss
    assert all(torch.equal(a, b) for a, b in zip(waits_weights, plain_weights, strict=True))


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_a_network_that_draws_from_python_or_numpy_draws_in_every_step(draw: Any) -> None:
    network, record = DrawsFromPython(draw), Recording()
    trained(network, images(), record)
    assert record.recorded == 0
    assert network.drawn == 3 * (120 // 16)


def test_a_network_that_asks_not_to_be_recorded_is_not() -> None:
    network, record = convolutional(), Recording()
    network.recordable = False  # type: ignore[assignment]
    trained(network, images(), record)
    assert record.recorded == 0


def test_a_few_steps_are_not_worth_a_recording() -> None:
    record = Recording()
    trained(convolutional(), images(), record, Recipe(epochs=1, batch_size=16))
    assert record.recorded == 0


def test_no_memory_for_a_recording_is_no_memory_for_the_candidate() -> None:
    def too_large(work: Callable[[], None]) -> Callable[[], None]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with pytest.raises(OutOfMemoryError, match="out of memory on cpu with batches of 16"):
        trained(convolutional(), images(), too_large)


def test_a_failed_recording_leaves_no_trace_in_the_training() -> None:
    def halfway(work: Callable[[], None]) -> Callable[[], None]:
        replayed(work)  # as on a card, nothing of it has happened; but Python has been there
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    losses = {trained(convolutional(), images(), capture)[0].train_loss for capture in (halfway, refused, replayed)}
    assert len(losses) == 1
    assert math.isfinite(losses.pop())


def test_what_the_steps_before_hold_is_gone_when_one_is_recorded() -> None:
    network, alive = convolutional(), list[bool]()

    def looks(work: Callable[[], None]) -> Callable[[], None]:
        alive.append(any(p.grad is not None for p in network.parameters()))
        return replayed(work)

    trained(network, images(), looks)
    assert alive == [False]
