"""Any executor evaluates what the search asks: worker processes, threads, loky's, Dask's, submitit's."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, SearchkitError, Space
from searchkit.errors import UnknownNameError
from searchkit.execution.executors import as_they_finish, open_executor
from searchkit.execution.outcome import Job

SPACE = Space([Choice("a", range(6)), Choice("b", range(6)), Choice("c", (1, 2, 4, 8), ordered=True)])
DRIVER = os.getpid()


def search(function: Callable, executor: Any, **given) -> searchkit.Result:
    given = {"objectives": {"loss": "min"}, "budget": 12, "storage": "memory"} | given
    return searchkit.run("nsga2", space=SPACE, evaluate=function, executor=executor, **given)


@contextlib.contextmanager
def _loky(folder: Path) -> Iterator[Any]:
    from loky import get_reusable_executor

    yield get_reusable_executor(2)
    get_reusable_executor().shutdown(kill_workers=True)


@contextlib.contextmanager
def _spawned(folder: Path) -> Iterator[Any]:
    import multiprocessing

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextlib.contextmanager
def _dask(folder: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import Client

        given = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with Client(**given, local_directory=str(folder), silence_logs=50) as client:
            yield client.get_executor()


@contextlib.contextmanager
def _submitit(folder: Path) -> Iterator[Any]:
    import submitit

    executor = submitit.LocalExecutor(folder=folder)
    executor.update_parameters(timeout_min=5)
    yield executor


KINDS = {"loky": _loky, "spawned processes": _spawned, "Dask": _dask, "submitit": _submitit}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_executor_searches_as_this_process_does(kind: str, tmp_path: Path) -> None:
    """A closure, a failing candidate, several at the same time, the same history where the batch is given."""
    offset = 3

    def loss(choices: dict) -> dict:
        if choices["a"] == 5:
            raise ValueError("hidden")
        return {"loss": choices["a"] * offset - choices["c"], "elsewhere": float(os.getpid() != DRIVER)}

    n = 6 if kind == "submitit" else 24  # each of submitit's jobs is a process that imports torch
    alone = search(loss, None, budget=n, batch=3).history
    with KINDS[kind](tmp_path) as executor:
        there = search(loss, executor, budget=n, batch=3).history
        free = search(loss, executor, budget=n, workers=2).history
    own = ["seconds", "elsewhere"]
    assert there.drop(columns=own).equals(alone.drop(columns=own))
    assert set(there.elsewhere.dropna()) == {1.0}
    assert len(free.drop_duplicates(["a", "b", "c"])) == n
    assert (free.state == "failed").equals(free.a == 5)


def test_dasks_and_other_executors_say_how_many_they_take() -> None:
    class Client:
        def nthreads(self) -> dict[str, int]:
            return {"tcp://one": 2, "tcp://two": 3}

    class Theirs:
        _client = Client()

        def submit(self, *args: Any) -> None: ...

    assert open_executor(Theirs(), len, ()).workers == 5
    assert open_executor(Theirs(), len, (), workers=2).workers == 2
    with ThreadPoolExecutor(7) as pool:
        assert open_executor(pool, len, ()).workers == 7


class Jobs:
    """Jobs that are no futures, as submitit's: some are done late, one comes to no result."""

    def __init__(self, fails: int = -1) -> None:
        self.n, self.fails = 0, fails

    def submit(self, function: Callable, *args: Any) -> Any:
        number, self.n = self.n, self.n + 1
        ready = time.perf_counter() + 0.05 * (number % 3)

        class Job:
            def done(self) -> bool:
                return time.perf_counter() > ready

            def result(job) -> Any:  # noqa: N805
                if number == self.fails:
                    raise RuntimeError("job 1234 was preempted\nand more")
                return function(*args)

            def cancel(self) -> None: ...

        return Job()


