"""Where candidates are evaluated: here and in order, in worker processes, or by any ``concurrent.futures`` executor."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from typing import Any

from searchkit.attempt import Evaluate, Outcome, attempt
from searchkit.errors import SearchkitError
from searchkit.space import Codes

_DIED = "its worker process died (out of memory?)"
_task: tuple[Evaluate, tuple[str, ...], float | None] | None = None


class Here:
    """Evaluates in this process, one after another."""

    workers = 1

    def __init__(self, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
        self._task = (evaluate, needed, limit)

    def run(self, jobs: Sequence[tuple[Codes, int]]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish."""
        evaluate, needed, limit = self._task
        for i, (code, seed) in enumerate(jobs):
            yield i, attempt(evaluate, code, seed, needed, limit)

    def close(self) -> None:
        """Nothing to stop."""


class Workers:
    """Evaluates in n processes of one thread each; a worker that dies costs its own candidate only."""

    def __init__(self, n: int, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
        self.workers = n
        self._task = (evaluate, needed, limit)
        self._pool: ProcessPoolExecutor | None = None
        _check_picklable(evaluate)

    def run(self, jobs: Sequence[tuple[Codes, int]]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish."""
        done: set[int] = set()
        try:
            futures = {self._start().submit(_work, code, seed): i for i, (code, seed) in enumerate(jobs)}
            for i, outcome in _as_they_finish(futures):
                done.add(i)
                yield i, outcome
        except BrokenExecutor:  # all that was pending is lost with the pool: each runs again, alone
            for i, (code, seed) in enumerate(jobs):
                if i not in done:
                    yield i, self._alone(code, seed)

    def close(self) -> None:
        """Stop the workers, also those in the middle of a candidate."""
        if self._pool is not None:
            processes = list((getattr(self._pool, "_processes", None) or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            self._pool = None

    def _alone(self, code: Codes, seed: int) -> Outcome:
        self.close()
        try:
            return self._start().submit(_work, code, seed).result()
        except BrokenExecutor:
            return Outcome(
                reason=_DIED + "; a script that starts workers keeps its call under if __name__ == '__main__'"
            )

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # forking a process that holds threads can hang
            with _one_thread_each():
                self._pool = ProcessPoolExecutor(self.workers, context, _prepare, self._task)
                self._pool.submit(os.getpid).result()
        return self._pool


class Elsewhere:
    """Evaluates on a ``concurrent.futures.Executor`` that the user made (Dask's, loky's, submitit's, MPI's)."""

    def __init__(
        self, executor: Executor, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None, workers: int = 1
    ) -> None:
        self.workers = workers
        self._executor = executor
        self._task = (evaluate, needed, limit)

    def run(self, jobs: Sequence[tuple[Codes, int]]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish."""
        evaluate, needed, limit = self._task
        futures = {
            self._executor.submit(attempt, evaluate, code, seed, needed, limit): i
            for i, (code, seed) in enumerate(jobs)
        }
        yield from _as_they_finish(futures)

    def close(self) -> None:
        """The executor belongs to the user and stays open."""


def open_executor(
    executor: Any, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None = None
) -> Here | Workers | Elsewhere:
    """What ``executor=`` means: None here and in order, a number of processes, or an executor object.

    Raises:
        SearchkitError: it is none of these, or ``evaluate`` cannot be sent to another process.
    """
    if executor is None:
        return Here(evaluate, needed, limit)
    if isinstance(executor, int) and not isinstance(executor, bool) and executor > 0:
        return Workers(executor, evaluate, needed, limit)
    if callable(getattr(executor, "submit", None)):
        workers = getattr(executor, "_max_workers", 1)
        return Elsewhere(executor, evaluate, needed, limit, workers if isinstance(workers, int) else 1)
    raise SearchkitError(
        f"executor {executor!r} is not known: give None, a number of processes, or a concurrent.futures executor"
    )


def _as_they_finish(futures: dict[Future[Outcome], int]) -> Iterator[tuple[int, Outcome]]:
    pending = set(futures)
    try:
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            broken = None
            for future in sorted(finished, key=futures.__getitem__):
                try:
                    outcome = future.result()
                except BrokenExecutor as error:
                    broken = error  # those that finished before the break still count
                else:
                    yield futures[future], outcome
            if broken is not None:
                raise broken
    finally:
        for future in pending:
            future.cancel()  # the search was interrupted: what has not begun need not


def _prepare(evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
    """Runs once in each worker, so that data travel once and not with every candidate."""
    global _task
    _task = (evaluate, needed, limit)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which stops the workers


def _work(code: Codes, seed: int) -> Outcome:
    assert _task is not None
    evaluate, needed, limit = _task
    return attempt(evaluate, code, seed, needed, limit)


def _check_picklable(evaluate: Evaluate) -> None:
    try:
        pickle.dumps(evaluate)
    except Exception as error:
        raise SearchkitError(
            f"what is evaluated cannot be sent to worker processes ({error}): define functions at the top level of a "
            "module, or use executor=None"
        ) from error


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers inherit one thread each: two, beside a busy neighbour, were 5 to 14 times slower."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
