"""Worker processes that score networks, begun when there is so much to score that they pay."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from searchkit.data.data import Data
from searchkit.errors import SearchkitError
from searchkit.execution.gpu_placement import visible_cards
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.processes import Workers
from searchkit.scoring.jobs import Scoring, packed, read
from searchkit.scoring.network import NetworkScores, asked
from searchkit.scoring.protocols import NetworkProxy
from searchkit.space import NetworkSpace

PAYS = 5.0  # seconds of scoring here, past and expected, from which processes are begun: they take 2 to 3 to be ready
WINDOW = 2  # candidates that are sent and not back, for each process: it works on one, and the next one is there

_READY = Job(np.zeros(0, np.int64), 0)  # asks a worker for nothing but to be there


class ScoringPool:
    """Scores networks in n processes of one thread each, which end with the pool, at the latest with this process.

    A candidate is a job of its own: its scores come as soon as they are there, and a worker that dies costs no other.

    Args:
        n: processes.
        space, proxies, data, device, seed: as of :class:`searchkit.scoring.scorer.Scorer`.
        any_card: on GPUs each process takes one of those that there are.

    Raises:
        SearchkitError: the space or a proxy cannot be sent to another process.
    """

    def __init__(
        self,
        n: int,
        space: NetworkSpace,
        proxies: Sequence[NetworkProxy],
        data: Data | None,
        device: torch.device,
        seed: int,
        any_card: bool = False,
    ) -> None:
        packed(space, f"space '{space.name}'")
        for proxy in proxies:
            packed(proxy, f"proxy '{proxy.names[0]}'")
        self._n, self._any_card = n, any_card
        self._given = (space, tuple(proxies), None if data is None else data.without_test(), device, seed)
        self._workers: Workers | None = None
        self._end: Callable[[], Any] | None = None
        self._scored_here, self._seconds = 0, 0.0  # the first, which warms the process up, is not in the seconds

    def score(self, jobs: Sequence[Job], here: Callable[[Job], NetworkScores]) -> Iterator[tuple[int, NetworkScores]]:
        """``(index of the job, scores)`` as they come. Close the iterator: where it is left early, the processes end.

        Args:
            jobs: canonical candidates ``(d,)``, each with the proxies :func:`asked` of it.
            here: scores one in this process, which goes on until other processes pay.

        Raises:
            DeviceGoneError: the device is lost, or another process has it for itself.
            SearchkitError: the worker processes cannot begin.
        """
        n_here = 0
        while n_here < len(jobs) and not self._pays(len(jobs) - n_here):
            yield n_here, self._timed(jobs[n_here], here)
            n_here += 1
        crowded: list[int] = []
        if n_here < len(jobs):
            try:
                for i, outcome in _as_they_come(self._begun(), jobs[n_here:], WINDOW * self._n):
                    if outcome.out_of_memory:
                        crowded.append(n_here + i)
                    else:
                        yield n_here + i, read(outcome, asked(self._given[1], jobs[n_here + i].seed))
            except BaseException:
                self.close()
                raise
        if crowded:  # beside others; alone, with what the processes hold freed, they may have scores
            self.close()
        for i in crowded:
            yield i, here(jobs[i])

    def close(self) -> None:
        """End the processes; the next call may begin others."""
        if self._end is not None:
            self._end()
        self._workers = self._end = None

    def _pays(self, left: int) -> bool:
        """By what a network cost here; as much again may come as has come already."""
        if self._workers is not None:
            return True
        timed = self._scored_here - 1
        return timed > 0 and self._seconds * (1 + left / timed) > PAYS

    def _timed(self, job: Job, here: Callable[[Job], NetworkScores]) -> NetworkScores:
        begin = time.perf_counter()
        scores = here(job)
        self._seconds += time.perf_counter() - begin if self._scored_here else 0.0
        self._scored_here += 1
        return scores

    def _begun(self) -> Workers:
        if self._workers is None:
            scoring = Scoring(packed(self._given, "what the proxies look at"))
            workers = Workers(self._n, scoring, (), None, visible_cards() if self._any_card else ())
            self._workers, self._end = workers, weakref.finalize(self, workers.close)
            workers.submit(0, _READY)
            [(_, outcome)] = workers.wait()
            if outcome.reason is not None:
                raise SearchkitError(
                    f"worker processes cannot score these proxies ({outcome.reason}): leave workers out"
                )
        return self._workers


def _as_they_come(workers: Workers, jobs: Sequence[Job], window: int) -> Iterator[tuple[int, Outcome]]:
    """Few at a time: whatever is pending when a worker dies runs again, one after another."""
    pending = 0
    for number, job in enumerate(jobs):
        workers.submit(number, job)
        pending += 1
        while pending >= window or (pending and number + 1 == len(jobs)):
            done = workers.wait()
            pending -= len(done)
            yield from done


def read_workers(workers: Any) -> int:
    """The processes that ``workers=`` asks for; None is 1, which is this process.

    Raises:
        SearchkitError: it is no whole number of at least 1.
    """
    if workers is None:
        return 1
    if isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 1:
        raise SearchkitError(
            f"workers must be a whole number of at least 1, not {workers!r}: so many processes score networks at the "
            "same time, and 1 is this process"
        )
    return int(workers)
