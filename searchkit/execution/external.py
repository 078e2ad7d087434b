"""Evaluation on an executor of another library, possibly on other machines."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from searchkit.errors import STOPS_THE_SEARCH, SearchkitError, WorkerLostError, WritingError, first_line_said
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.serialization import machine, packed, unpack, unpack_files, work_on
from searchkit.training.evaluation import Evaluate, as_evaluation

POLL = 0.05  # seconds between checks of futures that cannot be waited for (submitit's)


class ExternalPool:
    """Evaluates jobs on an executor with ``submit`` (of concurrent.futures, Dask, Ray, submitit or MPI).

    A pool of threads gets the task itself. All other executors get it as bytes, so that lambdas can be sent to any kind
    of process.

    Args:
        workers: number of jobs at the same time.
        owned: the executor was made for this search, and is shut down with it; else it is the user's and stays open.
    """

    def __init__(
        self,
        executor: Any,
        evaluate: Evaluate,
        needed: tuple[str, ...],
        limit: float | None,
        workers: int = 1,
        owned: bool = False,
    ) -> None:
        self.workers = workers
        self._executor, self._owned = executor, owned
        task = (as_evaluation(evaluate), needed, limit)
        self._task = task if isinstance(executor, ThreadPoolExecutor) else packed(task)
        self._home = machine()
        self._futures: dict[Any, int] = {}
        self._refused: Exception | None = None

    def submit(self, number: int, job: Job) -> None:
        """Submit a job. If the executor refuses it, :meth:`wait` raises an error once all earlier jobs are returned."""
        try:
            self._futures[self._executor.submit(work_on, self._task, job, self._home)] = number
        except Exception as error:  # closed or broken; each kind of executor raises its own
            self._refused = error

    def get_ready(self, seconds: float) -> None:
        """Have the task unpacked by the workers of a pool of processes on this machine, and wait for them."""
        if not isinstance(self._task, bytes) or not isinstance(self._executor, Executor):
            return
        with contextlib.suppress(Exception):  # the first job shows what is wrong
            wait([self._executor.submit(unpack, self._task) for _ in range(self.workers)], seconds)

    def wait(self) -> list[tuple[int, Outcome]]:
        """``(number, outcome)`` of the finished jobs.

        Raises:
            DeviceGoneError: a worker has lost its device; all earlier outcomes have been returned.
            WritingError: trained weights cannot be written, there or here; all earlier outcomes have been returned.
            SearchkitError: the executor was closed or is broken; all earlier outcomes have been returned.
        """
        done, broken = [], self._refused
        for future in sorted(_finished(self._futures), key=self._futures.__getitem__):
            try:
                outcome = future.result()
            except WorkerLostError as error:
                outcome = Outcome(reason=str(error))
            except STOPS_THE_SEARCH as error:  # of any kind of future
                broken = error
                continue
            except Exception as error:  # not raised by the candidate: attempt() catches those
                if isinstance(future, Future):
                    broken = error
                    continue
                outcome = Outcome(reason=f"its job failed ({type(error).__name__}: {first_line_said(error)})")
            try:
                unpack_files(outcome)
            except WritingError as error:
                broken = error
                continue
            done.append((self._futures.pop(future), outcome))
        if broken is not None and not done:
            if isinstance(broken, STOPS_THE_SEARCH):
                raise broken
            raise self._gone(broken) from broken
        return done

    def discard(self) -> None:
        """Cancel the jobs that have not begun."""
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self._refused = None

    def close(self) -> None:
        """Shut the executor down if it was made for this search; the user's stays open."""
        if self._owned:
            self._executor.shutdown()

    def _gone(self, error: Exception) -> SearchkitError:
        said = first_line_said(error)
        if isinstance(error, ModuleNotFoundError):
            return SearchkitError(
                f"the workers of the executor, a {type(self._executor).__name__}, lack a module that the evaluation "
                f"needs ({said}): install it there, or define the function in the script or notebook itself, from "
                "where it is sent to the workers"
            )
        return SearchkitError(
            f"the executor, a {type(self._executor).__name__}, no longer accepts or returns work "
            f"({type(error).__name__}: {said}); the record is intact, and the same call with a working "
            "executor continues the search"
        )


def _finished(futures: Any) -> list[Any]:
    """The futures that are done, waiting for at least one; futures that cannot be waited for are checked repeatedly."""
    if not futures:
        return []
    if all(isinstance(future, Future) for future in futures):
        return list(wait(futures, return_when=FIRST_COMPLETED).done)
    while True:
        finished = [future for future in futures if future.done()]
        if finished:
            return finished
        time.sleep(POLL)
