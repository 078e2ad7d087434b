"""Work that is done in turns, so that several pieces of it can share a process and a device.

A piece of work is a generator, a :data:`Course`: it yields where its turn is over, and what has to happen before the
next one. On a card a turn only queues work, on a stream of the course's own, so that the card runs several courses at
the same time while one thread serves them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Waiting(Protocol):
    """Work that a device has not done yet; a CUDA event is one."""

    def query(self) -> bool:
        """Whether it is done."""
        ...

    def synchronize(self) -> object:
        """Wait until it is."""
        ...


Course = Generator[Waiting | None, None, T]


def finish(course: Course[T]) -> T:
    """Take all turns of a course, one after the other; what it comes to."""
    while True:
        try:
            waiting = next(course)
        except StopIteration as end:
            result: T = end.value
            return result
        if waiting is not None:
            try:
                waiting.synchronize()
            except BaseException:
                with contextlib.suppress(Exception):  # which may need the device that has just failed
                    course.close()
                raise
