"""Evaluation in worker processes of this machine, on loky."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path

from searchkit.errors import DeviceGoneError
from searchkit.execution.gpu_placement import take_card
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.serialization import Task, packed, work_on
from searchkit.training.evaluation import Evaluate, as_evaluation

_task: Task | None = None  # of a worker process


class Workers:
    """Evaluates in n processes of one thread each, on loky; a worker that dies costs its own candidate only.

    loky carries lambdas and functions of a script or a notebook to its workers, and needs no ``__main__`` guard.
    All that was pending is lost with a worker, and nobody knows whose fault it was: each of those jobs runs again,
    alone, and what is submitted in the meantime waits for them.

    Args:
        cards: each worker is shown one of these, see :mod:`searchkit.execution.gpu_placement`; none: all see what this
            process sees.
    """

    def __init__(
        self, n: int, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None, cards: Sequence[str] = ()
    ) -> None:
        self.workers = n
        self._cards = tuple(cards)
        self._places: Path | None = None
        self._task = packed((as_evaluation(evaluate), needed, limit))
        self._pool: Executor | None = None
        self._futures: dict[Future[Outcome], int] = {}
        self._jobs: dict[int, Job] = {}  # of the futures
        self._suspects: dict[int, Job] = {}  # were pending when a worker died
        self._later: dict[int, Job] = {}

    def submit(self, number: int, job: Job) -> None:
        """Send it to the workers."""
        if self._suspects:
            self._later[number] = job
            return
        self._jobs[number] = job
        try:
            self._futures[self._start().submit(_work, job)] = number
        except BrokenExecutor:
            self._suspect()

    def wait(self) -> list[tuple[int, Outcome]]:
        """What is done; after a worker died, what one of the suspects brings alone."""
        if not self._suspects:
            done = self._done()
            if done:
                return done
        number = next(iter(self._suspects))
        outcome = self._alone(self._suspects[number])
        del self._suspects[number]
        if not self._suspects:
            later, self._later = self._later, {}
            for waiting, job in later.items():
                self.submit(waiting, job)
        return [(number, outcome)]

    def discard(self) -> None:
        """Cancel what has not begun."""
        for future in self._futures:
            future.cancel()
        for jobs in (self._futures, self._jobs, self._suspects, self._later):
            jobs.clear()

    def close(self) -> None:
        """Stop the workers, also those in the middle of a candidate."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # loky's own
            self._pool = None
        if self._places is not None:
            shutil.rmtree(self._places, ignore_errors=True)
            self._places = None

    def _done(self) -> list[tuple[int, Outcome]]:
        """Nothing where the pool broke before any other was done."""
        finished, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        done, broken, gone = [], False, None
        for future in sorted(finished, key=self._futures.__getitem__):
            try:
                outcome = future.result()
            except BrokenExecutor:
                broken = True
            except DeviceGoneError as error:  # what else is done comes first
                gone = error
            else:
                number = self._futures.pop(future)
                del self._jobs[number]
                done.append((number, outcome))
        if gone is not None and not done:
            raise gone
        if broken:
            self._suspect()
        return done

    def _suspect(self) -> None:
        """A worker died: all that is not done might be why."""
        self.close()
        self._suspects, self._jobs = self._jobs, {}
        self._futures.clear()

    def _alone(self, job: Job) -> Outcome:
        try:
            return self._start().submit(_work, job).result()
        except BrokenExecutor as error:
            self.close()
            return Outcome(reason=how_it_died(error), traceback=_exit_codes(error))

    def _start(self) -> Executor:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            if self._cards:
                self._places = Path(tempfile.mkdtemp(prefix="searchkit-cards-"))
            threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            self._pool = ProcessPoolExecutor(
                self.workers,
                timeout=None,
                initializer=_prepare,
                initargs=(self._task, os.getpid(), self._cards, self._places),
                env=threads,
            )
        return self._pool


def how_it_died(error: BrokenExecutor) -> str:
    """The end of a worker process in words, from the signals that loky tells."""
    signals = re.findall(r"SIG[A-Z0-9]+", str(error))
    crashes = sorted({name for name in signals if name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")})
    if crashes:
        return f"its worker process crashed in native code ({', '.join(crashes)})"
    return "its worker process was killed (out of memory?)" if "SIGKILL" in signals else "its worker process died"


def _exit_codes(error: BrokenExecutor) -> str | None:
    """loky's line of them; what else it says is a guess at the cause."""
    return next((line for line in str(error).splitlines() if "exit codes" in line), None)


def _prepare(packed: bytes, driver: int, cards: Sequence[str] = (), places: Path | None = None) -> None:
    """Runs once in each worker.

    Args:
        cards, places: the cards that workers get one each of, and the folder in which they take their places.
        driver: the process that started it. Asked for here, the parent of a worker whose driver was killed in the
            seconds that its imports take would be process 1, which never ends.
    """
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which stops the workers
    threading.Thread(target=_leave_with, args=(driver,), daemon=True).start()
    if places is not None:
        take_card(cards, places)  # before the task brings torch
    _task = pickle.loads(packed)


def _leave_with(driver: int) -> None:
    """End this worker when its driver was killed and could not end it; loky's would wait for work for ever."""
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)


def _work(job: Job) -> Outcome:
    assert _task is not None
    return work_on(_task, job)
