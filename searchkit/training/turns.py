"""What each of several pieces of work on one device needs in its turns, to be as if it were alone there."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from searchkit.runtime.devices import device_errors
from searchkit.runtime.gpu_lock import give_way, key_of
from searchkit.runtime.threads import one_thread

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
    """Take all turns, one after the other, and return the result of the last."""
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


STEPS = 8  # of a training that a turn on a card queues at first
MOST = 64  # that it may come to
SECONDS = 0.02  # that a turn on a CPU takes, once it has done a step


class Turns:
    """What work in turns needs in each of them: its stream on a card, and torch's random state as it left it.

    Args:
        seed: of torch's generators at the first turn.

    Raises:
        DeviceGoneError: the device is lost or taken.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self._seed = seed
        self._states: tuple[torch.Tensor, torch.Tensor | None] | None = None
        on_card = device.type == "cuda"
        with device_errors(device):  # a process may meet its card here for the first time
            self._stream = _borrowed(device) if on_card else None
            self._card = key_of(device) if on_card else ""
        self._steps = STEPS

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One turn; torch's random state, threads and stream are as they were after it.

        Raises:
            DeviceGoneError: instead of what is raised inside where the device is lost or taken.
        """
        with ExitStack() as stack:
            stack.enter_context(device_errors(self.device))
            if self._stream is None:
                stack.enter_context(one_thread())
            else:
                give_way(self._card)  # to whoever measures there
                stack.enter_context(torch.cuda.device(self.device))
                stack.enter_context(torch.cuda.stream(self._stream))
            stack.enter_context(self._own_random_state())
            yield

    def over(self, n: int, since: float) -> bool:
        """Whether a turn should end that began at ``since`` (``time.perf_counter``) and has made n steps."""
        return n >= self._steps if self._stream is not None else time.perf_counter() - since >= SECONDS

    def follow(self, last: Waiting | None) -> None:
        """Make turns longer where the card is done with the last one (:meth:`mark`) before the next begins.

        The card has nothing to do while this process builds, records or scores another network: what is queued is to
        last for so long. Where steps are long, a few of them do.
        """
        if last is not None and last.query():
            self._steps = min(2 * self._steps, MOST)

    def mark(self) -> Waiting | None:
        """The end of what was queued so far; None on a CPU, where nothing is queued."""
        if self._stream is None:
            return None
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return Mark(event, self.device)

    def wait(self) -> None:
        """Until everything that was queued is done, or failed: nothing of it may go before."""
        if self._stream is not None:
            with contextlib.suppress(RuntimeError):
                self._stream.synchronize()

    def close(self) -> None:
        """Leave the stream to the next work in turns; not called after a failure, since its state is then unknown."""
        if self._stream is not None:
            _free[self.device].append(self._stream)

    @contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Dropout and other random layers draw from the global generators."""
        outside = self._random_states()
        if self._states is None:
            torch.default_generator.manual_seed(self._seed)
            if self._stream is not None:
                torch.cuda.manual_seed(self._seed)
        else:
            self._restore(self._states)
        try:
            yield
        finally:
            self._states = self._random_states()
            self._restore(outside)

    def _random_states(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        on_card = None if self._stream is None else torch.cuda.get_rng_state(self.device)
        return torch.get_rng_state(), on_card

    def _restore(self, states: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        torch.set_rng_state(states[0])
        if states[1] is not None:
            torch.cuda.set_rng_state(states[1], self.device)


@dataclass(frozen=True)
class Mark:
    """A point in what a device was given, whose errors are those of the device and not of the work in turns.

    Raises:
        DeviceGoneError: when asked, where the device is lost or taken.
    """

    event: Waiting
    device: torch.device

    def query(self) -> bool:
        """Whether the device has come to it."""
        with device_errors(self.device):
            return self.event.query()

    def synchronize(self) -> None:
        """Wait until it has."""
        with device_errors(self.device):
            self.event.synchronize()


# Libraries keep scratch memory for every stream that they were used on: few streams, used again and again.
_free: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)


def _borrowed(device: torch.device) -> torch.cuda.Stream:
    free = _free[device]
    return free.pop() if free else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
