"""The loop: budgets, failures, bounds, callbacks, executors; on functions that cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space, StopSearch
from searchkit.errors import SearchFailedError, SearchkitError

SPACE = Space([Choice(name, range(6)) for name in "abcde"])


def loss(choices: dict) -> dict:
    return {"loss": sum(choices.values())}


def search(function=loss, strategy="random", budget=20, objectives=None, **more):
    more.setdefault("storage", "memory")
    return searchkit.run(
        strategy, space=SPACE, evaluate=function, objectives=objectives or {"loss": "min"}, budget=budget, **more
    )


def test_a_budget_of_evaluations_is_spent_exactly():
    for batch in (1, 7, 50):
        assert len(search(batch=batch).history) == 20


def test_a_budget_of_seconds_ends_the_search():
    def slow(choices):
        time.sleep(0.02)
        return loss(choices)

    start = time.perf_counter()
    result = search(slow, budget={"seconds": 0.3}, batch=1)
    assert 0.3 <= time.perf_counter() - start < 3
    assert 2 <= (result.history.state == "scored").sum() <= 15


def test_both_budgets_the_first_to_end_counts():
    assert len(search(budget={"evaluations": 5, "seconds": 100}).history) == 5


def test_a_space_is_searched_to_its_end_and_no_further():
    tiny = Space([Choice("x", (1, 2, 3))])
    result = searchkit.run(
        "nsga2", space=tiny, evaluate=lambda c: {"y": c["x"]}, objectives={"y": "max"}, budget=50, storage="memory"
    )
    assert sorted(result.history.x) == [1, 2, 3]
    assert "every candidate" in result.stopped
    assert result.best()["x"] == 3


def test_no_candidate_is_evaluated_twice_even_if_a_strategy_repeats_itself():
    class Stubborn:
        def __init__(self, problem):
            self.problem = problem

        def ask(self, n, rng, pending):
            return np.zeros((n, 5), dtype=np.int64)

        def tell(self, told):
            pass

    seen = []
    search(lambda c: seen.append(tuple(c.values())) or loss(c), Stubborn, batch=4)
    assert len(seen) == len(set(seen)) == 20


def test_a_failing_candidate_is_recorded_with_its_reason_and_the_search_goes_on():
    problems = {1: ZeroDivisionError("no"), 2: MemoryError("full")}

    def picky(choices):
        if choices["a"] in problems:
            raise problems[choices["a"]]
        return {"loss": float("nan") if choices["a"] == 3 else 1.0 if choices["a"] == 4 else choices["b"]}

    history = search(picky, budget=60).history
    assert len(history) == 60
    reasons = history.groupby("a")["reason"].agg(set)
    assert reasons[1] == {"ZeroDivisionError: no"}
    assert reasons[2] == {"MemoryError: full"}
    assert reasons[3] == {"loss is nan"}
    assert history[history.state == "failed"].loss.isna().all()


@pytest.mark.parametrize("strategy", ["bo", "nsga2", "random", "tpe"])
def test_if_the_first_candidates_all_fail_the_search_stops_with_the_first_error(strategy, monkeypatch):
    def broken(choices):
        raise RuntimeError(f"bug {choices['a']}")

    with pytest.raises(SearchFailedError, match=r"first 20 candidates all failed.*RuntimeError: bug \d"):
        search(broken, strategy)  # failures that cost nothing
    monkeypatch.setattr("searchkit.search.accounting.PATIENCE", 0.0)
    with pytest.raises(SearchFailedError, match=r"first 3 candidates all failed.*RuntimeError: bug \d"):
        search(broken, strategy)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (3.0, "evaluate returned float, not a mapping of loss"),
        ({"los": 1}, "evaluate returned no 'loss', only los"),
        ({"loss": "low"}, "loss is 'low', not a number"),
        ({"loss": float("inf")}, "loss is inf"),
    ],
)
def test_what_evaluate_returns_is_checked(returned, reason):
    with pytest.raises(SearchFailedError, match=reason):
        search(lambda choices: returned)


def test_a_candidate_over_its_time_limit_has_failed():
    def sometimes_slow(choices):
        if choices["a"] < 2:
            time.sleep(5)
        return loss(choices)

    start = time.perf_counter()
    history = search(sometimes_slow, budget=12, time_limit=0.05).history
    assert time.perf_counter() - start < 4
    assert set(history[history.a < 2].reason) == {"over its time limit of 0.05 s"}
    assert set(history[history.a >= 2].state) == {"scored"}


def test_interrupting_returns_what_there_is(tmp_path):
    calls = []

    def interrupted(choices):
        calls.append(choices)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return loss(choices)

    result = search(interrupted, storage=tmp_path, name="s", batch=5)
    assert result.stopped == "interrupted"
    assert (result.history.state == "scored").sum() == 7
    assert len(search(storage=tmp_path, name="s", batch=5).history) == 20


def test_callbacks_see_every_candidate_and_may_stop():
    numbers = []

    def callback(trial, trials):
        numbers.append(trial.number)
        if trial.number == 6:
            raise StopSearch("enough")

    result = search(callbacks=[callback])
    assert numbers == list(range(7))
    assert result.stopped == "stopped by a callback: enough"


@pytest.mark.parametrize("strategy", ["bo", "nsga2", "random", "tpe"])
def test_bounds_on_results_are_learned_and_kept_off_the_front(strategy):
    def two(choices):
        return {"loss": sum(choices.values()), "size": choices["a"] + choices["b"]}

    result = search(two, strategy, budget=40, constraints={"size": (4, 7)}, batch=4)
    assert result.front["size"].between(4, 7).all()
    second_half = result.history["size"][20:].between(4, 7).mean()
    assert second_half > 0.5  # a random candidate keeps it with chance 0.64; those that chase the loss, less


@pytest.mark.slow
def test_the_seed_decides_the_history():
    for strategy in ("bo", "nsga2", "random", "tpe"):
        first, again = (search(strategy=strategy, seed=3).history.drop(columns="seconds") for _ in range(2))
        other = search(strategy=strategy, seed=4).history.drop(columns="seconds")
        assert first.equals(again)
        assert not first.equals(other)


def in_worker(choices):
    if choices["a"] == 5:
        os._exit(9)  # as the kernel's out-of-memory killer does
    return loss(choices) | {"worker": os.getpid()}


@pytest.mark.slow
def test_worker_processes_give_the_same_history_and_a_dead_one_costs_one_candidate():
    result = search(in_worker, executor=2, batch=4, budget=16)
    assert len(result.history) == 16
    died = result.history.a == 5
    assert died.any()
    assert result.history[died].reason.str.contains("worker process died").all()
    assert set(result.history[~died].state) == {"scored"}
    assert result.history.worker[~died].nunique() >= 2
    assert os.getpid() not in set(result.history.worker[~died])
    here = search(lambda c: loss(c) if c["a"] != 5 else 1 / 0, batch=4, budget=16).history
    assert here.drop(columns=["seconds", "reason"]).equals(result.history.drop(columns=["seconds", "reason", "worker"]))


KILLED = """\
import os, signal, searchkit, threading, time
from pathlib import Path
space = searchkit.Space([searchkit.Choice("x", range(9))])

