"""Steps of gradient descent from fixed inputs: one by one, or one recorded and replayed, with the same result."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from searchkit.runtime.cuda_graphs import Capture, Work, captured, draws_on_host, recorded

WORTH_IT = 3  # remaining steps from which recording one pays


def last_errors(
    maps: Callable[[], list[Tensor]],
    errors: Callable[[list[Tensor]], Tensor],
    optimiser: Callable[[], torch.optim.Optimizer],
    steps: int,
    device: torch.device,
    capture: Capture | None,
) -> list[float]:
    """The errors at the last of ``steps`` forward passes; after each of the others the weights are updated.

    The first step always runs from Python: it loads the libraries that recording needs and creates the optimiser's
    state, so that every later step is the same work on the same tensors. Where a step cannot be recorded (it waits for
    a value, or draws random numbers on the CPU), all run from Python.

    Args:
        maps: the network's forward pass.
        errors: ``(k,)`` of what ``maps`` gave.
        optimiser: makes the optimiser, after the first errors.
        device: of all tensors.
        capture: records a step, see :func:`searchkit.runtime.cuda_graphs.captured`; None: every step runs from
            Python.
    """
    if steps == 1:
        return _seen(maps, errors)
    with torch.enable_grad():
        first: list[Tensor] = []
        if draws_on_host(lambda: first.extend(maps()), device):
            capture = None
        found = errors(first)
        sgd = optimiser()
        _learn(found, sgd)
        told = torch.zeros_like(found, requires_grad=False)
        first.clear()
        del found

        def step() -> None:
            found = errors(maps())
            told.copy_(found.detach())
            _learn(found, sgd)

        repeat = recorded(step, capture) if capture is not None and steps - 1 >= WORTH_IT else None
        if repeat is not None:
            for _ in range(steps - 1):
                repeat()  # the last one updates the weights too, which are not used any more
            return told.tolist()
        for _ in range(steps - 2):
            _learn(errors(maps()), sgd)
    return _seen(maps, errors)


@contextmanager
def on_a_stream(device: torch.device) -> Iterator[Capture]:
    """A stream on which work can be recorded, and what records it there; what was queued before comes before it.

    All recordings of a thread share memory: one is not repeated any more when the next is made.
    """
    own = _own(device, threading.get_ident())
    around = torch.cuda.current_stream(device)
    own.stream.wait_stream(around)
    try:
        with torch.cuda.device(device), torch.cuda.stream(own.stream):
            yield own.capture
    finally:
        around.wait_stream(own.stream)


@dataclass
class _Own:
    """A thread's stream on one card, and its last recording: the memory that they share is freed with the last."""

    stream: torch.cuda.Stream
    pool: Any
    last: Work | None = None

    def capture(self, work: Work) -> Work:
        try:
            repeat = captured(work, self.pool)
        except BaseException:
            if self.last is None:  # the pool went with the recording that failed
                self.pool = torch.cuda.graph_pool_handle()
            raise
        self.last = repeat
        return repeat


@functools.cache  # libraries keep scratch memory for every stream that they were used on
def _own(device: torch.device, thread: int) -> _Own:
    return _Own(torch.cuda.Stream(device), torch.cuda.graph_pool_handle())  # type: ignore[no-untyped-call]


def _seen(maps: Callable[[], list[Tensor]], errors: Callable[[list[Tensor]], Tensor]) -> list[float]:
    with torch.no_grad():
        return errors(maps()).tolist()


def _learn(errors: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    errors.sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
