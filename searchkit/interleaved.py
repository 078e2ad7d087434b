"""Several candidates at once on one device, in this process: a turn of one, then a turn of the next.

A small network leaves most of a card idle, and a worker process for each candidate would share the card by slices of
time. Here one thread queues the work of all on streams of their own, and the card runs them side by side. How many is
bounded by ``workers`` and by the memory that they are expected to take.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from searchkit.attempt import Job, Outcome, attempt_in_turns
from searchkit.courses import Course, Waiting
from searchkit.errors import DeviceGoneError
from searchkit.room import SCRATCH, Room

AT_ONCE = 4  # candidates on one card, where nothing is said; not measured on one yet
POLL = 2e-4  # seconds between two looks at what a card has done: a turn there takes some hundred times as long


class Evaluation(Protocol):
    """What is evaluated in turns; :class:`searchkit.evaluation.Training` is one."""

    def course(self, *job: Any) -> Course[Any]:
        """The turns of one job."""
        ...


class Memory(Protocol):
    """What is asked of a device's memory, in bytes."""

    def free(self) -> int:
        """What nobody holds."""
        ...

    def held(self) -> int:
        """What this process holds, also for reuse."""
        ...


@dataclass
class _Running:
    """A candidate between two of its turns.

    Attributes:
        expected: bytes that it was expected to take.
        settled: its first turn is over.
    """

    course: Course[Outcome]
    expected: int
    settled: bool = False
    waiting: Waiting | None = None


class Interleaved:
    """Evaluates jobs in turns; a pool as of :mod:`searchkit.executors`.

    A candidate is begun when fewer than ``workers`` are at work and what it is expected to take is free, or when there
    is no other. On a card its first turn takes all the memory it ever will; what that was corrects the expectations.

    Args:
        evaluate: has a method ``course`` and may have ``memory``, ``job -> bytes`` that it is expected to take.
        memory: of the device; None: there is always enough.
        scratch: bytes that any candidate may take beside what is predicted.
    """

    def __init__(
        self,
        evaluate: Evaluation,
        needed: tuple[str, ...],
        limit: float | None,
        workers: int = AT_ONCE,
        memory: Memory | None = None,
        scratch: int = SCRATCH,
    ) -> None:
        self.workers = workers
        self._evaluate, self._needed, self._limit = evaluate, needed, limit
        self._expected: Callable[..., int] | None = getattr(evaluate, "memory", None)
        self._memory = memory
        self._room = Room(scratch)
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
        """As many of the queue as there is room for, one after the other: each is to be measured by itself."""
        while self._queue and len(self._running) < self.workers:
            self._looked_ahead()
            assert self._next is not None
            if self._running and not self._fits(self._next):
                return
            number, job = self._queue.popleft()
            course = attempt_in_turns(self._evaluate.course(*job), self._needed, self._limit)
            self._running[number] = _Running(course, self._next)
            self._next = None

    def _looked_ahead(self) -> bool:
        """Find out what the first of the queue will take, which is some work; False where that is known already."""
        if not self._queue or self._next is not None:
            return False
        self._next = 0 if self._expected is None or self._memory is None else self._expected(*self._queue[0][1])
        return True

    def _fits(self, expected: int) -> bool:
        if self._memory is None:
            return True
        settled = all(one.settled for one in self._running.values())
        return settled and self._room.needed(expected) <= self._memory.free()

    def _turn(self, one: _Running) -> Outcome | None:
        """The outcome, where this turn was the last."""
        before = 0 if one.settled or self._memory is None else self._memory.held()
        try:
            one.waiting = next(one.course)
        except StopIteration as end:
            outcome: Outcome = end.value
            if outcome.out_of_memory and len(self._running) > 1:
                self._room.too_little()
            return outcome
        if not one.settled and self._memory is not None:
            self._room.learn(one.expected, self._memory.held() - before)
        one.settled = True
        return None
