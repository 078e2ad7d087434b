"""What is made of a record, kept until the record changes, and made again in proportion to what that takes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

SHARE = 0.2  # of the time at most goes into making one thing again and again, since a search may run beside it
LEAST = 1.0  # seconds between two times
AGAIN, SELDOM = 2.5, 60.0  # seconds after which what went wrong is tried again, first, and at most

T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    """What was made last; it is replaced as a whole, so that it is read without a lock.

    Attributes:
        key: of what it was made of.
        tries: how often it went wrong with this key; 0 where it is right.
        changed, same: when it is made again where the key is another one, and where it is the same.
    """

    value: T
    key: Hashable
    tries: int
    changed: float
    same: float


class Kept(Generic[T]):
    """Something that is made of what has a key, such as a report of a record.

    Args:
        making: lock in which it is made; things that share it are made one after another.
        clock: seconds, from any beginning.
        wrong: says of a value that it tells an error. That may pass while the key stays, such as of a database that
            is locked, so it is made again with the same key, ever less often.
    """

    def __init__(
        self,
        making: threading.RLock,
        clock: Callable[[], float] = time.monotonic,
        wrong: Callable[[T], bool] = lambda value: False,
    ) -> None:
        self._made: _Made[T] | None = None
        self._making, self._clock, self._wrong = making, clock, wrong
        self._next = -math.inf  # when it may be made again after making it raised an exception
        self.took = 0.0  # seconds that making it took last, or 0 where it was the first time

    @property
    def value(self) -> T | None:
        """As it was made last; None before the first time."""
        return self._made.value if self._made else None

    def due(self, key: Hashable) -> bool:
        """Whether :meth:`get` would make it anew: its key is another one or it went wrong, and enough time passed."""
        made, now = self._made, self._clock()
        if made is None:
            return True
        return now >= max(self._next, made.same if key == made.key else made.changed)

    def version(self, key: Hashable) -> tuple[Hashable, int]:
        """What identifies the value that :meth:`get` would return; another one where it would be made anew."""
        made = self._made
        if made is None or not self.due(key):
            return (key, 0) if made is None else (made.key, made.tries)
        return (key, made.tries + 1 if key == made.key else 0)

    def get(self, key: Hashable, make: Callable[[T | None], T], patience: float = -1) -> T:
        """The value, made anew where it is due; who comes meanwhile waits and gets the same.

        Args:
            key: of what it is made of, as it is now.
            make: gets the value of before. Where it raises, nothing changes but that it is not tried again at once.
            patience: seconds to wait at most while another thing is made, after which the value is that of before,
                where there is one; -1: any.
        """
        made = self._made
        if made is not None and not self.due(key):
            return made.value
        if not self._making.acquire(timeout=-1 if made is None else patience):
            assert made is not None
            return made.value
        try:
            made = self._made
            return made.value if made is not None and not self.due(key) else self._make(key, make, made)
        finally:
            self._making.release()

    def _make(self, key: Hashable, make: Callable[[T | None], T], before: _Made[T] | None) -> T:
        began = self._clock()
        try:
            value = make(before.value if before else None)
        finally:
            ended = self._clock()
            self.took = ended - began if before else 0.0  # the first time loads modules, too
            self._next = ended + max(LEAST, self.took * (1 / SHARE - 1))
        tries = 0
        if self._wrong(value):
            tries = before.tries + 1 if before and before.key == key else 1
        same = ended + min(SELDOM, AGAIN * 2.0 ** min(tries, 30)) if tries else math.inf
        self._made = _Made(value, key, tries, self._next, max(same, self._next))
        return value
