"""Work that is the same every time, recorded once on a card and launched as a whole after: CUDA graphs.

A small network's kernels take microseconds and their launches from Python take longer. A graph is launched at once.
What is recorded reads and writes the same tensors each time, so whatever changes between two runs is a number in one of
them: a Python number is the one of the recording for ever.
"""

from __future__ import annotations

import contextlib
import gc
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

Work = Callable[[], None]
Capture = Callable[[Work], Work]  # work -> what repeats it; see :func:`captured`


def captured(work: Work) -> Work:
    """Record work on the current stream of a card; what is returned queues the same kernels on the current stream.

    Recording runs none of them, and nothing else may use the device in the meantime. Before it, the same work is to
    have run once on that stream, which is not the default one: libraries are loaded and set themselves up in their
    first use, which cannot be recorded. What the work allocates belongs to the graph, and is free again when the
    returned function is dropped.

    Raises:
        RuntimeError: the work cannot be recorded, for instance because it waits for a value; the random state is as it
            was.
    """
    graph = torch.cuda.CUDAGraph()
    torch.cuda.current_stream().synchronize()
    with _no_collection():  # which might free something on the device in the middle
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            work()
        except BaseException:
            with contextlib.suppress(Exception):  # says only that there was an error before
                graph.capture_end()
            raise
        graph.capture_end()
    return graph.replay


def draws_outside_torch(work: Work) -> bool:
    """Run work, and tell whether it drew random numbers of Python or of numpy, which a recording would repeat."""
    before = random.getstate(), _numpy_state()
    work()
    return before != (random.getstate(), _numpy_state())


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
