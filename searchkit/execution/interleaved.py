"""Several candidates at once on one or more devices, evaluated turn by turn in this process.

A small network leaves most of a card idle, and worker processes on one card only run in alternating time slices. Here
one thread queues the work of all candidates, each on its own stream, and the card runs them side by side. The number of
candidates is limited by a setting and by the memory that they are expected to need.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from searchkit.errors import STOPS_THE_SEARCH
from searchkit.execution.at_work import noted, suspicion
from searchkit.execution.outcome import Job, Outcome, attempt_in_turns
from searchkit.execution.processes import apart
from searchkit.training.evaluation import Evaluation
from searchkit.training.turns import Course, Waiting

MARGIN = 1.5  # initial ratio of used to predicted bytes, for rounding and for scratch memory of kernels
SCRATCH = 64 * 2**20  # bytes of scratch memory that even the smallest network may need
KNOWN = 5  # measured candidates from which the initial ratio is no longer used
LATELY = 32  # the latest measured candidates, whose ratios are used
CAUTION = 1.25  # factor on the ratio after a candidate ran out of memory


class MemoryBudget:
    """Computes how many bytes must be free for a candidate: its predicted bytes times the largest recent ratio.

    A ratio is the bytes that a candidate used, divided by its prediction.

    Args:
        scratch: bytes that are added to every prediction.
    """

    def __init__(self, scratch: int = SCRATCH) -> None:
        self._scratch = scratch
        self._ratios: deque[float] = deque(maxlen=LATELY)

    def needed(self, predicted: int) -> int:
        """Bytes that must be free for a candidate of this prediction."""
        ratios = [*self._ratios, *([MARGIN] if len(self._ratios) < KNOWN else [])]
        return round(max(ratios) * (predicted + self._scratch))

    def learn(self, predicted: int, used: int) -> None:
        """Record how many bytes a candidate used."""
        self._ratios.append(used / max(1, predicted + self._scratch))

    def too_little(self) -> None:
        """Record that a candidate ran out of memory while others were running."""
        self._ratios.append(CAUTION * max([MARGIN, *self._ratios]))


AT_ONCE = 4  # default number of candidates on a device: on an H200, 8 took 4 % less time and twice the memory
POLL = 2e-4  # seconds between two checks of a card's progress; a turn takes about a hundred times as long


class MemoryGauge(Protocol):
    """The state of a device's memory, in bytes."""

    def free(self) -> int:
        """Bytes that no process uses."""
        ...

    def held(self) -> int:
        """Bytes that this process holds, including those cached for reuse."""
        ...


@dataclass(eq=False)
class Place:
    """A device on which candidates are evaluated.

    Attributes:
        evaluate: the evaluation on this device.
        memory: of the device; None: memory is not limited.
        budget: learns how much memory candidates need.
    """

    evaluate: Evaluation
    memory: MemoryGauge | None = None
    budget: MemoryBudget = field(default_factory=MemoryBudget)

    def fits(self, expected: int) -> bool:
        """Whether enough memory is free for a candidate that is expected to need so many bytes."""
        return self.memory is None or self.budget.needed(expected) <= self.memory.free()


@dataclass
class _Running:
    """A candidate between two of its turns.

    Attributes:
        turns: the evaluation in turns.
        expected: bytes that it was expected to need.
        settled: whether its first turn is over, after which its memory is known.
        waiting: work on the device that must be done before its next turn.
    """

    job: Job
    place: Place
    turns: Course[Outcome]
    expected: int
    settled: bool = False
    waiting: Waiting | None = None