def test_a_job_that_comes_to_no_result_is_that_candidates_failure() -> None:
    history = search(lambda c: {"loss": float(c["a"])}, Jobs(fails=4), workers=3).history
    assert len(history) == 12
    assert history.state.value_counts().to_dict() == {"scored": 11, "failed": 1}
    assert history.reason.dropna().tolist() == ["its job failed (RuntimeError: job 1234 was preempted)"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_worker_that_dies_costs_its_own_candidate_only_while_others_go_on(tmp_path: Path) -> None:
    def loss(choices: dict) -> dict:
        if choices["a"] == 5 and choices["b"] in (1, 2):
            os._exit(1)
        return {"loss": choices["a"] - choices["c"]}

    result = search(loss, 2, budget=SPACE.size)
    died = (result.history.a == 5) & result.history.b.isin((1, 2))
    assert (result.history.state == "failed").equals(died)
    assert set(result.history.reason[died]) == {"its worker process died"}


def test_what_a_generator_leaves_is_discarded() -> None:
    with ThreadPoolExecutor(1) as pool:
        opened = open_executor(pool, lambda code, seed: {"x": 1.0}, ("x",))
        rows = as_they_finish(opened, [Job(SPACE.sample(1, np.random.default_rng(i))[0], i) for i in range(50)])
        next(rows)
        rows.close()
        assert opened.wait() == []


class Full(Executor):
    """Takes three jobs and no more."""

    def __init__(self) -> None:
        self.n = 0

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        self.n += 1
        if self.n > 3:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future = Future()
        future.set_result(function(*args, **kwargs))
        return future


@pytest.mark.parametrize("batch", [None, 5])
def test_what_a_closed_executor_had_finished_is_on_record(batch: int | None, tmp_path: Path) -> None:
    given = {"storage": tmp_path, "name": "s", "batch": batch, "workers": 5}
    with pytest.raises(SearchkitError, match=r"a Full, no longer accepts or returns work .*the same call .* continues"):
        search(lambda c: {"loss": float(c["a"])}, Full(), **given)
    assert (searchkit.load("s", tmp_path).history.state == "scored").sum() == 3
    assert len(search(lambda c: {"loss": float(c["a"])}, None, storage=tmp_path, name="s").history) == 12


def test_executors_that_are_none_are_refused_before_any_work() -> None:
    def never(choices: dict) -> dict:
        raise AssertionError

    with pytest.raises(UnknownNameError, match=r"unknown executor 'rai': .* interleaved, ray. Did you mean 'ray'\?"):
        search(never, "rai")
    with pytest.raises(UnknownNameError, match=r"unknown executor 'raj': .*'ray'"):
        search(never, "raj://head:10001")
    with pytest.raises(SearchkitError, match=r"workers=4 is the number of candidates.*write executor=4"):
        search(never, None, workers=4)
    with pytest.raises(SearchkitError, match=r"workers must be a whole number of at least 1, not 0"):
        search(never, 2, workers=0)


def test_a_function_that_cannot_be_sent_is_named_with_the_fix(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:

        def writes(choices: dict) -> dict:
            file.write("x")
            return {"loss": 1.0}

        with pytest.raises(
            SearchkitError, match=r"writes cannot be sent to worker processes \(.*open files.*executor=None"
        ):
            search(writes, 2)


class Far(Executor):
    """Another machine: files written there are not here."""

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("searchkit.execution.serialization.machine", lambda: "another")
            outcome = function(*args, **kwargs)
        for name in outcome.files:
            Path(name).unlink()
        future.set_result(outcome)
        return future


@pytest.mark.slow
def test_trained_networks_come_back_from_other_machines(tmp_path: Path) -> None:
    given = {"space": searchkit.load_space("nas-bench-201", width=4, cells=1), "epochs": 1, "budget": 3, "name": "s"}
    far = searchkit.run("random", executor=Far(), storage=tmp_path / "far", **given)
    near = searchkit.run("random", storage=tmp_path / "near", **given)
    assert far.front.drop(columns="trial").equals(near.front.drop(columns="trial"))
    for one, other in zip(far.build(0).parameters(), near.build(0).parameters(), strict=True):
        assert (one == other).all()


class Strange(Executor):
    """Its workers lack a module."""

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_exception(ModuleNotFoundError("No module named 'mine'"))
        return future


def test_a_module_that_workers_lack_is_named_with_the_fix() -> None:
    with pytest.raises(SearchkitError, match=r"lack a module .*No module named 'mine'.*: install it there, or define"):
        search(lambda c: {"loss": 1.0}, Strange())


@pytest.mark.slow
def test_a_worker_that_evaluates_a_function_starts_without_torch() -> None:
    """Its import takes six times as long as all the rest of a worker's start."""

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        import sys

        return {"loss": float(choices["a"]), "heavy": float(len({"torch", "pandas", "optuna"} & set(sys.modules)))}

    result = searchkit.run(
        "random", space=Space([Choice("a", range(4))]), evaluate=evaluate, objectives={"loss": "min"}, budget=4,
        executor=2, storage="memory",
    )  # fmt: skip
    assert result.history.heavy.tolist() == [0.0] * 4
