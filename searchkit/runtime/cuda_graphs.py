"""CUDA graphs: work that repeats is recorded once on a card, and then launched as a whole.

A small network's kernels take microseconds, and launching each of them from Python takes longer. A graph needs a single
launch. It reads and writes the same tensors each time, so a value that changes between runs must be stored in one of
them: a Python number keeps the value that it had during recording.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from searchkit.errors import first_line_said, is_out_of_memory
from searchkit.runtime.devices import is_device_lost, is_device_taken
from searchkit.runtime.torch_compat import begin_allocations, end_allocations, release_pool

Work = Callable[[], None]
Capture = Callable[[Work], Work]  # work -> a function that repeats it; see :func:`captured`

ENOUGH = 3  # failed recordings after which a process tries no more: each may leak memory until the process ends

log = logging.getLogger("searchkit")
_failed = 0


def recorded(work: Work, capture: Capture) -> Work | None:
    """A function that repeats the work, or None where the work cannot be recorded; then it has had no effect.

    Raises:
        Exception: the device is out of memory, lost, or in exclusive use by another process.
    """
    try:
        return capture(work)
    except Exception as error:
        if is_out_of_memory(error) or is_device_lost(error) or is_device_taken(error):
            raise
        log.info("a step cannot be recorded, so each is made from Python: %s", first_line_said(error))
        return None


def captured(work: Work, pool: object = None) -> Work:
    """Record work on a card's current stream, and return a function that queues the same kernels on the current stream.

    Recording does not run the kernels, and nothing else may use the device in the meantime. The current stream must not
    be the default one, and the same work must have run once on it before: libraries are loaded and initialised at their
    first use, which cannot be recorded. Memory that the work allocates belongs to the graph, and is freed when the
    returned function is dropped.

    Args:
        pool: from ``torch.cuda.graph_pool_handle()``: memory shared with earlier recordings. At least one of these
            must still exist, and none of them may be repeated any more.

    Raises:
        RuntimeError: the work cannot be recorded, for instance because it waits for a value. The random state is
            left as it was.
    """
    global _failed
    if _failed >= ENOUGH:
        raise RuntimeError(f"{_failed} recordings failed in this process, and no more are tried")
    where = torch.cuda.graph_pool_handle() if pool is None else pool
    try:
        return _captured(work, where, shared=pool is not None)
    except BaseException as error:
        _failed += not is_out_of_memory(error)
        raise


def captured_in_turn(works: Sequence[Work]) -> list[Work]:
    """Record several works as :func:`captured` does, for them to be repeated one after the other in this order.

    What one allocates is free when it is done, so they share their memory. A failure does not count towards those after
    which a process records no more.

    Raises:
        RuntimeError: one of them cannot be recorded.
    """
    pool = torch.cuda.graph_pool_handle()
    repeats: list[Work] = []
    for work in works:
        repeats.append(_captured(work, pool, shared=bool(repeats)))
    return repeats


def _captured(work: Work, where: Any, shared: bool) -> Work:
    """Record work with its memory in the pool ``where``, which earlier recordings may share."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.current_stream().synchronize()
    with _no_collection():  # garbage collection might free device memory during the recording
        graph.capture_begin(where, capture_error_mode="thread_local")
        try:
            work()
            graph.capture_end()  # raises also where the work suppressed an error
        except BaseException:
            _end_after_failure(graph)
            _give_back(where, shared)
            raise
    return graph.replay


def _end_after_failure(graph: torch.cuda.CUDAGraph) -> None:
    """End a failed recording, and make torch's generator usable again: before torch 2.13 it raises from then on.

    A recording that succeeds resets the generator. So would a new generator state, but existing graphs draw from the
    state that they were recorded with.
    """
    with contextlib.suppress(Exception):  # only repeats that there was an error
        graph.capture_end()
    with contextlib.suppress(Exception):
        graph.reset()
    with contextlib.suppress(Exception):
        there, right = torch.zeros(1, device="cuda"), torch.cuda.CUDAGraph()
        right.capture_begin(capture_error_mode="thread_local")
        there.zero_()
        right.capture_end()


def _give_back(pool: Any, shared: bool) -> None:
    """Release the memory pool of a failed recording: up to torch 2.13 its memory would not be freed otherwise.

    Before 2.12 the allocator would also assume that the recording is still running, and never empty its cache. Where
    torch has released the pool itself, or has renamed the functions used here, nothing happens.
    """
    device = torch.cuda.current_device()
    with contextlib.suppress(Exception):
        end_allocations(device, pool)
    if shared:  # the pool is freed with the recordings that share it
        return
    with contextlib.suppress(Exception):
        begin_allocations(device, pool)  # raises where the pool has no user any more
        end_allocations(device, pool)
        for _ in ("taken here", "taken by the recording"):
            release_pool(device, pool)


def draws_on_host(work: Work, device: torch.device) -> bool:
    """Run work, and return whether it drew random numbers on the host, which a recording would repeat unchanged.

    These are numbers from Python's and numpy's generators and, for work on a card, from torch's CPU generator.
    """

    def states() -> list[Any]:
        on_host = torch.get_rng_state().numpy().tobytes() if device.type != "cpu" else b""
        return [random.getstate(), _numpy_state(), on_host]

    before = states()
    work()
    return before != states()


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 - read only, nothing is drawn
    return state["key"].tobytes(), int(state["pos"])


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