class Interleaved:
    """Evaluates jobs in turns; a :class:`~searchkit.execution.executors.Pool`.

    A candidate begins on a device that has fewer than ``each`` candidates and enough free memory, or no candidate at
    all. On a card, a candidate allocates all its memory in the first turn; the amount corrects later predictions. A
    candidate that ended this process twice is evaluated in a process of its own.

    Args:
        places: one for each device.
        needed: the metrics that an evaluation must return.
        limit: seconds per candidate.
        each: number of candidates at the same time on each device.
    """

    def __init__(
        self, places: Sequence[Place], needed: tuple[str, ...], limit: float | None, each: int = AT_ONCE
    ) -> None:
        self.workers = each * len(places)
        self._places, self._each = tuple(places), each
        self._needed, self._limit = needed, limit
        self._queue: deque[tuple[int, Job]] = deque()
        self._next: int | None = None  # bytes that the first job of the queue is expected to need, once known
        self._running: dict[int, _Running] = {}
        self._gone: Exception | None = None

    def submit(self, number: int, job: Job) -> None:
        """Add a job to the queue."""
        self._queue.append((number, job))

    def wait(self) -> list[tuple[int, Outcome]]:
        """Make turns until a candidate is done.

        Raises:
            DeviceGoneError: a device is lost, and with it the running candidates.
            WritingError: trained weights cannot be written.
        """
        while True:
            if self._gone is not None:
                raise self._gone
            alone = self._suspected()
            if alone:
                return alone
            self._begin()
            ready = [n for n, one in self._running.items() if one.waiting is None or one.waiting.query()]
            done = []
            for number in ready:
                try:
                    outcome = self._turn(self._running[number])
                except STOPS_THE_SEARCH as error:  # raised after the finished outcomes are returned
                    self._gone = error
                    break
                if outcome is not None:
                    del self._running[number]
                    done.append((number, outcome))
            if done:
                return done
            if not ready and self._gone is None and not self._looked_ahead():
                time.sleep(POLL)

    def discard(self) -> None:
        """Drop all queued and running jobs."""
        self._queue.clear()
        self._next = None
        running, self._running = self._running, {}
        for one in running.values():
            with contextlib.suppress(*STOPS_THE_SEARCH):  # raised already, or by the next use of the device
                one.turns.close()

    def close(self) -> None:
        """Nothing else to stop."""
        self.discard()

    def _suspected(self) -> list[tuple[int, Outcome]]:
        """The outcome of the first queued job, if the process ended with its candidate in earlier runs."""
        why = suspicion(self._queue[0][1].code) if self._queue else None
        if why is None:
            return []
        number, job = self._queue.popleft()
        self._next = None
        return [(number, apart(self._places[0].evaluate, job, why, self._needed, self._limit))]

    def _begin(self) -> None:
        """Begin jobs in the order of the queue, as long as a device has memory for the next."""
        while self._queue and len(self._running) < self.workers and suspicion(self._queue[0][1].code) is None:
            self._looked_ahead()
            place = self._free_place()
            if place is None:
                return
            number, job = self._queue.popleft()
            turns = attempt_in_turns(place.evaluate.in_turns(*job.arguments), self._needed, self._limit)
            self._running[number] = _Running(job, place, turns, self._next or 0)
            self._next = None

    def _looked_ahead(self) -> bool:
        """Predict the memory of the first queued job, which takes some time; False if there was nothing to predict."""
        if not self._queue or self._next is not None:
            return False
        first, job = self._places[0], self._queue[0][1]
        with noted(job.code):
            self._next = 0 if first.memory is None else first.evaluate.memory(*job.arguments[:3])
        return True

    def _free_place(self) -> Place | None:
        """The least busy device that can begin the first queued job; its candidates must have made their first turn."""
        running = {place: self._at(place) for place in self._places}
        for place in sorted(self._places, key=lambda place: len(running[place])):
            settled = place.memory is None or all(one.settled for one in running[place])
            fits = not running[place] or (settled and place.fits(self._next or 0))
            if len(running[place]) < self._each and fits:
                return place
        return None

    def _turn(self, one: _Running) -> Outcome | None:
        """Make one turn; returns the outcome if it was the last."""
        try:
            with noted(one.job.code):
                before = self._before(one)
                one.waiting = next(one.turns)
        except StopIteration as end:
            outcome: Outcome = end.value
            if outcome.out_of_memory and len(self._at(one.place)) > 1:
                one.place.budget.too_little()
            return outcome
        if not one.settled and one.place.memory is not None:
            one.place.budget.learn(one.expected, one.place.memory.held() - before)
        one.settled = True
        return None

    def _before(self, one: _Running) -> int:
        """Bytes held before a candidate's first turn, after what all candidates share is set up; 0 if not needed."""
        if one.settled or one.place.memory is None:
            return 0
        one.place.evaluate.prepare(*one.job.arguments[:3])
        return one.place.memory.held()

    def _at(self, place: Place) -> list[_Running]:
        return [one for one in self._running.values() if one.place is place]
