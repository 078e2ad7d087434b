"""Searches with a time on awkward data, on a device that turns slow, under a clock that is set back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.errors import BudgetError
from searchkit.results.result import Result

SLOW_STEP = 0.1  # seconds of a training step after the device has turned slow


def perceptron(choices: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    inputs = int(np.prod(input_shape))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, choices["width"]), nn.ReLU(), nn.Linear(choices["width"], n_classes)
    )


def space(build: Any = perceptron) -> NetworkSpace:
    return NetworkSpace([Choice("width", [4, 8, 16, 32, 64])], build, name="perceptron")


def examples(counts: list[int], side: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of classes that differ in their mean image, with noise."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(counts), side, side))[y] + 0.3 * rng.normal(size=(len(y), side, side)), y


def search(data: object, folder: Path, seconds: float = 6.0, **given: Any) -> Result:
    given = {"space": space(), "strategy": "random", "name": "timed"} | given
    return searchkit.run(data=data, budget={"seconds": seconds}, storage=folder, **given)


def check(result: Result) -> None:
    """A network was delivered that was trained to the end, and no candidate failed, but for being slow.

    The time may end between the proposal of the last candidate and its training: that one is left as it is. A machine
    that has become much busier since its speed was measured ends trainings at their limit.
    """
    failed = result.history[result.history.state == "failed"]
    assert failed.reason.str.contains("over its").all(), failed.reason.tolist()
    assert "scored" in set(result.history.state) <= {"asked", "scored", "failed"}
    assert len(result.front)
    assert result.finals
    assert np.isfinite(result.front.test_accuracy).all()


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """What a first training loads takes seconds on a busy machine, and is no part of these tests."""
    searchkit.run("random", space=space(), data=examples([10, 10]), budget=1, epochs=1, storage="memory")


@pytest.mark.slow
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([10, 10, 10], id="30 examples"),
        pytest.param([60, 60, 3], id="a class with 3 examples", marks=pytest.mark.thorough),
    ],
)
def test_few_examples(counts: list[int], tmp_path: Path) -> None:
    result = search(examples(counts), tmp_path)
    check(result)
    assert len(result.context["data"]["classes"]) == len(counts)


@pytest.mark.slow
@pytest.mark.thorough
def test_ten_thousand_classes(tmp_path: Path) -> None:
    result = search(examples([3] * 10_000, side=2), tmp_path, seconds=20.0)
    check(result)
    assert result.build(0)(torch.zeros(1, 1, 2, 2)).shape == (1, 10_000)


@pytest.mark.slow
def test_a_time_too_short_for_one_training_names_the_least_before_anything_is_recorded(tmp_path: Path) -> None:
    slow_from_the_start = space(Slowing(after=0, seconds=0.05))
    with pytest.raises(
        BudgetError, match=r"a budget of 2 s is too short: .*a training of \d+ steps takes .* at least"
    ) as e:
        search(examples([40, 40]), tmp_path, seconds=2.0, space=slow_from_the_start)
    least = float(str(e.value).split("at least ")[1].split(" s")[0])
    assert 2 < least < 100
    assert not list(tmp_path.iterdir())


class Slowing:
    """Builds networks that wait in each training step after so many steps of all networks of this process."""

    def __init__(self, after: int, seconds: float = SLOW_STEP) -> None:
        self.after, self.seconds, self.taken = after, seconds, 0

    def __call__(self, choices: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        network = perceptron(choices, input_shape, n_classes)
        network.register_forward_hook(self._wait)
        return network

    def _wait(self, network: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        if network.training:
            self.taken += 1
            if self.taken > self.after:
                time.sleep(self.seconds)


@pytest.mark.thorough
def test_a_device_that_turns_slow_in_the_middle_of_the_search(tmp_path: Path) -> None:
    seconds = 12.0
    result = search(examples([200, 200]), tmp_path, seconds, space=space(Slowing(after=400)))
    steps = result.history.steps.dropna().to_numpy()
    most = seconds / SLOW_STEP
    assert len(result.front)
    assert steps[0] > steps[-1], "no training was shortened"
    ended = [entry["steps"] for entry in result.finals.values()]
    assert 0 < sum(ended) < most, "the final trainings were not fitted into the time that was left"


@pytest.mark.thorough
def test_a_clock_that_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, clock = time.perf_counter(), time.time

    def set_back() -> float:
        """An hour is lost after two seconds, and again after four."""
        return clock() - 3600 * ((time.perf_counter() - began) // 2)

    monkeypatch.setattr(time, "time", set_back)
    monkeypatch.setattr(time, "time_ns", lambda: int(set_back() * 1e9))
    result = search(examples([100, 100]), tmp_path)
    check(result)
    assert result.history.seconds.between(0, 60).all()
    again = searchkit.load("timed", tmp_path)
    assert again.front.equals(result.front)
    n = len(result.trials)
    more = searchkit.run(
        "random", space=space(), data=examples([100, 100]), budget={"more_seconds": 3}, storage=tmp_path, name="timed"
    )
    assert len(more.trials) >= n
    assert more.history.seconds.between(0, 60).all()
