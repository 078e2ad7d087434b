"""Work in turns: several trainings share one device turn by turn, each with the same result as if it were alone."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from searchkit.random_state import RandomStates, cards_of, seed_generators
from searchkit.runtime.devices import device_errors
from searchkit.runtime.gpu_lock import give_way, key_of
from searchkit.runtime.pooling import right_pooling
from searchkit.runtime.threads import one_thread

T = TypeVar("T")


class Waiting(Protocol):
    """Work that was queued on a device and may not be done yet, such as a CUDA event."""

    def query(self) -> bool:
        """Whether it is done."""
        ...

    def synchronize(self) -> object:
        """Wait until it is done."""
        ...


# Work in turns. Each turn yields the work that must be done before the next turn, or None; the last returns the result.
Course = Generator[Waiting | None, None, T]


def finish(turns: Course[T]) -> T:
    """Take all turns of one piece of work without pause, and return its result."""
    while True:
        try:
            waiting = next(turns)
        except StopIteration as end:
            result: T = end.value
            return result
        if waiting is not None:
            try:
                waiting.synchronize()
            except BaseException:
                with contextlib.suppress(Exception):  # closing may need the device that has just failed
                    turns.close()
                raise


STEPS = 8  # training steps that a turn on a card queues at first
MOST = 64  # training steps that a turn on a card queues at most
SECONDS = 0.02  # length of a turn on a CPU, which has at least one step


class Turns:
    """The turns of one piece of work, which restore its stream on a card and its random states in each turn.

    Args:
        seed: of the global generators (torch's, numpy's and Python's) at the first turn.

    Raises:
        DeviceGoneError: the device is lost, or another process has exclusive use of it.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self._seed = seed
        self._states: RandomStates | None = None
        on_card = device.type == "cuda"
        with device_errors(device):  # this may be the first use of the card in the process
            self._stream = _borrowed(device) if on_card else None
            self._card = key_of(device) if on_card else ""
        self._steps = STEPS

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Enter one turn; the global random states, number of threads and stream are restored after it.

        Raises:
            DeviceGoneError: an error inside means that the device is lost, or in exclusive use by another process.
        """
        with ExitStack() as stack:
            stack.enter_context(device_errors(self.device))
            if self._stream is None:
                stack.enter_context(one_thread())
            else:
                give_way(self._card)  # wait while a measurement uses the card
                stack.enter_context(torch.cuda.device(self.device))
                stack.enter_context(torch.cuda.stream(self._stream))
                stack.enter_context(right_pooling(self.device))
            stack.enter_context(self._own_random_state())
            yield

    def over(self, n: int, since: float) -> bool:
        """Whether a turn that began at ``since`` (``time.perf_counter``) and has made n steps should end."""
        return n >= self._steps if self._stream is not None else time.perf_counter() - since >= SECONDS

    def follow(self, last: Waiting | None) -> None:
        """Double the length of turns if the card has finished the last one (:meth:`mark`) before the next begins.

        The queued work should last while this process builds, records or scores another network; otherwise the card is
        idle. If steps are long, a few of them are enough.
        """
        if last is not None and last.query():
            self._steps = min(2 * self._steps, MOST)

    def mark(self) -> Waiting | None:
        """Mark the end of the work queued so far; None on a CPU, where nothing is queued."""
        if self._stream is None:
            return None
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return Mark(event, self.device)

    def wait(self) -> None:
        """Wait until all queued work is done or has failed; until then, its tensors must not be freed."""
        if self._stream is not None:
            with contextlib.suppress(RuntimeError):
                self._stream.synchronize()

    def close(self) -> None:
        """Release the stream for other work; not called after a failure, when the state of the stream is unknown."""
        if self._stream is not None:
            _free[self.device].append(self._stream)

    @contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Use this work's own state of the global generators, from which dropout and other random layers draw."""
        cards = cards_of(self.device)
        outside = RandomStates.taken(cards)
        try:
            if self._states is None:
                seed_generators(self._seed, self.device)
            else:
                self._states.restore()
            yield
        finally:
            self._states = RandomStates.taken(cards)
            outside.restore()


@dataclass(frozen=True)
class Mark:
    """A point in the queue of a device.

    Raises:
        DeviceGoneError: by both methods, if the device is lost or in exclusive use by another process.
    """

    event: Waiting
    device: torch.device

    def query(self) -> bool:
        """Whether the device has reached this point."""
        with device_errors(self.device):
            return self.event.query()

    def synchronize(self) -> None:
        """Wait until the device has reached this point."""
        with device_errors(self.device):
            self.event.synchronize()


# Libraries keep scratch memory for each stream that they were used on, so a few streams are reused.
_free: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)


def _borrowed(device: torch.device) -> torch.cuda.Stream:
    free = _free[device]
    return free.pop() if free else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
