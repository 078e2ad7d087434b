"""What is made of a record, kept until the record changes, and made again in proportion to what that takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

SHARE = 0.2  # of the time at most goes into making one thing again and again, since a search may run beside it
LEAST = 1.0  # seconds between two times

T = TypeVar("T")


class Kept(Generic[T]):
    """Something that is made of what has a key, such as a report of a record.

    Args:
        making: lock in which it is made; things that share it are made one after another.
        clock: seconds, from any beginning.

    Attributes:
        key: of what it was made of last; None before the first time.
    """

    def __init__(self, making: threading.RLock, clock: Callable[[], float] = time.monotonic) -> None:
        self.key: Hashable = None
        self._value: T | None = None
        self._making, self._clock = making, clock
        self._next = 0.0  # when it may be made again
        self.took = 0.0  # seconds that making it took last, or 0 where it was the first time

    def due(self, key: Hashable) -> bool:
        """Whether :meth:`get` would make it anew: its key is another one, and enough time has passed."""
        return self.key is None or (key != self.key and self._clock() >= self._next)

    def get(self, key: Hashable, make: Callable[[T | None], T]) -> T:
        """The value, made anew where it is due; who comes meanwhile waits and gets the same.

        Args:
            key: of what it is made of, as it is now; not None.
            make: gets the value of before. Where it raises, nothing changes but that it is not tried again at once.
        """
        with self._making:
            if self.due(key):
                began, first = self._clock(), self.key is None
                try:
                    self._value = make(self._value)
                    self.key = key
                finally:
                    ended = self._clock()
                    self.took = 0.0 if first else ended - began  # the first time loads modules, too
                    self._next = ended + max(LEAST, self.took * (1 / SHARE - 1))
            value = self._value
        assert value is not None
        return value
