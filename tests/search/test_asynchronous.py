"""A search that asks as workers free: nobody waits for a slow candidate, and nothing is lost, repeated or overspent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.marks import thorough_if

import searchkit
from searchkit import Choice, Space, StopSearch, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import keys
from searchkit.strategies.evolution import Evolution
from searchkit.strategies.random import Random
from searchkit.types import Codes

SPACE = Space([Choice("a", range(5)), Choice("b", ("u", "vv", "www", "xxxx")), Choice("c", (1, 2, 4, 8), ordered=True)])
LONG = 30.0  # seconds; what waits so long has been forgotten


def loss(choices: dict) -> dict:
    if choices["a"] == 3:
        raise ValueError("hidden constraint")
    return {"loss": choices["a"] * 1.5 - choices["c"] + len(choices["b"]), "cost": choices["c"] + choices["a"] ** 2}


def search(strategy: object = "random", function: Callable = loss, **given) -> searchkit.Result:
    given = {"objectives": {"loss": "min", "cost": "max"}, "budget": 24, "storage": "memory", "name": "s"} | given
    return searchkit.run(strategy, space=SPACE, evaluate=function, **given)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Watched(Random):
    """A strategy that writes down what it was asked and told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.log: list[tuple[str, list[bytes]]] = []

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        self.log.append(("pending", keys(pending)))
        return super().ask(n, rng, pending)

    def tell(self, told: Observations) -> None:
        self.log.append(("told", keys(told.codes)))
        super().tell(told)


def watched(made: list[Watched]) -> Callable[[Problem], Watched]:
    def factory(problem: Problem) -> Watched:
        made.append(Watched(problem))
        return made[-1]

    return factory


def test_a_slow_candidate_holds_nobody_up(threads: ThreadPoolExecutor) -> None:
    calls, others = iter(range(1000)), threading.Semaphore(0)

    def first_waits_for_twenty_others(choices: dict) -> dict:
        if next(calls) == 0:
            for _ in range(20):
                assert others.acquire(timeout=LONG), "the others wait for this one"
        else:
            others.release()
        return {"loss": 0.0, "cost": 0.0}

    result = search(function=first_waits_for_twenty_others, executor=threads)
    assert (result.history.state == "scored").all()
    assert len(result.history) == 24
    numbers = [trial.number for trial in sorted(result.trials, key=lambda trial: trial.elapsed)]
    assert numbers.index(0) >= 10, "asked first, and ended after twenty others, some of which came in with it"


def test_what_is_being_evaluated_is_pending_when_the_next_is_asked(threads: ThreadPoolExecutor) -> None:
    made: list[Watched] = []
    result = search(watched(made), executor=threads, budget=40)
    running: set[bytes] = set()
    codes = iter([keys(trial.code[None])[0] for trial in result.trials])
    for what, rows in made[0].log:
        if what == "pending":
            assert set(rows) == running
            assert len(rows) < 8, "at most twice as many as there are workers, where evaluations take no time"
            running.add(next(codes))
        else:
            running -= set(rows)
    assert not running
    assert max(len(rows) for what, rows in made[0].log if what == "pending") >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", thorough_if(lambda name: name in ("auto", "exact", "portfolio"), plugins.names("strategy"))
)
def test_every_strategy_searches_so_and_repeats_nothing(strategy: str, threads: ThreadPoolExecutor) -> None:
    seen: Counter[str] = Counter()

    def counted(choices: dict) -> dict:
        seen[repr(choices)] += 1
        return loss(choices)

    history = search(strategy, counted, executor=threads, budget=60).history
    assert len(history) == 60
    assert set(history.state) == {"scored", "failed"}
    assert len(seen) == 60
    assert max(seen.values()) == 1


def test_a_space_is_searched_to_its_end(threads: ThreadPoolExecutor) -> None:
    result = search(executor=threads, budget=500)
    assert len(result.history) == SPACE.size == 80
    assert result.stopped == "every candidate of the space has been evaluated"


