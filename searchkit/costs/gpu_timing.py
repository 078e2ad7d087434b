"""Timing of a network's forward pass on a card: as a CUDA graph per input, or in eager torch where that fails.

A small network's kernels take microseconds, and launching each of them from Python takes longer, so eager runs measure
the host. A graph needs a single launch, as a deployed engine does, and its time is that of the card. Several inputs are
used in turn, so that no run finds its input in the cache; their graphs share one memory pool.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.runtime.copies import copied
from searchkit.runtime.cuda_graphs import captured_in_turn
from searchkit.runtime.devices import device_errors, format_of, is_device_lost, is_device_taken
from searchkit.runtime.gpu_lock import Card, card_of, key_of, measuring_on
from searchkit.space.inputs import fixed_noise
from searchkit.types import Floats

Block = Callable[[int], float]  # makes n runs without pause, and returns the mean milliseconds of one

BLOCK_MS = 10.0
ENOUGH = 15  # blocks at least; a block is a single run where that takes 10 ms or more
_WARM_MS = 50.0  # of warm-up at least, until the card's clock has risen
_STEADY = 0.02  # relative range of the last three blocks below which the warm-up ends
_PATIENCE_MS = 1000.0  # of warm-up at most


@dataclass(frozen=True)
class Timed:
    """Mean milliseconds of one run in each block, ``(blocks,)``, and the number of runs in all blocks."""

    blocks: Floats
    n: int


def timed(block: Block, seconds: float) -> Timed:
    """Time blocks of about 10 ms after a warm-up: at least 15, and for at least ``seconds`` of the card's time."""
    n, spent = 1, 0.0
    latest: deque[float] = deque(maxlen=3)
    while spent < _PATIENCE_MS:
        ms = block(n)
        spent += ms * n
        latest.append(ms)
        steady = len(latest) == latest.maxlen and max(latest) <= (1 + _STEADY) * min(latest)
        if steady and spent >= _WARM_MS:
            break
        n = max(1, round(BLOCK_MS / max(ms, 1e-4)))
    blocks: list[float] = []
    while len(blocks) < ENOUGH or sum(blocks) * n < seconds * 1e3:
        blocks.append(block(n))
    return Timed(np.array(blocks), n * len(blocks))


def on_events(run: Callable[[], object]) -> Block:
    """Time blocks on the current card between two CUDA events, independently of the host's clock."""

    def block(n: int) -> float:
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        start.record()
        for _ in range(n):
            run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / n

    return block


T = TypeVar("T")
Precision = Literal["float32", "bfloat16"]

N_INPUTS = 4
_WARM_UP = 3  # runs of each input before capture, in which kernels are loaded and chosen


@dataclass(frozen=True)
class Runs:
    """A forward pass that can be repeated on a card.

    Attributes:
        run: queues one forward pass of the next input.
        method: CUDA graph or eager, with the version of torch.
        card: the card that it runs on.
    """

    run: Callable[[], object]
    method: str
    card: Card


def measured_on_card(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    measure: Callable[[Runs], T],
    *,
    batch: int = 1,
    precision: Precision = "float32",
    graph: bool | None = None,
) -> T:
    """Call ``measure`` on the forward pass of a copy of the network in evaluation mode, and return its result.

    No other measurement of this user runs on the card in the meantime.

    Args:
        network: not changed; a copy is run, in channels-last format.
        input_shape: of one image, without the batch.
        device: an available CUDA device.
        measure: called once, while the card is locked.
        batch: images per run.
        precision: of weights and activations; float32 allows TF32 where torch's settings do.
        graph: True: a CUDA graph, and an error where it cannot be captured; False: eager; None: eager where capture
            fails, which ``Runs.method`` then says.

    Raises:
        DeviceGoneError: the card is lost, or another process has exclusive use of it.
    """
    with device_errors(device):
        card = card_of(device)
        with measuring_on(key_of(device)), torch.cuda.device(device), _heuristic_kernels(), torch.inference_mode():
            try:
                return _measure_runs(network, input_shape, device, measure, batch, precision, graph, card)
            finally:  # here, because no frame refers to the graphs and their memory any more
                torch.cuda.empty_cache()


def _measure_runs(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    measure: Callable[[Runs], T],
    batch: int,
    precision: Precision,
    graph: bool | None,
    card: Card,
) -> T:
    dtype = getattr(torch, precision)
    subject = network_on_card(copied(network).eval(), device, dtype)
    inputs = inputs_on_card(input_shape, device, batch, dtype)  # must outlive the graphs, which store addresses only
    run, how = _repeatable(subject, inputs, graph)
    return measure(Runs(run, f"torch {torch.__version__} {how}{_tf32(precision)}", card))


def network_on_card(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network itself, moved to the card, with its weights in channels-last format."""
    moved: nn.Module = network.to(device, dtype, memory_format=format_of(network, device))  # type: ignore[call-overload]
    return moved


def inputs_on_card(
    input_shape: Sequence[int], device: torch.device, batch: int, dtype: torch.dtype, n: int = N_INPUTS
) -> list[Tensor]:
    """n standard normal batches ``(batch, *input_shape)``, images in channels-last format; the same in every call."""
    drawn = torch.from_numpy(fixed_noise(n * batch, input_shape)).reshape(n, batch, *input_shape)
    batches = [x.to(device, dtype) if x.is_floating_point() else x.to(device) for x in drawn]
    return [x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batches]


def _repeatable(network: nn.Module, inputs: Sequence[Tensor], graph: bool | None) -> tuple[Callable[[], object], str]:
    """A function that queues one run in each call, and its method."""
    _warm_up(network, inputs)  # a broken network fails here, with its own error
    how = "eager"
    if graph is not False:
        try:
            return in_turn(_captured(network, inputs)), "CUDA graph"
        except Exception as error:
            if graph or is_device_lost(error) or is_device_taken(error):
                raise
            how = f"eager (no CUDA graph: {type(error).__name__})"  # for instance because it waits for a value
            torch.cuda.synchronize()
    return in_turn([functools.partial(network, x) for x in inputs]), how


def in_turn(runs: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """A function that calls the given ones in turn, and begins again after the last."""
    turns = itertools.cycle(runs)
    return lambda: next(turns)()


@functools.cache  # libraries keep scratch memory for each stream that they were used on
def _side_stream(device: int) -> torch.cuda.Stream:
    """The stream on which networks are warmed up and recorded."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _warm_up(network: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Run on the stream that will be recorded, so that libraries allocate their scratch memory there beforehand."""
    side = _side_stream(torch.cuda.current_device())
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            for x in inputs:
                network(x)
    torch.cuda.current_stream().wait_stream(side)


def _captured(network: nn.Module, inputs: Sequence[Tensor]) -> list[Callable[[], object]]:
    side = _side_stream(torch.cuda.current_device())
    side.wait_stream(torch.cuda.current_stream())

    def run(x: Tensor) -> None:
        network(x)

    with torch.cuda.stream(side):
        return list(captured_in_turn([functools.partial(run, x) for x in inputs]))


@contextmanager
def _heuristic_kernels() -> Iterator[None]:
    """Let cuDNN choose kernels by heuristics: a choice by timing may differ between measurements, which adds noise."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _tf32(precision: Precision) -> str:
    return ", TF32 convolutions" if precision == "float32" and torch.backends.cudnn.allow_tf32 else ""
