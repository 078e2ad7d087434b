"""Worker processes that score networks; they start when there is enough to score to pay for the start."""

from __future__ import annotations

import pickle
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from searchkit.data.data import Data
from searchkit.errors import CandidateError, OutOfMemoryError, SearchkitError
from searchkit.execution.gpu_placement import visible_cards
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.processes import Workers
from searchkit.execution.serialization import pickled
from searchkit.scoring.network import NetworkScores, asked, score_network
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.protocols import NetworkProxy
from searchkit.space import NetworkSpace
from searchkit.training.starts import Start
from searchkit.types import Codes

PAYS = 5.0  # seconds of scoring here, past and expected, from which processes start: they take 2 to 3 to be ready
WINDOW = 2  # candidates sent and not yet back for each process: one being scored, and one waiting

Given = tuple[NetworkSpace, tuple[NetworkProxy, ...], Data | None, torch.device, int, Start | None]  # as of ScoringPool
Opened = tuple[NetworkSpace, tuple[NetworkProxy, ...], ProxyInputs, int, Start | None]

_READY = Job(np.zeros(0, np.int64), 0)  # has a worker do nothing but start


class ScoringPool:
    """Scores networks in n processes of one thread each, which end with the pool, at the latest with this process.

    Each candidate is one job: its scores are available as soon as it is done, and a worker that dies costs only
    that one.

    Args:
        n: processes.
        space, proxies, data, device, seed: as of :class:`searchkit.scoring.scorer.Scorer`.
        any_card: on GPUs, each process uses one of all that are visible.
        weights: as of the scorer.

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
        weights: Start | None = None,
    ) -> None:
        packed(space, f"space '{space.name}'")
        for proxy in proxies:
            packed(proxy, f"proxy '{proxy.names[0]}'")
        self._n, self._any_card = n, any_card
        self._given = (space, tuple(proxies), None if data is None else data.without_test(), device, seed, weights)
        self._workers: Workers | None = None
        self._end: Callable[[], Any] | None = None
        self._scored_here, self._seconds = 0, 0.0  # the first, which warms the process up, is not in the seconds

    def score(self, jobs: Sequence[Job], here: Callable[[Job], NetworkScores]) -> Iterator[tuple[int, NetworkScores]]:
        """``(index of the job, scores)`` as they come. Close the iterator: where it is left early, the processes end.

        Args:
            jobs: canonical candidates ``(d,)``, each with the number that :func:`searchkit.scoring.network.asked`
                reads.
            here: scores one in this process; used until the workers pay for their start.

        Raises:
            DeviceGoneError: the device is lost, or another process uses it exclusively.
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
                        yield n_here + i, read_outcome(outcome, asked(self._given[1], jobs[n_here + i].seed))
            except BaseException:
                self.close()
                raise
        if crowded:  # out of memory beside other processes; alone, with theirs freed, they may fit
            self.close()
        for i in crowded:
            yield i, here(jobs[i])

    def close(self) -> None:
        """End the processes; the next call may begin others."""
        if self._end is not None:
            self._end()
        self._workers = self._end = None

    def _pays(self, left: int) -> bool:
        """Whether to start: by the time a network took here, expecting as many again as there were."""
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
            scoring = WorkerScorer(packed(self._given, "what the proxies look at"))
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
    """Outcomes as they come, with few jobs pending: when a worker dies, all pending ones run again, one by one."""
    pending = 0
    for number, job in enumerate(jobs):
        workers.submit(number, job)
        pending += 1
        while pending >= window or (pending and number + 1 == len(jobs)):
            done = workers.wait()
            pending -= len(done)
            yield from done


class WorkerScorer:
    """The function a worker runs: ``(candidate, number of the proxies) -> {signal: value}``.

    Outcomes hold numbers only; so the reason for a missing value is appended to its name, after a line break.
    """

    def __init__(self, sent: bytes) -> None:
        self._sent = sent  # unpickled by the first job, so that an error there is reported as that job's
        self._opened: Opened | None = None

    def __call__(self, code: Codes, number: int) -> dict[str, float]:
        space, proxies, inputs, seed, weights = self._open()
        if not number:
            return {}
        scores = score_network(space, asked(proxies, number), code, inputs, seed, weights)
        if scores.out_of_memory:
            raise OutOfMemoryError("beside others")
        return {
            f"{name}\n{scores.reasons[name]}" if name in scores.reasons else name: value
            for name, value in scores.values.items()
        }

    def _open(self) -> Opened:
        if self._opened is None:
            space, proxies, data, device, seed, weights = pickle.loads(self._sent)
            inputs = ProxyInputs(data, space.input_shape, space.output_shape, device, seed)
            self._opened = space, proxies, inputs, seed, weights
            self._sent = b""
        return self._opened


def read_outcome(outcome: Outcome, proxies: Sequence[NetworkProxy]) -> NetworkScores:
    """The scores in an outcome of :class:`WorkerScorer`; NaN for all these proxies where its process died."""
    scores = NetworkScores()
    if outcome.reason is not None:
        scores.refuse([name for proxy in proxies for name in proxy.names], CandidateError(outcome.reason))
    for label, value in outcome.values.items():
        name, refused, why = label.partition("\n")
        scores.values[name] = value
        scores.reasons |= {name: why} if refused else {}
    return scores


def can_be_sent(*things: object) -> bool:
    """Whether all of them can be sent to other processes."""
    try:
        packed(things, "")
    except SearchkitError:
        return False
    return True


def packed(what: object, called: str) -> bytes:
    """Pickled, so that any process can load it.

    Raises:
        SearchkitError: it cannot be pickled; the message names it ``called``.
    """
    return pickled(what, called, "leave workers out, or open files, locks and connections where they are used")


def read_workers(workers: object) -> int:
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
