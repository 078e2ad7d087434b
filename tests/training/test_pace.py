"""The time of a training: schedules are shortened where they would take too long, and end as they should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchkit.data.loading import load_data
from searchkit.errors import CandidateError, TimeLimitError
from searchkit.training.optimisation import Steps
from searchkit.training.pace import Clock
from searchkit.training.recipe import Recipe
from searchkit.training.scores import scoring_time
from searchkit.training.train import course, train
from searchkit.training.turns import finish


class Simulated:
    """A training whose steps take the seconds that a function of their number says; it is its own clock."""

    def __init__(self, steps: int, seconds: Callable[[int], float]) -> None:
        self.taken, self.left, self.planned, self._seconds = 0, steps, steps, seconds
        self.time, self.progress = 0.0, 0.0

    epoch = epochs = 1

    @property
    def wanted(self) -> int:
        return round((1 - self.progress) * self.planned)

    def rest_in(self, left: int) -> None:
        self.left = left

    def now(self) -> float:
        return self.time

    def run(self, within: float | None, limit: float | None = None, scoring: float = 0.0, least: int = 0) -> None:
        clock = Clock(self.time, limit, within, least, self.now)
        clock.begin(self, scoring)
        while self.left:
            self.time += self._seconds(self.taken)
            self.progress += (1 - self.progress) / self.left
            self.taken, self.left = self.taken + 1, self.left - 1
            clock.check()


def test_a_training_that_has_the_time_makes_all_steps() -> None:
    training = Simulated(1000, lambda step: 0.01)
    training.run(within=10.2)
    assert training.taken == 1000


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(lambda step: 0.01, id="a steady device"),
        pytest.param(lambda step: 0.01 if step < 200 else 0.03, id="a device that turns slow"),
        pytest.param(lambda step: 0.03 if step < 50 else 0.01, id="a device that turns quick"),
        pytest.param(lambda step: 0.01 if step % 10 else 0.1, id="uneven steps"),
        pytest.param(lambda step: 0.5 if step == 0 else 0.01, id="a slow first step"),
    ],
)
def test_the_time_is_kept(seconds: Callable[[int], float]) -> None:
    training = Simulated(1000, seconds)
    training.run(within=6.0)
    assert 5.0 <= training.time <= 6.3


@pytest.mark.parametrize("paused", [2, 3, 4])
def test_a_pause_among_the_first_steps_does_not_end_a_training(paused: int) -> None:
    training = Simulated(1000, lambda step: 1.0 if step == paused else 0.01)
    training.run(within=6.0, least=50)
    assert training.taken > 400


def test_a_device_that_is_too_slow_is_known_after_a_few_steps() -> None:
    training = Simulated(1000, lambda step: 0.2)
    with pytest.raises(CandidateError, match=r"too slow .* a training step takes 0.2 s .* 50 steps take more"):
        training.run(within=6.0, least=50)
    assert training.taken < 10


def test_time_is_kept_for_scoring() -> None:
    training = Simulated(1000, lambda step: 0.01)
    training.run(within=6.0, scoring=0.8)
    assert 5.0 <= training.time <= 5.3


def test_scoring_takes_longer_where_the_device_has_turned_slow() -> None:
    training = Simulated(1000, lambda step: 0.01 if step < 100 else 0.02)
    training.run(within=6.0, scoring=0.5)
    assert 4.7 <= training.time <= 5.1


def test_the_time_of_scoring_is_measured_and_changes_nothing() -> None:
    """Of a network whose steps are quick and whose answers are large, as where there are many classes."""
    data = load_data("digits")
    networks = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 10)) for _ in "ab"]
    networks[1].load_state_dict(networks[0].state_dict())
    before, mode = torch.get_rng_state(), networks[0].training
    assert 0 < scoring_time(networks[0], data, torch.device("cpu")) < 0.01
    assert torch.equal(torch.get_rng_state(), before)
    assert networks[0].training == mode
    timed = [
        finish(course(network, data, recipe=Recipe(steps=30), device="cpu", within=within))
        for network, within in zip(networks, (1e6, None), strict=True)
    ]
    assert timed[0].scores == timed[1].scores


def test_a_training_of_too_few_steps_fails_at_its_beginning_and_says_why() -> None:
    training = Simulated(200, lambda _: 1.0)
    with pytest.raises(
        CandidateError, match=r"a training step takes 1 s and the score 0 s, so that 60 steps take more"
    ):
        training.run(within=50, least=60)
    assert training.taken < 10
    Simulated(20, lambda _: 1.0).run(within=50, least=60)  # as many as it has
    slower = Simulated(200, lambda step: 0.1 if step < 20 else 10.0)  # what has begun well is kept
    slower.run(within=50, least=60)
    assert 20 < slower.taken < 60


def test_a_clock_says_nothing_where_nothing_is_limited() -> None:
    training = Simulated(100, lambda step: 1e6)
    training.run(within=None)
    assert training.taken == 100


def test_a_training_over_its_limit_has_failed() -> None:
    with pytest.raises(TimeLimitError, match="over its limit of 2 s at epoch 1 of 1"):
        Simulated(100, lambda step: 0.1).run(within=None, limit=2.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 2000), st.floats(0.001, 0.1), st.floats(0.2, 2.0), st.integers(0, 10**6))
def test_a_training_ends_in_time_whatever_its_steps_take(steps: int, mean: float, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    noise = (0.5 + torch.rand(steps, generator=generator)).tolist()
    training = Simulated(steps, lambda step: mean * noise[step])
    within = share * steps * mean
    training.run(within=within)
    assert training.time <= 1.1 * within + 10 * mean


def _steps(recipe: Recipe) -> Steps:
    data = load_data("digits")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    return Steps(network, data, recipe, torch.device("cpu"), 0, None)


def test_a_shortened_schedule_goes_on_where_it_is_and_ends_at_its_end() -> None:
    steps = _steps(Recipe(steps=100))
    whole = list(steps._rates)
    for _ in range(40):
        steps.take()
    steps.rest_in(20)
    assert steps.left == 20
    assert steps._rates[:41] == pytest.approx(whole[:41])  # the next step has the rate that it would have had
    assert steps._rates[40:] == pytest.approx(whole[40:100:3])  # and the rest is the same curve at three times the pace
    while steps.left:
        steps.take()
    assert steps.taken == 60


def test_a_schedule_may_be_gone_through_in_more_steps_again() -> None:
    steps = _steps(Recipe(steps=100))
    whole = list(steps._rates)
    steps.rest_in(50)
    for _ in range(25):
        steps.take()
    assert steps.wanted == 50
    steps.rest_in(50)
    assert steps._rates[25:] == pytest.approx(whole[50:])


def test_a_schedule_that_is_shortened_twice_is_the_same_curve() -> None:
    steps = _steps(Recipe(steps=160))
    whole = list(steps._rates)
    steps.rest_in(80)
    for _ in range(40):
        steps.take()
    steps.rest_in(20)
    assert steps._rates[40:] == pytest.approx(whole[80:160:4])


def test_steps_decide_where_they_are_given() -> None:
    data = load_data("digits")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    trained = train(network, data, recipe=Recipe(steps=13))
    assert (trained.steps, trained.planned) == (13, 13)


def test_a_training_within_no_time_is_scored_all_the_same() -> None:
    data = load_data("digits")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    trained = finish(course(network, data, recipe=Recipe(epochs=1000), within=0.02))
    assert 0 < trained.steps < trained.planned
    assert 0 <= trained.accuracy <= 1
