"""Where candidates are evaluated: here and in order, in worker processes, or by any ``concurrent.futures`` executor."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from searchkit.attempt import Evaluate, Job, Outcome, attempt
from searchkit.errors import SearchkitError

_Task = tuple[Evaluate, tuple[str, ...], float | None]

_task: _Task | None = None  # of a worker process
_turn = threading.Lock()  # of evaluations that threads of one process must not run at the same time


class Here:
    """Evaluates in this process, one after another."""

    workers = 1

    def __init__(self, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
        self._task = (evaluate, needed, limit)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish."""
        evaluate, needed, limit = self._task
        for i, job in enumerate(jobs):
            yield i, attempt(evaluate, job, needed, limit)

    def close(self) -> None:
        """Nothing to stop."""


class Workers:
    """Evaluates in n processes of one thread each, on loky; a worker that dies costs its own candidate only.

    loky carries lambdas and functions of a script or a notebook to its workers, and needs no ``__main__`` guard.
    """

    def __init__(self, n: int, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
        self.workers = n
        self._task = _packed((evaluate, needed, limit))
        self._pool: Executor | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish."""
        done: set[int] = set()
        try:
            futures = {self._start().submit(_work, job): i for i, job in enumerate(jobs)}
            for i, outcome in _as_they_finish(futures):
                done.add(i)
                yield i, outcome
        except BrokenExecutor:  # all that was pending is lost with the pool: each runs again, alone
            for i, job in enumerate(jobs):
                if i not in done:
                    yield i, self._alone(job)

    def close(self) -> None:
        """Stop the workers, also those in the middle of a candidate."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # loky's own
            self._pool = None

    def _alone(self, job: Job) -> Outcome:
        self.close()
        try:
            return self._start().submit(_work, job).result()
        except BrokenExecutor as error:
            return Outcome(reason="its worker process died (out of memory?)", traceback=str(error))

    def _start(self) -> Executor:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            self._pool = ProcessPoolExecutor(
                self.workers, timeout=None, initializer=_prepare, initargs=(self._task, os.getpid()), env=threads
            )
        return self._pool


class Elsewhere:
    """Evaluates on a ``concurrent.futures.Executor`` that the user made (Dask's, loky's, submitit's, MPI's).

    Threads get the task as it is; anything else gets it as bytes, so that lambdas reach any kind of process.
    """

    def __init__(
        self, executor: Executor, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None, workers: int = 1
    ) -> None:
        self.workers = workers
        self._executor = executor
        task = (evaluate, needed, limit)
        self._task = task if isinstance(executor, ThreadPoolExecutor) else _packed(task)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index of the job, outcome)`` as they finish.

        Raises:
            SearchkitError: the executor is closed, or broke; those that had finished were yielded before.
        """
        futures: dict[Future[Outcome], int] = {}
        refused: Exception | None = None
        for i, job in enumerate(jobs):
            try:
                futures[self._executor.submit(_work_on, self._task, job)] = i
            except Exception as error:  # closed or broken; each kind of executor raises its own
                refused = error
                break
        try:
            yield from _as_they_finish(futures)
            if refused is not None:
                raise refused
        except Exception as error:  # never the candidate's: attempt() has caught those
            said = str(error).partition("\n")[0]
            raise SearchkitError(
                f"the executor, a {type(self._executor).__name__}, no longer takes or returns work "
                f"({type(error).__name__}: {said}); the record is intact, and the same call with a working executor "
                "continues"
            ) from error

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
    n = _whole(executor)
    if n is not None and n > 0:
        return Workers(n, evaluate, needed, limit)
    if callable(getattr(executor, "submit", None)):
        workers = getattr(executor, "_max_workers", 1)
        return Elsewhere(executor, evaluate, needed, limit, workers if isinstance(workers, int) else 1)
    raise SearchkitError(
        f"executor {executor!r} is not known: give None, a number of processes, or a concurrent.futures executor"
    )


def _whole(value: Any) -> int | None:
    """A whole number, numpy's too; True is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _as_they_finish(futures: dict[Future[Outcome], int]) -> Iterator[tuple[int, Outcome]]:
    pending = set(futures)
    try:
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            broken: Exception | None = None
            for future in sorted(finished, key=futures.__getitem__):
                try:
                    outcome = future.result()
                except Exception as error:
                    broken = error  # those that finished before the break still count
                else:
                    yield futures[future], outcome
            if broken is not None:
                raise broken
    finally:
        for future in pending:
            future.cancel()  # the search was interrupted: what has not begun need not


def _packed(task: _Task) -> bytes:
    """The task as bytes, made once; data travel to each worker once and not with every candidate."""
    import cloudpickle

    try:
        packed: bytes = cloudpickle.dumps(task)
    except Exception as error:
        raise SearchkitError(
            f"what is evaluated cannot be sent to worker processes ({error}): open files, locks and connections inside "
            "the function, or use executor=None"
        ) from error
    return packed


def _prepare(packed: bytes, driver: int) -> None:
    """Runs once in each worker.

    Args:
        driver: the process that started it. Asked for here, the parent of a worker whose driver was killed in the
            seconds that its imports take would be process 1, which never ends.
    """
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which stops the workers
    threading.Thread(target=_leave_with, args=(driver,), daemon=True).start()
    _task = pickle.loads(packed)


def _leave_with(driver: int) -> None:
    """End this worker when its driver was killed and could not end it; loky's would wait for work for ever."""
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)


def _work(job: Job) -> Outcome:
    assert _task is not None
    return _work_on(_task, job)


def _work_on(task: _Task | bytes, job: Job) -> Outcome:
    """One evaluation; alone in its process where it says that it is ``exclusive``, the wait not counted as its time."""
    evaluate, needed, limit = _unpacked(task) if isinstance(task, bytes) else task
    with _turn if getattr(evaluate, "exclusive", False) else contextlib.nullcontext():
        return attempt(evaluate, job, needed, limit)


@functools.lru_cache(maxsize=1)  # a process unpacks a task, and the data in it, once
def _unpacked(packed: bytes) -> _Task:
    task: _Task = pickle.loads(packed)
    return task
