"""A time limit holds for what a user's code does beside trainings: own cost metrics, and builds that are counted."""

from __future__ import annotations

import ctypes
import logging
import signal
import threading
import time
from typing import Any

import pytest
from torch import nn

import searchkit
from searchkit import Choice, Metric, NetworkSpace
from searchkit.execution import time_limits

posix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms on this platform")


def forever() -> None:
    while True:
        time.sleep(0.01)


def native() -> None:
    """Sleep for an hour without returning to Python at an alarm."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    ctypes.PyDLL(None).sleep(ctypes.c_uint(3600))


def space(build: Any = None) -> NetworkSpace:
    def small(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        width = choices["width"]
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, n_classes))

    return NetworkSpace([Choice("width", (2, 3, 4))], build or small, input_shape=(1, 8, 8), n_classes=10)


def search(metric: Metric, executor: int | None, limit: float, **given: Any) -> dict[int, Any]:
    result = searchkit.run(
        "random", **{"space": space(), "objectives": (metric, "params"), "budget": 3, "batch": 1} | given,
        executor=executor, time_limit=limit, storage="memory",
    )  # fmt: skip
    return {int(trial.code[0]): trial for trial in result.trials}


def hidden(network: nn.Module) -> int:
    return next(layer for layer in network.modules() if isinstance(layer, nn.Linear)).out_features


def never(how: Any) -> Metric:
    """A cost that is never there for the network of width 3."""

    def cost(network: nn.Module) -> float:
        if hidden(network) == 3:
            how()
        return float(hidden(network))

    return Metric("cost", cost)


def assert_late(ended: dict[int, Any], reason: str) -> None:
    assert len(ended) == 3
    assert (ended[1].state, ended[1].reason) == ("failed", reason)
    assert [(ended[i].state, ended[i].values["cost"]) for i in (0, 2)] == [("scored", 2.0), ("scored", 4.0)]


@posix
@pytest.mark.thorough
def test_with_workers_a_cost_that_never_returns_is_ended() -> None:
    ended = search(never(native), 2, 3)
    told = "over its time limit of 3 s, and its worker process was ended after 6.5 s"
    assert_late(ended, f"the measurement of its costs is {told}")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("executor", [None, pytest.param(2, marks=pytest.mark.thorough)])
def test_a_cost_that_cannot_be_sent_is_interrupted_in_this_process(executor: int | None) -> None:
    lock = threading.Lock()

    def wait() -> None:
        with lock:
            forever()

    assert_late(search(never(wait), executor, 3), "the measurement of its costs is over its time limit of 3 s")


@pytest.mark.slow
@posix
def test_that_a_cost_cannot_be_interrupted_here_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(time_limits, "well_over", lambda limit: 1.2 * limit)
    monkeypatch.setattr(time_limits, "_said", threading.Event())

    def swallow() -> None:
        while not time_limits._said.is_set():
            try:
                time.sleep(0.01)
            except BaseException:
                continue

    with caplog.at_level(logging.WARNING, logger="searchkit"):
        search(never(swallow), None, 2)
    assert "a candidate goes on after its time limit of 2 s" in caplog.text


@pytest.mark.slow
@posix
def test_a_build_that_never_returns_fails_its_candidate_and_counts_for_no_other() -> None:
    built: list[int] = []

    def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        built.append(choices["width"])
        if choices["width"] == 3:
            forever()
        return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n_classes))

    cost = Metric("cost", lambda network: float(hidden(network)))
    ended = search(cost, None, 1, space=space(build), constraints={"params": 1e6})
    assert_late(ended, "the measurement of its costs is over its time limit of 1 s")
    assert built.count(3) == 2, "counted once for the bound, and once as its evaluation; every attempt takes the limit"
