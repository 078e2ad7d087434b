"""Turns between the proxy layer and a strategy with a model: who brings more proposes more, and nobody nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchkit.problem.observations import Observations
from searchkit.proxy_layer.turns import LEAST, Turns


def batch(*losses: float) -> Observations:
    rows = np.array(losses).reshape(len(losses), -1)
    return Observations(np.zeros((len(rows), 1), dtype=np.int64), rows, np.empty((len(rows), 0)))


def played(turns: Turns, n: int, improves: tuple[bool, bool]) -> list[bool]:
    """Whose n turns come where a batch of the layer, and of the strategy, improves on all before or not."""
    taken, best = [], 0.0
    for _ in range(n):
        taken.append(turns.strategy)
        better = improves[taken[-1]]
        best -= better
        turns.tell(batch(best if better else 1.0))
    return taken


def test_all_batches_are_the_layers_before_there_are_enough_observations() -> None:
    turns = Turns(first=6)
    for _ in range(3):
        assert not turns.strategy
        turns.tell(batch(1.0, 2.0))
    played(turns, 1, (False, False))
    assert turns.strategy


@pytest.mark.parametrize(
    ("improves", "share"),
    [((False, False), 0.5), ((True, True), 0.5), ((True, False), LEAST), ((False, True), 1 - LEAST)],
)
def test_shares_follow_what_was_brought(improves: tuple[bool, bool], share: float) -> None:
    turns = Turns(first=1)
    assert np.mean(played(turns, 81, improves)[41:]) == pytest.approx(share, abs=0.05)


def test_a_batch_that_repeats_the_best_losses_brings_nothing() -> None:
    turns, other = Turns(first=0), Turns(first=0)
    for losses in (1.0, 1.0, 1.0, 1.0):
        turns.tell(batch(losses))
    for losses in (1.0, 2.0, 2.0, 2.0):
        other.tell(batch(losses))
    assert turns.share == other.share


def test_a_batch_brings_something_that_extends_a_front_and_one_that_failed_does_not() -> None:
    def told(*rows: tuple[float, float]) -> Observations:
        losses = np.array(rows)
        return Observations(np.zeros((len(rows), 1), dtype=np.int64), losses, np.empty((len(rows), 0)))

    turns = Turns(first=0)
    turns.tell(told((1.0, 1.0)))  # the layer's
    assert turns.strategy
    turns.tell(told((2.0, 0.5), (3.0, 3.0)))
    even = turns.share
    assert even == 0.5
    assert not turns.strategy
    turns.tell(told((np.nan, np.nan)))
    assert turns.share > even


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), k=st.integers(1, 3))
def test_turns_are_a_function_of_what_was_told(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [
        Observations(np.zeros((n, 1), dtype=np.int64), rng.integers(0, 9, (n, k)) * 1.0, np.empty((n, 0)))
        for n in rng.integers(1, 4, 30)
    ]
    asked, told = Turns(first=5), Turns(first=5)
    shares = []
    for one in batches:
        shares.append(asked.share)
        asked.strategy  # noqa: B018
        asked.tell(one)
        told.tell(one)
    assert (asked.share, asked.strategy) == (told.share, told.strategy)
    assert all(LEAST <= share <= 1 - LEAST for share in shares)
