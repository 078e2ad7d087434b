"""What takes long is done behind the search, in order, on a thread: no database and no server holds it up."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Job = Callable[[], None]

PATIENCE = 60.0  # seconds without a job done, after which the end of a search no longer waits


class Behind:
    """A thread that does jobs one after another until one of them raises; what comes after that is left undone.

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
        """Have a job done, soon."""
        if self._thread.is_alive():
            self._jobs.put(job)

    def finish(self) -> None:
        """Wait until all is done.

        Raises:
            TimeoutError: nothing was done for a minute.
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