def evaluate(choices):
    Path(f"worker-{os.getpid()}").touch()
    time.sleep(60 * choices["x"])
    return {"y": choices["x"]}

def kill():
    while not list(Path().glob("worker-*")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill).start()
searchkit.run("random", space=space, evaluate=evaluate, budget=9, objectives={"y": "max"}, executor=2)
"""

SLOW_START = """\
import os, sys, time
if any("loky" in argument and "tracker" not in argument for argument in sys.orig_argv):
    open(f"worker-{os.getpid()}", "w").close()
    time.sleep(2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("moment", ["evaluating", pytest.param("starting", marks=pytest.mark.thorough)])
def test_workers_do_not_outlive_a_killed_driver(moment: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(KILLED)
    if moment == "starting":
        (tmp_path / "sitecustomize.py").write_text(SLOW_START)
    # output to a file: a pipe ends when the last of the driver's children has closed it, which is what is tested
    with open(tmp_path / "output", "w") as output:
        ended = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT, timeout=120,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, (tmp_path / "output").read_text()
    workers = [Path("/proc") / path.name.removeprefix("worker-") for path in tmp_path.glob("worker-*")]
    assert workers
    deadline = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(is_running, workers)), "a worker is still there"


def is_running(process: Path) -> bool:
    try:
        return "zombie" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_any_futures_executor_will_do():
    with ThreadPoolExecutor(3) as pool:
        assert len(search(executor=pool, batch=6).history) == 20


def test_what_cannot_be_sent_to_workers_is_said_before_work():
    lock = threading.Lock()
    with pytest.raises(SearchkitError, match="cannot be sent to worker processes.*inside the function"):
        search(lambda choices: loss(choices) if lock else {}, executor=2)


@pytest.mark.slow
def test_workers_take_lambdas_and_scripts_without_a_main_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import searchkit\n"
        "space = searchkit.Space([searchkit.Choice('x', range(9))])\n"
        "result = searchkit.run('random', space=space, evaluate=lambda c: {'y': c['x']}, objectives={'y': 'max'},\n"
        "                       budget=9, executor=2)\n"
        "print(int(result.best()['x']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.split() == ["8"]


def test_three_objectives_and_maximisation():
    def three(choices):
        return {"x": choices["a"], "y": -choices["a"] + choices["b"], "z": choices["c"]}

    result = search(three, "nsga2", objectives={"x": "max", "y": "min", "z": "min"}, budget=300)
    assert (result.front.z == 0).all()
    assert list(result.front.x) == sorted(result.front.x, reverse=True)


@pytest.mark.slow
def test_a_result_shows_its_best_within_bounds_and_draws(tmp_path: Path):
    def two(choices):
        return {"loss": sum(choices.values()), "size": 25 - sum(choices.values()) + choices["a"]}

    result = search(two, "nsga2", objectives={"loss": "min", "size": "min"}, budget=200)
    best = result.best("loss", size=15)
    assert best["size"] <= 15
    assert best["loss"] == result.front[result.front["size"] <= 15].loss.min()
    with pytest.raises(SearchkitError, match="nothing on the front .* has size <= -1"):
        result.best(size=-1)
    with pytest.raises(SearchkitError, match="unknown objective 'los'.*Did you mean 'loss'"):
        result.best("los")
    with pytest.raises(SearchkitError, match="builds no networks"):
        result.build(0)
    for name in ("front.png", "front.html"):
        result.plot(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    with pytest.raises(SearchkitError, match=r"written as .html or as .png"):
        result.plot(tmp_path / "front.xyz")
    assert "on the front" in repr(result)


def test_a_function_that_changes_its_options_changes_them_for_no_other_candidate() -> None:
    space = Space([Choice("opt", ({"name": "sgd"}, {"name": "adam"})), Choice("n", range(6))])

    def evaluate(choices):
        return {"loss": len(choices["opt"].pop("name")) + choices["n"]}

    result = searchkit.run(
        "random", space=space, objectives={"loss": "min"}, evaluate=evaluate, budget=12, storage="memory"
    )
    assert set(result.history.state) == {"scored"}
    result.history.opt[0].clear()
    assert all(result.history.opt[1:].map(len) == 1)
    again = searchkit.run(
        "random", space=space, objectives={"loss": "min"}, evaluate=evaluate, budget=3, storage="memory", start=result
    )
    assert again.history.loss.min() == result.front.loss[0] == 3


@pytest.mark.parametrize("budget", [1, 2, {"seconds": 1000.0}])
def test_a_search_without_any_success_says_so_whatever_its_budget_and_when_it_is_repeated(budget, tmp_path):
    def broken(choices):
        raise RuntimeError("my bug")

    space = Space([Choice("a", range(2))])  # its candidates run out before the budget of seconds
    n = budget if isinstance(budget, int) else 2
    told = "the only candidate that was evaluated failed" if n == 1 else "all 2 candidates that were evaluated failed"
    given = {"space": space, "objectives": {"loss": "min"}, "storage": tmp_path, "name": "s", "budget": budget}
    for function in (broken, loss):  # the second has nothing left to do
        with pytest.raises(SearchFailedError, match=rf"{told}\. The first: RuntimeError: my bug"):
            searchkit.run("random", evaluate=function, **given)
    result = searchkit.load("s", tmp_path, space=space)
    assert result.nothing == f"no candidate was scored; {n} failed, the first with: RuntimeError: my bug"
    with pytest.raises(SearchkitError, match="the front of 's' is empty: no candidate was scored"):
        result.best()
    with pytest.raises(SearchkitError, match="the front of 's' is empty: no candidate was scored"):
        result.build(0)


def test_a_front_that_is_empty_by_its_bounds_is_warned_of_with_the_nearest_value(caplog):
    result = search(constraints={"loss": (None, -1)}, budget=3)
    assert "is empty: no candidate meets loss <= -1: the nearest is" in caplog.text
    assert result.nothing in caplog.text
    caplog.clear()
    assert search(budget=3).nothing == ""
    assert not caplog.text
