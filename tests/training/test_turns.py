"""What a course's turns on a card rely on, as far as that can be seen without one: test_interleaved.py has the rest."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from searchkit.errors import DeviceGoneError
from searchkit.execution.interleaved import Interleaved, Place
from searchkit.execution.outcome import Job, attempt
from searchkit.training.evaluation import Evaluation
from searchkit.training.turns import MOST, STEPS, Course, Mark, Turns, finish

CARD = torch.device("cuda", 0)


class Event:
    """Of a card that breaks down, or is done or not."""

    def __init__(self, done: bool | None = None) -> None:
        self.done = done

    def query(self) -> bool:
        if self.done is None:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return self.done

    synchronize = query


def waits(code: object = None, seed: int = 0) -> Course[dict[str, float]]:
    try:
        yield Mark(Event(), CARD)
    finally:  # as a network is brought home from a card
        Mark(Event(), CARD).synchronize()
    return {"loss": 0.0}


class Waits(Evaluation):
    in_turns = staticmethod(waits)  # type: ignore[assignment]


def evaluated_alone() -> None:
    attempt(lambda code, seed: finish(waits(code, seed)), Job(np.zeros(1, np.int64), 0), ("loss",))


def evaluated_beside_others() -> None:
    pool = Interleaved([Place(Waits())], ("loss",), None)
    pool.submit(0, Job(np.zeros(1, np.int64), 0))
    try:
        pool.wait()
    finally:
        pool.discard()


@pytest.mark.parametrize("evaluated", [evaluated_alone, evaluated_beside_others])
def test_a_card_that_breaks_down_while_it_is_waited_for_is_no_failure_of_the_candidate(
    evaluated: Callable[[], None],
) -> None:
    with pytest.raises(DeviceGoneError, match="'cuda:0' is lost to this process"):
        evaluated()


def test_a_card_that_another_process_has_is_no_failure_of_the_first_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(device: torch.device) -> None:
        raise RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")

    monkeypatch.setattr("searchkit.training.turns._borrowed", taken)
    with pytest.raises(DeviceGoneError, match="exclusive compute mode"):
        Turns(CARD, 0)


@pytest.mark.slow
def test_a_turn_is_longer_where_the_card_was_done_with_the_last_and_within_bounds() -> None:
    turns = Turns(torch.device("cpu"), 0)
    turns._stream = object()  # type: ignore[assignment]  # as on a card

    def length() -> int:
        return next(n for n in range(1, 1000) if turns.over(n, time.perf_counter()))

    lengths = [length()]
    for last in [None, Mark(Event(False), CARD), *[Mark(Event(True), CARD)] * 10]:
        turns.follow(last)
        lengths.append(length())
    assert lengths[:3] == [STEPS] * 3
    assert lengths[3] == 2 * STEPS
    assert lengths[-1] == MOST
