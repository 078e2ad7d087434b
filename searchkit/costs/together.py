"""Latencies of several networks measured together, so that they can be compared to fractions of a per cent.

Each is timed in many short repeats, in turn with the others, and the fastest run counts: a neighbour that disturbs the
core for a while disturbs all of them, and of many repeats some are undisturbed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.cpu_timing import Run, fastest_of
from searchkit.costs.latency import Latency, runner
from searchkit.costs.onnx_session import file_runner, onnx_runner, subject_of
from searchkit.runtime.processor import cpu_name, speed
from searchkit.runtime.threads import one_thread
from searchkit.space.inputs import fixed_noise
from searchkit.space.precision_space import precisions_of
from searchkit.types import Floats

REPEAT = 0.002  # seconds of runs of a network in one round
FEWEST_ROUNDS = 10
PARTS = 5  # of a measurement, whose differences tell its spread


def latencies_together(networks: Sequence[nn.Module], input_shape: Sequence[int], seconds: float = 0.1) -> Floats:
    """``(n,)`` milliseconds of a forward pass at batch 1 on one thread of the CPU: the fastest of interleaved repeats.

    ONNX Runtime runs them, or eager torch where it cannot run one of them.

    Args:
        seconds: of timing for each network.
    """
    best: Floats = twice_together([(network, input_shape) for network in networks], seconds)[0].min(axis=0)
    return best


def twice_together(
    modules: Sequence[tuple[nn.Module, Sequence[int]]], seconds: float = 0.1, mixed: bool = False
) -> tuple[Floats, str]:
    """``(2, n)`` milliseconds of modules timed in turn, measured twice one after the other, and how they were timed.

    Args:
        modules: each with the shape of its input, without the batch.
        seconds: of timing for each, in both together.
        mixed: blocks have a precision, and are timed in it; all in ONNX Runtime.

    Raises:
        CandidateError: a module has no file in its precisions.
    """
    pairs = [(module, fixed_noise(1, shape)) for module, shape in modules]
    with one_thread(), torch.inference_mode():
        found = _mixed_runs(pairs) if mixed else _runs(pairs, None) or _runs(pairs, "torch")
        assert found is not None
        halves = np.stack([fastest_together(found[0], seconds / 2) for _ in range(2)])
        return halves, f"{found[1]} on {cpu_name()}"


def latency_beside(
    network: nn.Module,
    known: nn.Module,
    known_ms: float,
    input_shape: Sequence[int],
    method: str | None = None,
    seconds: float = 1.0,
) -> Latency:
    """The latency of a network as a share of that of another, which is timed in turn with it.

    Args:
        known: the other network.
        known_ms: its latency, as it was measured before.
        method: of both, see :func:`searchkit.costs.latency.latency`; None: ONNX Runtime, or eager torch where it cannot
            run one of them.
        seconds: of timing for each of the two.
    """
    x = fixed_noise(1, input_shape)
    with one_thread(), torch.inference_mode():
        pairs = [(network, x), (known, x)]
        found = _runs(pairs, method) or _runs(pairs, "torch")
        assert found is not None
        runs, method = found
        parts = np.stack([fastest_together(runs, seconds / PARTS) for _ in range(PARTS)])
    best, shares, now = parts.min(axis=0), parts[:, 0] / parts[:, 1], speed()
    share = float(best[0] / best[1])
    return Latency(
        share * known_ms, float(np.ptp(shares)) / share, PARTS, f"{method}, in turn with the network that was given",
        cpu_name(), 1, 1, float(np.median(np.abs(shares - np.median(shares)))) * known_ms,
        conditions=now.conditions, mhz=now.mhz,
    )  # fmt: skip


def fastest_together(runs: Sequence[Run], seconds: float) -> Floats:
    """``(n,)`` milliseconds of the fastest run of each, after ``seconds`` for each."""
    best = np.full(len(runs), np.inf)
    ends = time.perf_counter() + seconds * len(runs)
    rounds = 0
    order = np.random.default_rng(0)
    while rounds < FEWEST_ROUNDS or time.perf_counter() < ends:
        for i in order.permutation(len(runs)):
            best[i] = min(best[i], fastest_of(runs[i], REPEAT))
        rounds += 1
    return best


def _runs(
    modules: Sequence[tuple[nn.Module, npt.NDArray[np.float32]]], method: str | None
) -> tuple[list[Run], str] | None:
    """What runs each module on its input, and the name of what does; None where one method does not run all of them."""
    runs, methods = [], dict[str, None]()
    for module, x in modules:
        with subject_of(module, x) as subject:
            run, ran_by = runner(subject, x, method)
        runs.append(run)
        methods[ran_by] = None
        if len(methods) > 1:
            return None
    return runs, next(iter(methods))


def _mixed_runs(modules: Sequence[tuple[nn.Module, npt.NDArray[np.float32]]]) -> tuple[list[Run], str]:
    """What runs each module on its input, its blocks in the precisions that they have."""
    from searchkit.costs.int8_file import mixed_file

    runs = [
        file_runner(mixed_file(module, x), x) if precisions_of(module) else onnx_runner(module, x)
        for module, x in modules
    ]
    return runs, f"onnxruntime {version('onnxruntime')}"
