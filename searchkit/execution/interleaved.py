"""Several candidates at once on a device, or on each of several, in this process: a turn of one, then of the next.

A small network leaves most of a card idle, and a worker process for each candidate would share the card by slices of
time. Here one thread queues the work of all on streams of their own, and the card runs them side by side. How many is
bounded by a number and by the memory that they are expected to take.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from searchkit.errors import DeviceGoneError
from searchkit.execution.outcome import Job, Outcome, attempt_in_turns
from searchkit.training.evaluation import Evaluation
from searchkit.training.turns import Course, Waiting

MARGIN = 1.5  # before anything is known: allocators round up, and kernels have scratch memory that nobody predicts
SCRATCH = 64 * 2**20  # bytes of it that the smallest network may take
KNOWN = 5  # candidates that took what they took, from which only they are believed
LATELY = 32  # of them are remembered
CAUTION = 1.25  # what was too little is multiplied by


class Room:
    """Turns predicted bytes into bytes to keep free: by the largest ratio of taken to predicted that was seen lately.

    Args:
        scratch: bytes that are added to every prediction.
    """

    def __init__(self, scratch: int = SCRATCH) -> None:
        self._scratch = scratch
        self._ratios: deque[float] = deque(maxlen=LATELY)

    def needed(self, predicted: int) -> int:
        """Bytes that should be free."""
        ratios = [*self._ratios, *([MARGIN] if len(self._ratios) < KNOWN else [])]
        return round(max(ratios) * (predicted + self._scratch))

    def learn(self, predicted: int, taken: int) -> None:
        """A candidate took so many bytes."""
        self._ratios.append(taken / max(1, predicted + self._scratch))

    def too_little(self) -> None:
        """A candidate ran out of memory beside others."""
        self._ratios.append(CAUTION * max([MARGIN, *self._ratios]))


AT_ONCE = 4  # candidates on a card, where nothing is said; not measured on one yet
POLL = 2e-4  # seconds between two looks at what a card has done: a turn there takes some hundred times as long


class Memory(Protocol):
    """What is asked of a device's memory, in bytes."""

    def free(self) -> int:
        """What nobody holds."""
        ...

    def held(self) -> int:
        """What this process holds, also for reuse."""
        ...


@dataclass(eq=False)
class Place:
    """A device.

    Attributes:
        evaluate: what is evaluated there.
        memory: of the device; None: there is always enough.
        room: what has been learned of it.
    """

    evaluate: Evaluation
    memory: Memory | None = None
    room: Room = field(default_factory=Room)

    def has_room(self, expected: int) -> bool:
        """Whether what a candidate is expected to take is free."""
        return self.memory is None or self.room.needed(expected) <= self.memory.free()


@dataclass
class _Running:
    """A candidate between two of its turns.

    Attributes:
        expected: bytes that it was expected to take.
        settled: its first turn is over.
    """

    job: Job
    place: Place
    course: Course[Outcome]
    expected: int
    settled: bool = False
    waiting: Waiting | None = None


class Interleaved:
    """Evaluates jobs in turns; a pool as of :mod:`searchkit.executors`.

    A candidate is begun at a place where fewer than ``each`` are at work and what it is expected to take is free, or
    where there is no other. On a card its first turn takes all the memory it ever will; what that was corrects what is
    expected of the next.

    Args:
        places: one a device.
        each: candidates at the same time at each of them.
    """

    def __init__(
        self, places: Sequence[Place], needed: tuple[str, ...], limit: float | None, each: int = AT_ONCE
    ) -> None:
        self.workers = each * len(places)
        self._places, self._each = tuple(places), each
        self._needed, self._limit = needed, limit
        self._queue: deque[tuple[int, Job]] = deque()
        self._next: int | None = None  # bytes that the first of the queue is expected to take
        self._running: dict[int, _Running] = {}
        self._gone: DeviceGoneError | None = None

    def submit(self, number: int, job: Job) -> None:
        """Put it in the queue."""
        self._queue.append((number, job))

    def wait(self) -> list[tuple[int, Outcome]]:
        """Take turns until a candidate is done.

        Raises:
            DeviceGoneError: the device is lost, and with it all that were at work.
        """
        while True:
            if self._gone is not None:
                raise self._gone
            self._begin()
            ready = [n for n, one in self._running.items() if one.waiting is None or one.waiting.query()]
            done = []
            for number in ready:
                try:
                    outcome = self._turn(self._running[number])
                except DeviceGoneError as error:  # what is done already comes first
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
        """Drop what is waiting and what is at work."""
        self._queue.clear()
        self._next = None
        running, self._running = self._running, {}
        for one in running.values():
            with contextlib.suppress(DeviceGoneError):  # has been raised, or will be by whoever comes next
                one.course.close()

    def close(self) -> None:
        """Nothing else to stop."""
        self.discard()

    def _begin(self) -> None:
        """As many of the queue as there is room for, in order."""
        while self._queue and len(self._running) < self.workers:
            self._looked_ahead()
            place = self._free_place()
            if place is None:
                return
            number, job = self._queue.popleft()
            course = attempt_in_turns(place.evaluate.in_turns(*job.arguments), self._needed, self._limit)
            self._running[number] = _Running(job, place, course, self._next or 0)
            self._next = None

    def _looked_ahead(self) -> bool:
        """Find out what the first of the queue will take, which is some work; False where that is known already."""
        if not self._queue or self._next is not None:
            return False
        first = self._places[0]
        self._next = 0 if first.memory is None else first.evaluate.memory(*self._queue[0][1].arguments)
        return True

    def _free_place(self) -> Place | None:
        """The least busy that can take the first of the queue, once those who began there are known to have room."""
        there = {place: self._at(place) for place in self._places}
        for place in sorted(self._places, key=lambda place: len(there[place])):
            settled = place.memory is None or all(one.settled for one in there[place])
            fits = not there[place] or (settled and place.has_room(self._next or 0))
            if len(there[place]) < self._each and fits:
                return place
        return None

    def _turn(self, one: _Running) -> Outcome | None:
        """The outcome, where this turn was the last."""
        before = self._before(one)
        try:
            one.waiting = next(one.course)
        except StopIteration as end:
            outcome: Outcome = end.value
            if outcome.out_of_memory and len(self._at(one.place)) > 1:
                one.place.room.too_little()
            return outcome
        if not one.settled and one.place.memory is not None:
            one.place.room.learn(one.expected, one.place.memory.held() - before)
        one.settled = True
        return None

    def _before(self, one: _Running) -> int:
        """Bytes that are held before the first turn of a candidate."""
        if one.settled or one.place.memory is None:
            return 0
        one.place.evaluate.prepare(*one.job.arguments)
        return one.place.memory.held()

    def _at(self, place: Place) -> list[_Running]:
        return [one for one in self._running.values() if one.place is place]