@pytest.mark.slow
def test_a_budget_in_seconds_ends_with_what_is_running(threads: ThreadPoolExecutor) -> None:
    stop = threading.Event()

    def slow(choices: dict) -> dict:
        stop.wait(0.2)
        return loss(choices | {"a": 0})

    result = search(function=slow, executor=threads, budget={"seconds": 0.3})
    assert (result.history.state == "scored").all(), "nothing that had begun is dropped"
    assert result.stopped == "the budget is spent"
    assert 4 <= len(result.history) < 40


def test_a_continued_study_tells_the_strategy_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    made: list[Watched] = []
    with ThreadPoolExecutor(4) as pool:
        calls, others = iter(range(1000)), threading.Semaphore(0)

        def first_is_last(choices: dict) -> dict:
            if next(calls) == 0:
                for _ in range(15):
                    assert others.acquire(timeout=LONG)
            others.release()
            return loss(choices | {"a": 0})

        search(watched(made), first_is_last, executor=pool, storage=tmp_path, budget=20)
        search(watched(made), executor=pool, storage=tmp_path, budget=20)
    told = [[row for what, rows in strategy.log if what == "told" for row in rows] for strategy in made]
    assert len(told[0]) == 20
    assert sorted(told[0]) == sorted(told[1])
    late = keys(searchkit.load("s", tmp_path).trials[0].code[None])[0]
    assert told[0].index(late) >= 5
    assert told[1].index(late) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "evolution", "bo"])
