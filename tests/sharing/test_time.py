"""Shared weights with a time: how many steps are planned, and what a search makes of its budget in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError, SearchFailedError
from searchkit.sharing import SharedWeights
from searchkit.sharing.fitting import Fitting
from searchkit.sharing.pace import Pace, most_steps
from searchkit.sharing.policies.table import POLICIES
from searchkit.spaces.macro import macro

SMALL = macro(width=2, layers=(1, 1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("together", [1, 3])
def test_as_many_steps_are_planned_as_fit(together: int) -> None:
    def cost(steps: int) -> float:
        return 2.0 + 0.1 * steps

    found = most_steps(300, together, 12.0, cost)
    assert found % together == 0
    assert cost(found) <= 12.0 * 0.95 < cost(found + together)
    assert most_steps(30, together, 12.0, cost) == 30
    assert most_steps(300, together, 0.0, cost) == together, "a training has a step"


@pytest.mark.parametrize("together", [1, 4])
def test_steps_that_take_longer_than_the_first_ones_become_fewer(together: int) -> None:
    clock = Clock()
    pace = Pace(100.0, 100, 10.0, clock)  # as of steps of 0.9 s
    clock.now = 9.0
    assert pace.kept(10, together) == 100
    clock.now = 40.0
    fewer = pace.kept(20, together)
    assert fewer % together == 0
    assert 40 <= fewer <= 45, "each takes 2 s, and 50 s are left but for the ending"
    clock.now = 99.0
    assert pace.kept(30, together) == -(-30 // together) * together
    clock.now = 99.1
    assert pace.kept(30, together) <= fewer, "they never become more again"


@pytest.mark.parametrize("policy", POLICIES)
def test_with_no_time_a_training_has_the_fewest_steps_and_says_so(
    digits: Data, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedWeights(SMALL, digits, epochs=50, seconds=1e-9, policy=policy).fit()
    assert shared._bank.steps == max(POLICIES[policy](shared._paths).together, 1)
    assert "of 50 epochs, as many as are expected to fit into" in caplog.text
    assert "may rank networks the wrong way round" in caplog.text


@pytest.mark.slow
def test_with_time_enough_a_training_is_as_without(digits: Data) -> None:
    codes = SMALL.enumerate()
    timed, free = (SharedWeights(SMALL, digits, epochs=4, seconds=seconds) for seconds in (1e6, None))
    assert np.isfinite(free.losses(codes)).any()
    np.testing.assert_array_equal(timed.losses(codes), free.losses(codes))  # NaN where a network was in no step
    assert timed.described() != free.described(), "they may be others on another machine"


@pytest.mark.slow
def test_what_was_planned_holds_when_a_training_is_continued(digits: Data, tmp_path: Path) -> None:
    given: dict[str, Any] = {"epochs": 50, "folder": tmp_path}
    first = SharedWeights(SMALL, digits, **given)
    first.train_until(0.0)
    first.fit()
    again = SharedWeights(SMALL, digits, **given).fit()
    assert again._bank.steps == first._bank.steps == 1


def test_a_time_is_a_number_above_nothing(digits: Data) -> None:
    with pytest.raises(ProxyError, match="seconds is a number above 0, not 0"):
        SharedWeights(SMALL, digits, seconds=0)


@pytest.fixture
def hurried(digits: Data, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A search whose time for the training of shared weights is over when it begins."""
    monkeypatch.setattr("searchkit.planned.JUDGES", 0.0)
    given: dict[str, Any] = {"data": digits, "storage": "memory", "strategy": "random", "space": SMALL}
    return given | {"budget": {"evaluations": 1, "seconds": 600.0}, "start": [[0, 1]]}


def test_a_search_with_a_time_shortens_the_training_of_its_shared_weights(
    hurried: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SearchFailedError, match="in no step of the training"):
        searchkit.run(evaluation={"epochs": 100}, **hurried)
    assert "of 100 epochs, as many as are expected to fit into 0 s" in caplog.text


@pytest.mark.slow
def test_shared_weights_of_the_users_are_trained_as_they_are_in_a_search_with_a_time(
    digits: Data, hurried: dict[str, Any]
) -> None:
    shared = SharedWeights(SMALL, digits, epochs=5)
    assert len(searchkit.run(evaluation=shared, **hurried).front) == 1
    assert len(shared.curve) == 5


def test_where_the_networks_that_are_measured_cannot_be_trained_others_are(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(scratch: Fitting, seconds: float) -> tuple[float, float]:
        raise ProxyError("100 paths in a row could not be trained")

    monkeypatch.setattr("searchkit.sharing.timing._measured", fails)
    assert len(SharedWeights(SMALL, digits, epochs=1, seconds=1e6).fit().curve) == 1
