"""Latencies of several networks measured together, so that they can be compared to fractions of a per cent.

Each is timed in many short repeats, in turn with the others, and the fastest run counts: a neighbour that disturbs the
core for a while disturbs all of them, and of many repeats some are undisturbed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.latency import Run, fastest_of, runner
from searchkit.costs.onnx_session import subject_of
from searchkit.runtime.threads import one_thread
from searchkit.types import Floats

REPEAT = 0.002  # seconds of runs of a network in one round
FEWEST_ROUNDS = 10


def latencies_together(networks: Sequence[nn.Module], input_shape: Sequence[int], seconds: float = 0.1) -> Floats:
    """``(n,)`` milliseconds of a forward pass at batch 1 on one thread of the CPU: the fastest of interleaved repeats.

    ONNX Runtime runs them, or eager torch where it cannot run one of them.

    Args:
        seconds: of timing for each network.
    """
    x = np.random.default_rng(0).standard_normal((1, *input_shape), dtype=np.float32)
    best = np.full(len(networks), np.inf)
    with one_thread(), torch.inference_mode():
        runs = _runs(networks, x, None) or _runs(networks, x, "torch")
        assert runs is not None
        ends = time.perf_counter() + seconds * len(networks)
        rounds = 0
        order = np.random.default_rng(0)
        while rounds < FEWEST_ROUNDS or time.perf_counter() < ends:
            for i in order.permutation(len(runs)):
                best[i] = min(best[i], fastest_of(runs[i], REPEAT))
            rounds += 1
    return best


def _runs(networks: Sequence[nn.Module], x: npt.NDArray[np.float32], method: str | None) -> list[Run] | None:
    """What runs each network; None where one method does not run all of them."""
    runs, methods = [], set()
    for network in networks:
        with subject_of(network, x) as subject:
            run, ran_by = runner(subject, x, method)
        runs.append(run)
        methods.add(ran_by)
        if len(methods) > 1:
            return None
    return runs
