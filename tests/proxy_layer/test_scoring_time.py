"""A search with a time scores as many networks by its proxies as fit into it, down to none."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.proxy_layer import Screen, Signals
from searchkit.proxy_layer.scoring_time import CHOICE_SHARE, REFERENCE_SHARE, ScoringTime
from searchkit.scoring import Scorer
from searchkit.types import Codes, Floats

DATA = searchkit.load_data("digits", limit=300)
SCORED = 0.2  # seconds


def perceptron(choices: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int) -> torch.nn.Module:
    inputs = int(np.prod(input_shape))
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(inputs, choices["width"]), torch.nn.Linear(choices["width"], n_classes)
    )


SPACE = NetworkSpace([Choice("width", range(1, 400))], perceptron, name="perceptron")


class Clock:
    """Seconds that go on only where something takes them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """A proxy that takes its time for each network, by a clock of its own or by that of the machine."""

    name = "slow"

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self.seconds, self.clock, self.scored = seconds, clock, 0

    def score(self, codes: Codes) -> Floats:
        for _ in codes:
            self.scored += 1
            if self.clock is None:
                time.sleep(self.seconds)
            else:
                self.clock.now += self.seconds
        return codes[:, 0].astype(float)


def layer(proxy: Slow, clock: Clock, until: float, training: float | None = None, trained: float = 0.0) -> Screen:
    scorer = Scorer(SPACE, [proxy])
    signals = Signals(SPACE, scorer.names, scorer, Goals((Objective("loss"),)))
    timed = ScoringTime(scorer, clock, until, lambda: trained, training)
    return Screen(Problem(SPACE, 1, 0), signals, 16, 0, time=timed)


def picked(screen: Screen, seed: int = 0, seen: set[bytes] | None = None) -> Codes:
    rng = np.random.default_rng(seed)
    proposed = SPACE.sample(screen.proposals(1), rng)
    return screen.pick(proposed, 1, seen or set(), rng, SPACE.sample(0, rng))


@pytest.mark.parametrize("price", [0.001, 0.05, 0.2, 1.0, 7.0, 500.0])
@pytest.mark.parametrize("training", [None, 2.0, 20.0], ids=str)
def test_scores_keep_to_their_share_of_the_time_but_for_one_network(price: float, training: float | None) -> None:
    clock, until = Clock(), 100.0
    proxy = Slow(price, clock)
    screen = layer(proxy, clock, until, training)
    assert len(picked(screen)) == 1
    most = REFERENCE_SHARE * until + (CHOICE_SHARE * training if training else 0.05 * until)
    assert clock.now <= most + 2 * price
    while clock.now < until:
        before = clock.now
        assert len(picked(screen, int(before))) == 1
        assert clock.now - before <= max(CHOICE_SHARE * (training or 0.0), 0.05 * (until - before)) + price
        clock.now += training or 2.0
    assert clock.now < until + (training or 2.0) + price


def test_with_time_enough_the_choice_is_the_one_without_a_time() -> None:
    clock = Clock()
    timed, free = layer(Slow(0.001, clock), clock, 1e6, 1e4), layer(Slow(0.001, clock), clock, 1e6)
    free.time = None
    rng = np.random.default_rng(1)
    for seed in range(8):
        code = picked(timed, seed)
        assert np.array_equal(code, picked(free, seed))
        losses = rng.normal(size=(1, 1))
        for screen in (timed, free):
            screen.tell(Observations(code, losses, np.empty((1, 0))))


def test_where_no_score_fits_the_strategys_own_proposal_is_taken_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    proxy = Slow(60.0, clock)
    screen = layer(proxy, clock, 1000.0, 10.0)
    with caplog.at_level(logging.INFO, "searchkit"):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            proposed = SPACE.canonical(SPACE.sample(screen.proposals(1), rng))
            code = screen.pick(proposed, 1, set(), rng, proposed[:0])
            assert np.array_equal(code, proposed[:1])
            screen.tell(Observations(code, np.ones((1, 1)), np.empty((1, 0))))
    assert proxy.scored <= 2
    assert not screen.judges
    (said,) = [line for line in caplog.messages if "scoring by proxies is cut to keep the time" in line]
    assert "a network takes 1 min to be scored" in said
    assert "the strategy's own proposals are trained" in said


def test_candidates_that_were_not_scored_are_learned_from_when_there_is_time() -> None:
    clock = Clock()
    screen = layer(Slow(0.01, clock), clock, 1000.0, 10.0)
    first = SPACE.canonical(SPACE.sample(6, np.random.default_rng(3)))
    screen.tell(Observations(first, first[:, :1].astype(float), np.empty((6, 0))))  # designs of the space, unscored
    picked(screen)
    assert len(screen.signals.trust)
    assert screen.signals.trust.rho[0] < -0.9  # low losses have low scores


def search(folder: Path, proxy: Slow, **given: Any) -> Any:
    call: dict[str, Any] = {"budget": {"seconds": 8}, "name": "timed", "space": SPACE, "data": DATA} | given
    return searchkit.run("random", proxies=[proxy], storage=folder, **call)


@pytest.mark.thorough
def test_a_planned_search_keeps_its_time_and_trains_its_winner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = Slow(SCORED)
    with caplog.at_level(logging.INFO, "searchkit"):
        result = search(tmp_path, proxy)
    assert result.finals
    assert proxy.scored * SCORED < 8 / 2
    before = len(result.history)
    again = search(tmp_path, proxy, budget={"more_seconds": 6})
    assert len(again.history) > before
    assert again.finals
    assert proxy.scored * SCORED < (8 + 6) / 2


@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, pytest.param(2, marks=pytest.mark.thorough)])
def test_an_unplanned_search_with_a_time_keeps_it(tmp_path: Path, workers: int | None) -> None:
    proxy = Slow(SCORED)
    given: dict[str, Any] = {"epochs": 1} | ({"executor": workers} if workers else {})
    result = search(tmp_path, proxy, budget={"seconds": 8 if workers else 5}, **given)
    assert (result.history.state == "scored").sum() > (0 if workers else 3)
    assert workers or proxy.scored * SCORED < 5
