"""What an evaluation comes to, where nothing can interrupt it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from searchkit.execution.outcome import Job, attempt, attempt_in_turns

JOB = Job(np.array([0]), 0)


def slow(*_: Any) -> dict[str, float]:
    time.sleep(0.1)
    return {"loss": 1.0}


def test_over_its_time_limit_in_a_thread_it_has_failed_when_it_ends() -> None:
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(attempt, slow, JOB, ("loss",), 0.05).result()
        in_time = threads.submit(attempt, slow, JOB, ("loss",), 60.0).result()
    assert late.reason == "over its time limit of 0.05 s"
    assert not late.values
    assert (in_time.reason, in_time.values) == (None, {"loss": 1.0})


def test_over_its_time_limit_in_turns_it_has_failed_when_it_ends() -> None:
    def course() -> Any:
        yield
        return slow()

    turns = attempt_in_turns(course(), ("loss",), 0.05)
    next(turns)
    with pytest.raises(StopIteration) as ended:
        next(turns)
    assert ended.value.value.reason == "over its time limit of 0.05 s"
