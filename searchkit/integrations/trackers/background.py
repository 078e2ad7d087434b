"""Slow work in order on a background thread, so that no database and no server delays the search."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Job = Callable[[], None]

PATIENCE = 60.0  # seconds without a finished job after which the end of a search stops waiting


class Background:
    """A thread that runs jobs one after another until one of them raises; later jobs are dropped.

    Args:
        failed: called with that job's error, on the thread.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._failed = failed
        self._n_done = 0
        self._thread = Thread(target=self._work, name="searchkit tracker", daemon=True)
        self._thread.start()

    def do(self, job: Job) -> None:
        """Queue a job."""
        if self._thread.is_alive():
            self._jobs.put(job)

    def finish(self) -> None:
        """Wait until all jobs are done.

        Raises:
            TimeoutError: no job finished for a minute.
        """
        self._jobs.put(None)
        while self._thread.is_alive():
            before = self._n_done
            self._thread.join(PATIENCE)
            if self._thread.is_alive() and self._n_done == before:
                raise TimeoutError(f"what it logs to has not answered for {PATIENCE:g} seconds")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                self._failed(error)
                return
            self._n_done += 1
