"""Evaluation on an executor of another library."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from searchkit.errors import DeviceGoneError, SearchkitError, WorkerLostError
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.serialization import machine, packed, unpack_files, work_on
from searchkit.training.evaluation import Evaluate, as_evaluation

POLL = 0.05  # seconds between looks at futures that do not say when they are done (submitit's)


class Elsewhere:
    """Evaluates on an executor with ``submit`` (concurrent.futures', Dask's, Ray's, submitit's, MPI's).

    Threads get the task as it is; anything else gets it as bytes, so that lambdas reach any kind of process.

    Args:
        workers: jobs at the same time; 1 where the executor does not say.
        owned: it was made for this search and ends with it; else it is the user's and stays open.
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
        """Submit it; where the executor takes no more, :meth:`wait` says so after all that it took before."""
        try:
            self._futures[self._executor.submit(work_on, self._task, job, self._home)] = number
        except Exception as error:  # closed or broken; each kind of executor raises its own
            self._refused = error

    def wait(self) -> list[tuple[int, Outcome]]:
        """What is done.

        Raises:
            SearchkitError: the executor was closed, or broke; what had finished before was returned before.
        """
        done, broken = [], self._refused
        for future in sorted(_finished(self._futures), key=self._futures.__getitem__):
            try:
                outcome = future.result()
            except WorkerLostError as error:
                outcome = Outcome(reason=str(error))
            except Exception as error:  # never the candidate's: attempt() has caught those
                if isinstance(future, Future):
                    broken = error
                    continue
                outcome = Outcome(reason=f"its job failed ({type(error).__name__}: {_first_line(error)})")
            unpack_files(outcome)
            done.append((self._futures.pop(future), outcome))
        if broken is not None and not done:
            if isinstance(broken, DeviceGoneError):
                raise broken
            raise self._gone(broken) from broken
        return done

    def discard(self) -> None:
        """Cancel what has not begun."""
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self._refused = None

    def close(self) -> None:
        """End what was made for this search; the user's executor stays open."""
        if self._owned:
            self._executor.shutdown()

    def _gone(self, error: Exception) -> SearchkitError:
        if isinstance(error, ModuleNotFoundError):
            return SearchkitError(
                f"the workers of the executor, a {type(self._executor).__name__}, miss a module that what is evaluated "
                f"needs ({_first_line(error)}): install it there, or define the function in the script or the notebook "
                "itself, which travels with it"
            )
        return SearchkitError(
            f"the executor, a {type(self._executor).__name__}, no longer takes or returns work "
            f"({type(error).__name__}: {_first_line(error)}); the record is intact, and the same call with a working "
            "executor continues"
        )


def _finished(futures: Any) -> list[Any]:
    """The futures that are done, at least one where there is any; those that tell nobody are looked at now and then."""
    if not futures:
        return []
    if all(isinstance(future, Future) for future in futures):
        return list(wait(futures, return_when=FIRST_COMPLETED).done)
    while True:
        finished = [future for future in futures if future.done()]
        if finished:
            return finished
        time.sleep(POLL)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
