"""Work that is the same every time, recorded once on a card and launched as a whole after: CUDA graphs.

A small network's kernels take microseconds and their launches from Python take longer. A graph is launched at once.
What is recorded reads and writes the same tensors each time, so whatever changes between two runs is a number in one of
them: a Python number is the one of the recording for ever.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from searchkit.errors import first_line_said, is_out_of_memory
from searchkit.runtime.devices import is_device_lost, is_device_taken
from searchkit.runtime.torch_compat import begin_allocations, end_allocations, release_pool

Work = Callable[[], None]
Capture = Callable[[Work], Work]  # work -> what repeats it; see :func:`captured`

ENOUGH = 3  # recordings that failed in a process, after which no more are tried: each may cost memory for ever

log = logging.getLogger("searchkit")
_failed = 0


def recorded(work: Work, capture: Capture) -> Work | None:
    """What repeats work; None where it cannot be recorded, and nothing has happened.

    Raises:
        Exception: the device has no memory left, or is lost or taken.
    """
    try:
        return capture(work)
    except Exception as error:
        if is_out_of_memory(error) or is_device_lost(error) or is_device_taken(error):
            raise
        log.info("a step cannot be recorded, so each is made from Python: %s", first_line_said(error))
        return None


def captured(work: Work, pool: Any = None) -> Work:
    """Record work on the current stream of a card; what is returned queues the same kernels on the current stream.

    Recording runs none of them, and nothing else may use the device in the meantime. Before it, the same work is to
    have run once on that stream, which is not the default one: libraries are loaded and set themselves up in their
    first use, which cannot be recorded. What the work allocates belongs to the graph, and is free again when the
    returned function is dropped.

    Args:
        pool: of ``torch.cuda.graph_pool_handle()``: memory shared with earlier recordings, at least one of which is
            still there, and none of which is repeated any more.

    Raises:
        RuntimeError: the work cannot be recorded, for instance because it waits for a value; the random state is as it
            was.
    """
    global _failed
    if _failed >= ENOUGH:
        raise RuntimeError(f"{_failed} recordings failed in this process, and no more are tried")
    graph = torch.cuda.CUDAGraph()
    where = torch.cuda.graph_pool_handle() if pool is None else pool
    torch.cuda.current_stream().synchronize()
    with _no_collection():  # which might free something on the device in the middle
        graph.capture_begin(where, capture_error_mode="thread_local")
        try:
            work()
            graph.capture_end()  # also says so where the work met an error and kept it to itself
        except BaseException as error:
            _failed += not is_out_of_memory(error)
            _end_after_failure(graph)
            _give_back(where, shared=pool is not None)
            raise
    return graph.replay


def _end_after_failure(graph: torch.cuda.CUDAGraph) -> None:
    """Leave the recording, and let torch's generator draw again, which before torch 2.13 it does not.

    A recording that succeeds puts that right. A new state for the generator would, too, but the recordings that are
    repeated meanwhile draw from the one they know.
    """
    with contextlib.suppress(Exception):  # says only that there was an error before
        graph.capture_end()
    with contextlib.suppress(Exception):
        graph.reset()
    with contextlib.suppress(Exception):
        there, right = torch.zeros(1, device="cuda"), torch.cuda.CUDAGraph()
        right.capture_begin(capture_error_mode="thread_local")
        there.zero_()
        right.capture_end()


def _give_back(pool: Any, shared: bool) -> None:
    """Leave the pool of a recording that failed: up to torch 2.13 its memory would be lost to the process.

    Before 2.12 the allocator would even believe for ever that something is being recorded, and refuse to empty its
    cache. Where torch has done all this itself, or has other names for it, nothing happens here.
    """
    device = torch.cuda.current_device()
    with contextlib.suppress(Exception):
        end_allocations(device, pool)
    if shared:  # it goes with the recordings that share it
        return
    with contextlib.suppress(Exception):
        begin_allocations(device, pool)  # raises where nobody has the pool any more
        end_allocations(device, pool)
        for _ in ("taken here", "taken by the recording"):
            release_pool(device, pool)


def draws_elsewhere(work: Work, device: torch.device) -> bool:
    """Run work, and tell whether it drew random numbers that a recording would repeat.

    Those are Python's and numpy's and, for work on a card, those of torch's generator of the CPU.
    """

    def states() -> list[Any]:
        on_host = torch.get_rng_state().numpy().tobytes() if device.type != "cpu" else b""
        return [random.getstate(), _numpy_state(), on_host]

    before = states()
    work()
    return before != states()


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 - looked at, not drawn from
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
