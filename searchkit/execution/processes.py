"""Evaluation in worker processes of this machine, on loky."""

from __future__ import annotations

import contextlib
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
from dataclasses import replace
from multiprocessing import get_start_method, set_start_method
from pathlib import Path

from searchkit.errors import STOPS_THE_SEARCH, SearchkitError
from searchkit.execution.gpu_placement import take_card
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.serialization import EvaluationTask, packed, work_on
from searchkit.execution.time_limits import ended_when_late, late_ones, well_over
from searchkit.training.evaluation import Evaluate, as_evaluation

LEAK = 300_000_000  # bytes by which a worker may grow before it is replaced; more on a machine with more memory

A_MOMENT = 0.2  # seconds that a worker is kept busy, so that others begin too

_task: EvaluationTask | None = None  # of this process, if it is a worker


class Workers:
    """Evaluates jobs in n loky processes of one thread each; if a worker dies, only its own candidate fails.

    loky can send lambdas and functions of a script or notebook to its workers, and needs no ``__main__`` guard. If a
    worker dies, all pending jobs are lost, and it is unknown which of them was the cause. Each of these suspects then
    runs again, alone; jobs that are submitted in the meantime wait. A worker whose job is well over its time limit ends
    itself; then the cause is known, and the other jobs are submitted again.

    Args:
        cards: each worker uses one of these, see :mod:`searchkit.execution.gpu_placement`. Empty: all workers see the
            same cards as this process.
    """

    def __init__(
        self, n: int, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None, cards: Sequence[str] = ()
    ) -> None:
        self.workers = n
        self._cards = tuple(cards)
        self._places: Path | None = None
        self._limit = limit
        self._markers: Path | None = None  # folder of the files of :func:`ended_when_late`
        self._late: list[tuple[int, Outcome]] = []  # jobs whose process was ended by it
        self._task = packed((as_evaluation(evaluate), needed, limit))
        self._pool: Executor | None = None
        self._futures: dict[Future[Outcome], int] = {}
        self._jobs: dict[int, Job] = {}  # job of each future
        self._suspects: dict[int, Job] = {}  # jobs that were pending when a worker died
        self._later: dict[int, Job] = {}  # jobs that wait until the suspects have run

    def submit(self, number: int, job: Job) -> None:
        """Send a job to the workers."""
        if self._suspects:
            self._later[number] = job
            return
        self._jobs[number] = job
        try:
            self._futures[self._start().submit(_work, job, self._marker(number))] = number
        except BrokenExecutor:
            self._suspect()

    def get_ready(self, seconds: float) -> None:
        """Start the workers, which takes seconds, and wait for them."""
        with contextlib.suppress(BrokenExecutor):
            wait([self._start().submit(time.sleep, A_MOMENT) for _ in range(self.workers)], seconds)

    def wait(self) -> list[tuple[int, Outcome]]:
        """Outcomes of the finished jobs; after a worker died, the outcome of one suspect that runs alone."""
        if not self._suspects:
            done = self._done() + self._late
            self._late = []
            if done:
                return done
            if not self._suspects:
                return self.wait()
        number = next(iter(self._suspects))
        outcome = self.alone(number, self._suspects[number])
        del self._suspects[number]
        if not self._suspects:
            later, self._later = self._later, {}
            for waiting, job in later.items():
                self.submit(waiting, job)
        return [(number, outcome)]

    def discard(self) -> None:
        """Cancel the jobs that have not begun."""
        for future in self._futures:
            future.cancel()
        for jobs in (self._futures, self._jobs, self._suspects, self._later):
            jobs.clear()
        self._late = []

    def close(self) -> None:
        """Stop the workers, also those that are evaluating a candidate."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # an argument of loky's
            self._pool = None
        for folder in (self._places, self._markers):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self._places = self._markers = None

    def _done(self) -> list[tuple[int, Outcome]]:
        """Outcomes of the finished jobs; empty if a worker died before any other job was done."""
        finished, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        done, broken, gone = [], False, None
        for future in sorted(finished, key=self._futures.__getitem__):
            try:
                outcome = future.result()
            except BrokenExecutor:
                broken = True
            except STOPS_THE_SEARCH as error:  # raised after the other outcomes are returned
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
        """After a worker died, make suspects of all jobs that are not done, unless it is known which was the cause."""
        late = self._ended_late()
        self.close()
        jobs, self._jobs = self._jobs, {}
        self._futures.clear()
        if not late:
            self._suspects = jobs
            return
        self._late += [(number, self._over()) for number in sorted(late)]
        for number, job in jobs.items():
            if number not in late:
                self.submit(number, job)

    def alone(self, number: int, job: Job) -> Outcome:
        """Evaluate a job while no other is; if its process ends, that is the reason of its failure."""
        try:
            return self._start().submit(_work, job, self._marker(number)).result()
        except BrokenExecutor as error:
            late = self._ended_late()
            self.close()
            if late:
                return self._over()
            return Outcome(reason=how_it_died(error), traceback=_exit_codes(error), process_ended=True)

    def _marker(self, number: int) -> Path | None:
        """The file of a job for :func:`ended_when_late`; None without a time limit."""
        if self._limit is None:
            return None
        if self._markers is None:
            self._markers = Path(tempfile.mkdtemp(prefix="searchkit-late-"))
        return self._markers / str(number)

    def _ended_late(self) -> set[int]:
        return late_ones(self._markers) if self._markers is not None else set()

    def _over(self) -> Outcome:
        assert self._limit is not None
        seconds = well_over(self._limit)
        reason = f"over its time limit of {self._limit:g} s, and its worker process was ended after {seconds:g} s"
        return Outcome(reason=reason, seconds=seconds)

    def _start(self) -> Executor:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            if self._cards:
                self._places = Path(tempfile.mkdtemp(prefix="searchkit-cards-"))
            threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            # loky ends a worker that has grown by 300 MB, which data and a network may well take
            threads["LOKY_MAX_MEMORY_LEAK_SIZE"] = str(max(LEAK, _memory() // (2 * self.workers)))
            self._pool = ProcessPoolExecutor(
                self.workers,
                timeout=None,
                initializer=_prepare,
                initargs=(self._task, os.getpid(), self._cards, self._places, get_start_method(allow_none=True)),
                env=threads,
            )
        return self._pool


def apart(evaluate: Evaluate, job: Job, why: str, needed: tuple[str, ...] = (), limit: float | None = None) -> Outcome:
    """Evaluate one job in a separate process. If that process ends, for example by a crash, the job has failed.

    Args:
        why: the reason not to evaluate it in this process; the reason of a failure begins with it.
    """
    try:
        workers = Workers(1, evaluate, needed, limit)
    except SearchkitError as error:
        return Outcome(reason=f"{why}, and {error}", process_ended=True)
    try:
        outcome = workers.alone(0, job)
    finally:
        workers.close()
    return replace(outcome, reason=f"{why}, and then {outcome.reason}") if outcome.process_ended else outcome


def _memory() -> int:
    """Bytes of memory of this machine; 0 where that is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def how_it_died(error: BrokenExecutor) -> str:
    """How a worker process ended, in words, from the signals in loky's error."""
    signals = re.findall(r"SIG[A-Z0-9]+", str(error))
    crashes = sorted({name for name in signals if name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")})
    if crashes:
        return f"its worker process crashed in native code ({', '.join(crashes)})"
    return "its worker process was killed (out of memory?)" if "SIGKILL" in signals else "its worker process died"


def _exit_codes(error: BrokenExecutor) -> str | None:
    """The line of loky's message that has the exit codes; its other lines are guesses about the cause."""
    return next((line for line in str(error).splitlines() if "exit codes" in line), None)


def _prepare(
    packed: bytes, driver: int, cards: Sequence[str] = (), places: Path | None = None, start_method: str | None = None
) -> None:
    """Initialise a worker; runs once in each.

    Args:
        driver: id of the process that searches. It is passed on, because a worker whose driver was killed while the
            worker was starting has process 1 as its parent, which never ends.
        cards, places: the cards, of which each worker takes one, and the folder with the locks for them.
        start_method: of the driver's own child processes, which those of a worker have too, such as the workers of a
            DataLoader in a training function. loky leaves its own there, with which no other library can start one.
    """
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which stops the workers
    threading.Thread(target=_leave_with, args=(driver,), daemon=True).start()
    set_start_method(start_method, force=True)
    if places is not None:
        take_card(cards, places)  # before the task imports torch
    _task = pickle.loads(packed)


def _leave_with(driver: int) -> None:
    """End this worker after its driver was killed; otherwise a loky worker would wait for jobs forever."""
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)


def _work(job: Job, marker: Path | None) -> Outcome:
    assert _task is not None
    with ended_when_late(_task[2], marker):
        return work_on(_task, job)
