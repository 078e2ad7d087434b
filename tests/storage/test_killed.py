"""Searches that are killed twenty times, anywhere, lose nothing and count nothing twice."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.killing import in_a_process_that_is_killed_after, in_a_process_that_is_killed_somewhere, is_running
from helpers.postgresql import postgresql  # noqa: F401 - a fixture

import searchkit
from searchkit import Choice, Space, plugins

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

SPACE = Space([Choice("a", range(6)), Choice("b", ("u", "vv", "www", "xxxx")), Choice("c", (1, 2, 4, 8), ordered=True)])
KILLS = 20
BUDGET = 2 * KILLS + 4  # no run comes further than two evaluations
BATCH = 4


def evaluate(choices: dict) -> dict:
    if choices["a"] == 3:
        raise ValueError("hidden constraint")
    return {
        "loss": choices["a"] * 1.5 - choices["c"] + len(choices["b"]),
        "cost": (choices["a"] - 2) ** 2 + choices["c"],
    }


def search(strategy: str, storage: Any, function: Callable[[dict], dict] = evaluate, **given: Any) -> searchkit.Result:
    return searchkit.run(
        strategy, space=SPACE, evaluate=function, objectives={"loss": "min", "cost": "max"}, storage=storage,
        **{"budget": BUDGET, "batch": BATCH, "name": strategy} | given,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the forks would import one after the other is there already."""
    search("random", f"sqlite:///{tmp_path_factory.mktemp('first')}/first.db", budget=1)


STORAGES = ("a journal file", "SQLite", "PostgreSQL")
# What is lost depends on the storage, and what is asked next on the strategy: each of either, and not every pair.
PAIRS = [(name, STORAGES[0]) for name in plugins.names("strategy")]
PAIRS += [(name, storage) for name in ("nsga2", "tpe") for storage in STORAGES[1:]]
# search/test_resume.py kills each strategy at a few points: here some of them, and all of them in make thorough
USUAL = {("bo", STORAGES[0]), ("nsga2", "PostgreSQL")}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "PostgreSQL":
        return request.getfixturevalue("postgresql")
    return tmp_path if request.param == "a journal file" else f"sqlite:///{tmp_path}/studies.db"


_whole: dict[str, pd.DataFrame] = {}


def whole(strategy: str) -> pd.DataFrame:
    """The history of a search that nobody kills."""
    if strategy not in _whole:
        _whole[strategy] = search(strategy, "memory").history.drop(columns="seconds")
    return _whole[strategy]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "storage"),
    [pytest.param(*pair, marks=() if pair in USUAL else pytest.mark.thorough) for pair in PAIRS],
    indirect=["storage"],
)
def test_killed_twenty_times_at_random_moments_the_history_is_the_same(
    strategy: str, storage: Any, tmp_path: Path
) -> None:
    expected, log = whole(strategy), tmp_path / "evaluations"

    def logged(choices: dict) -> dict:
        with open(log, "a") as file:
            file.write(repr(choices) + "\n")
        return evaluate(choices)

    def run(tick: Callable[[], None]) -> None:
        search(strategy, storage, lambda choices: tick() or logged(choices))

    rng = np.random.default_rng([len(strategy), len(str(storage))])
    for number in range(KILLS):
        assert in_a_process_that_is_killed_somewhere(rng, run), f"run {number} was to be killed, and ended"
    again = search(strategy, storage, logged).history.drop(columns="seconds")
    assert again.equals(expected)
    times = Counter(log.read_text().splitlines())
    assert len(times) == BUDGET
    assert sum(times.values()) - BUDGET <= KILLS, "a recorded candidate was evaluated again"


def row(trial: searchkit.problem.trial.Trial) -> tuple:
    """What is on record of a finished candidate."""
    return (
        trial.number,
        trial.batch,
        tuple(trial.code.tolist()),
        trial.state,
        trial.values,
        trial.reason,
        trial.elapsed,
    )


@pytest.mark.thorough
def test_with_workers_no_result_is_lost_and_none_counted_twice(storage: Any, tmp_path: Path) -> None:
    kills = KILLS if "postgresql" in str(storage) else 4  # workers take a second or two to start each time
    budget = 4 * kills  # no run comes further than four results
    workers, ended = tmp_path / "workers", tmp_path / "ended"

    def slow(choices: dict) -> dict:  # by itself, so that workers need not import this file
        import os
        import time

        with open(workers, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.002 * (7 * choices["a"] + 5 * choices["c"]) % 0.03)
        if choices["a"] == 3:
            raise ValueError("hidden constraint")
        return {"loss": choices["a"] + 10 * len(choices["b"]) + 100 * choices["c"], "cost": choices["a"]}

    def run(tick: Callable[[], None]) -> None:
        def count(trial: searchkit.problem.trial.Trial, trials: object) -> None:
            with open(ended, "a") as file:
                file.write(f"{trial.number}\n")
            tick()

        search("nsga2", storage, slow, name="workers", executor=4, batch=None, budget=budget, callbacks=[count])

    rng = np.random.default_rng(len(str(storage)))
    before: dict[int, tuple] = {}
    for number in range(kills):
        n_results, delay = int(rng.integers(0, 3)), 10 ** rng.uniform(-4, -1.5)
        if n_results == 0:
            delay = 2 * rng.random()  # while workers start
        killed = in_a_process_that_is_killed_after(n_results, delay, run)
        assert killed, f"run {number} was to be killed, and ended"
        if not ended.exists():
            continue  # nothing was recorded yet
        now = {trial.number: row(trial) for trial in searchkit.load("workers", storage).trials if trial.finished}
        assert {number: now.get(number) for number in before} == before, "a recorded outcome changed"
        assert set(map(int, ended.read_text().split())) <= set(now), "a recorded outcome is gone"
        before = now
    assert not in_a_process_that_is_killed_after(2 * budget, 0, run)
    trials = searchkit.load("workers", storage).trials
    assert {trial.number: row(trial) for trial in trials if trial.number in before} == before
    assert [trial.number for trial in trials] == list(range(budget))
    assert all(trial.finished for trial in trials)
    assert len({tuple(trial.code.tolist()) for trial in trials}) == budget, "a candidate stands twice"
    for trial in trials:
        choices = SPACE.decode(trial.code[None])[0]
        if choices["a"] == 3:
            assert trial.reason == "ValueError: hidden constraint"
        else:
            assert trial.values["loss"] == choices["a"] + 10 * len(choices["b"]) + 100 * choices["c"]
    processes, give_up = set(map(int, workers.read_text().split())), time.monotonic() + 60
    while any(map(is_running, processes)) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not any(map(is_running, processes)), "a worker is still there"
