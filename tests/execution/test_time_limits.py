"""Time limits hold for code that catches errors, and in worker processes also for code that never returns to Python."""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
import time
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.errors import TimeLimitError
from searchkit.execution import time_limits
from searchkit.execution.outcome import Job, attempt
from searchkit.execution.time_limits import within

SPACE = Space([Choice("i", range(6))])
posix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms on this platform")


def forever(*_: Any) -> dict[str, float]:
    while True:
        time.sleep(0.01)


def swallowing(*_: Any) -> dict[str, float]:
    """Goes on whatever error is raised."""
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def stubborn(*_: Any) -> dict[str, float]:
    """Catches even what is no error, once."""
    try:
        forever()
    except BaseException:
        return forever()


def native(seconds: int) -> None:
    """Sleep without returning to Python at an alarm, and without giving the interpreter to another thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    ctypes.PyDLL(None).sleep(ctypes.c_uint(seconds))


@posix
@pytest.mark.parametrize("evaluate", [forever, swallowing, stubborn])
def test_code_that_catches_errors_is_interrupted(evaluate: Any) -> None:
    outcome = attempt(evaluate, Job(np.array([0]), 0), ("loss",), 0.05)
    assert outcome.reason == "over its time limit of 0.05 s"


@posix
def test_a_timer_and_a_handler_of_the_users_are_as_they_were() -> None:
    rung: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 1000)
        with pytest.raises(TimeLimitError):
            within(0.05, forever)
        assert within(10, lambda: 3) == 3
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
        signal.raise_signal(signal.SIGALRM)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@pytest.mark.slow
@posix
def test_an_import_is_not_interrupted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_module.py").write_text("import time\nfor _ in range(20):\n    time.sleep(0.01)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def evaluate() -> None:
        import slow_module  # noqa: F401

        forever()

    with pytest.raises(TimeLimitError):
        within(0.05, evaluate)
    assert sys.modules.pop("slow_module").whole


@pytest.mark.slow
@posix
def test_what_cannot_be_interrupted_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(time_limits, "well_over", lambda limit: 2 * limit)
    monkeypatch.setattr(time_limits, "_said", time_limits.threading.Event())

    def uninterruptible() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                time.sleep(0.01)
            except BaseException:
                continue

    with caplog.at_level(logging.WARNING, logger="searchkit"):
        for _ in range(2):
            within(0.05, uninterruptible)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "worker processes (executor=1 or more) are ended" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("executor", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_a_worker_that_is_well_over_the_limit_is_ended(executor: int, tmp_path: Any) -> None:
    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        if choices["i"] == 2:
            (tmp_path / f"{time.monotonic_ns()}").touch()
            native(3600)
        return {"loss": choices["i"]}

    result = searchkit.run(
        "random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, budget=6, executor=executor, time_limit=1,
        storage="memory",
    )  # fmt: skip
    ended = {trial.code[0]: trial for trial in result.trials}
    assert len(ended) == 6
    assert ended[2].state == "failed"
    assert ended[2].reason == "over its time limit of 1 s, and its worker process was ended after 3.5 s"
    assert all(trial.state == "scored" for code, trial in ended.items() if code != 2)
    assert len(list(tmp_path.iterdir())) == 1, "it was evaluated once"


@pytest.mark.slow
def test_a_worker_that_crashes_is_not_taken_for_a_late_one() -> None:
    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        if choices["i"] == 2:
            ctypes.string_at(0)
        return {"loss": choices["i"]}

    result = searchkit.run(
        "random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, budget=6, executor=2, time_limit=60,
        storage="memory",
    )  # fmt: skip
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert [trial.code[0] for trial in failed] == [2]
    assert "crashed in native code (SIGSEGV)" in str(failed[0].reason)


@pytest.mark.parametrize("limit", [0.1, 1.0, 4.0, 60.0, 3600.0])
def test_nothing_is_given_up_before_its_limit(limit: float) -> None:
    assert time_limits.well_over(limit) > limit + 1