@pytest.mark.parametrize("first", ["batches", "as workers free"])
def test_a_study_goes_on_in_the_other_way(
    strategy: str, first: str, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    ways = [{"batch": 5}, {"executor": threads}]
    if first != "batches":
        ways.reverse()
    calls = 0

    def interrupted(trial: searchkit.Result, trials: list) -> None:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt

    begun = search(strategy, storage=tmp_path, budget=20, callbacks=[interrupted], **ways[0])
    assert begun.stopped == "interrupted"
    more = search(strategy, storage=tmp_path, budget=30, **ways[1]).history
    assert len(more) == 30
    assert not more.drop_duplicates(["a", "b", "c"]).shape[0] < 30
    ended = begun.history[begun.history.state != "asked"]
    same = more.iloc[ended.index].drop(columns="reason").equals(ended.drop(columns="reason"))
    assert same, "what was on record stays as it was"


def test_an_interrupted_search_evaluates_again_only_what_had_no_outcome(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def counted(choices: dict) -> dict:
        with lock:
            seen[repr(choices)] += 1
        return loss(choices)

    def stop(trial: object, trials: list) -> None:
        if sum(t.finished for t in trials) in (7, 15):
            raise StopSearch

    for callbacks in ([stop], [stop], []):
        with ThreadPoolExecutor(4) as pool:
            history = search("nsga2", counted, executor=pool, storage=tmp_path, callbacks=callbacks, budget=40).history
    assert len(history) == 40
    assert (history.state != "asked").all()
    twice = sum(n > 1 for n in seen.values())
    assert twice <= 2 * 8, "those in evaluation, and the next for each worker, at each of two stops"


def test_a_batch_given_makes_the_history_a_function_of_the_seed(threads: ThreadPoolExecutor) -> None:
    alone = search("nsga2", batch=6).history.drop(columns="seconds")
    assert search("nsga2", batch=6, executor=threads).history.drop(columns="seconds").equals(alone)


@pytest.mark.slow
def test_the_proxy_layer_picks_beside_pending_candidates(threads: ThreadPoolExecutor) -> None:
    class Sum:
        name = "sum"

        def score(self, codes: Codes) -> np.ndarray:
            return -codes.sum(axis=1).astype(float)

    result = search("random", executor=threads, proxies=[Sum()], budget=30)
    assert len(result.history.drop_duplicates(["a", "b", "c"])) == 30
    assert result.signals.proxy.tolist() == ["sum"]


def test_candidates_that_all_fail_end_the_search_and_leave_no_work_behind(threads: ThreadPoolExecutor) -> None:
    def broken(choices: dict) -> dict:
        raise RuntimeError("bug")

    with pytest.raises(searchkit.SearchkitError, match=r"first \d+ candidates all failed"):
        search(function=broken, executor=threads)
    assert threads.submit(lambda: 1).result(timeout=LONG) == 1


@pytest.mark.parametrize("batch", [None, 16])
def test_quick_failures_do_not_end_a_search_whose_first_candidate_still_runs(
    batch: int | None, threads: ThreadPoolExecutor
) -> None:
    slow = {"a": 0, "b": "u", "c": 1}
    calls, failed = iter(range(1000)), threading.Semaphore(0)

    def slow_or_broken(choices: dict) -> dict:
        if choices == slow:
            for _ in range(8):
                assert failed.acquire(timeout=LONG)
        elif next(calls) < 8:
            failed.release()
            raise ValueError("this one is broken")
        return {"loss": 0.0, "cost": 0.0}

    states = search(function=slow_or_broken, executor=threads, budget=16, batch=batch, start=[slow]).history.state
    assert states.value_counts().to_dict() == {"failed": 8, "scored": 8}


def test_the_start_comes_first(threads: ThreadPoolExecutor) -> None:
    start = [{"a": 1, "b": "u", "c": 8}, {"a": 0, "b": "vv", "c": 4}]
    history = search(start=start, executor=threads).history
    assert history.iloc[:2][["a", "b", "c"]].to_dict("records") == start


def test_evolution_steps_with_every_outcome(threads: ThreadPoolExecutor) -> None:
    history = search(lambda problem: Evolution(problem, population=6), executor=threads, budget=60).history
    assert history.batch.tolist() == list(range(60)), "each candidate is a batch of its own"


@pytest.mark.thorough
def test_a_ladder_promotes_each_candidate_by_itself(tmp_path: Path) -> None:
    space = searchkit.load_space("nas-bench-201", width=4, cells=1)
    given = {"space": space, "epochs": 2, "ladder": ({"epochs": 1, "data": 0.2},), "storage": tmp_path, "name": "l"}
    begun = searchkit.run("random", executor=2, budget=5, **given)
    result = searchkit.run("random", executor=2, budget=12, **given)
    assert len(result.history) == 12
    states = result.history.state.value_counts()
    assert states["dropped"] > 0
    assert states["scored"] > 0
    assert result.history.iloc[:5].equals(begun.history)
    reached = result.history["accuracy (epochs=1, data=0.2)"]
    assert reached[result.history.state != "failed"].notna().all()
    assert result.history.accuracy.notna().equals(result.history.state == "scored")


class Memory:
    """A device of so much memory, shared by threads; a candidate of size n takes n of it while it is evaluated."""

    def __init__(self, size: int) -> None:
        self.free, self.lock, self.refusals = size, threading.Lock(), 0
        self.beside = threading.Event()

    def __call__(self, choices: dict) -> dict:
        with self.lock:
            if choices["c"] > self.free:
                self.refusals += 1
                raise torch.OutOfMemoryError(f"tried to allocate {choices['c']}, {self.free} free")
            self.free -= choices["c"]
        try:
            self.beside.wait(0.02)  # so that others are there too
            return {"loss": float(choices["a"]), "cost": float(choices["c"])}
        finally:
            with self.lock:
                self.free += choices["c"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 6])
def test_what_ran_out_of_memory_beside_others_runs_again_alone(batch: int | None, threads: ThreadPoolExecutor) -> None:
    memory = Memory(8)
    history = search(function=memory, executor=threads, batch=batch, budget=40).history
    assert (history.state == "scored").all(), "8 fit into 8 where they are alone"
    assert memory.refusals > 0
    assert len(history.drop_duplicates(["a", "b", "c"])) == 40


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 6])
def test_what_does_not_fit_alone_has_failed_and_harms_nobody(batch: int | None, threads: ThreadPoolExecutor) -> None:
    history = search(function=Memory(6), executor=threads, batch=batch, budget=40).history
    assert (history.state == "failed").equals(history.c == 8)
    assert history.reason.dropna().str.startswith("OutOfMemoryError: tried to allocate 8").all()
    assert history.reason.dropna().str.endswith(", 6 free").all(), "the second time, alone"
