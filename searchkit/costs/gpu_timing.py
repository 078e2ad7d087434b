"""A network's forward pass on a card, ready to be repeated: a CUDA graph per input, or eager where that fails.

A small network's kernels take microseconds and their launches from Python take longer: eager runs measure the host. A
graph is launched at once, as a deployed engine would be, and what is left is the card's own time. Inputs take turns, so
that no run finds its own input in the cache; their graphs share one pool of memory.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.runtime.devices import device_errors, is_device_lost, is_device_taken
from searchkit.runtime.gpu_lock import Card, card_of, key_of, turn_on
from searchkit.types import Floats

Block = Callable[[int], float]  # of n runs in a row -> milliseconds of one

BLOCK_MS = 10.0
ENOUGH = 15  # blocks, and so many runs where one takes longer than a block
_WARM_MS = 50.0  # at least, for the clocks to come up
_STEADY = 0.02  # relative range of the last three blocks at which warming up ends
_PATIENCE_MS = 1000.0  # of warming up


@dataclass(frozen=True)
class Timed:
    """Milliseconds of one run, by block ``(blocks,)``, and the number of runs in all of them."""

    blocks: Floats
    n: int


def timed(block: Block, seconds: float) -> Timed:
    """Blocks of about 10 ms, for so many seconds of the card's time and at least fifteen; the warm-up comes on top."""
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
    """Blocks on the current card between two CUDA events, so that the host's clock is not in them."""

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
_WARM_UP = 3  # runs of each input before capture: kernels are loaded and chosen


@dataclass(frozen=True)
class Runs:
    """What may be repeated on a card.

    Attributes:
        run: queues one forward pass, of the next input.
        method: what it is, with the version of torch.
        card: that it runs on.
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
    """What ``measure`` finds of the forward pass of a copy of the network in evaluation mode, alone on the card.

    Args:
        network: left as it is; a copy is run, channels last.
        input_shape: of one image, without the batch.
        device: a CUDA device that is there.
        measure: called once, while the card is held.
        batch: images per run.
        precision: of weights and activations; float32 allows TF32 where torch's settings do.
        graph: True: a CUDA graph or its error; False: eager; None: eager where capture fails, and the method says so.

    Raises:
        DeviceGoneError: the card is lost, or another process has it for itself.
    """
    with device_errors(device):
        card = card_of(device)
        with turn_on(key_of(device)), torch.cuda.device(device), _heuristic_kernels(), torch.inference_mode():
            try:
                return _measured(network, input_shape, device, measure, batch, precision, graph, card)
            finally:  # out here, where no frame holds the graphs and their memory any more
                torch.cuda.empty_cache()


def _measured(
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
    subject = placed(copy.deepcopy(network).eval(), device, dtype)
    inputs = inputs_on_card(input_shape, device, batch, dtype)  # lives as long as the graphs, which hold addresses only
    run, how = _repeatable(subject, inputs, graph)
    return measure(Runs(run, f"torch {torch.__version__} {how}{_tf32(precision)}", card))


def placed(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network itself, moved there, its kernels channels last."""
    moved: nn.Module = network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def inputs_on_card(
    input_shape: Sequence[int], device: torch.device, batch: int, dtype: torch.dtype, n: int = N_INPUTS
) -> list[Tensor]:
    """n standard normal batches ``(batch, *input_shape)``, channels last where they are images; the same every time."""
    drawn = np.random.default_rng(0).standard_normal((n, batch, *input_shape), dtype=np.float32)
    batches = [torch.from_numpy(x).to(device, dtype) for x in drawn]
    return [x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batches]


def _repeatable(network: nn.Module, inputs: Sequence[Tensor], graph: bool | None) -> tuple[Callable[[], object], str]:
    """One run after another, and what it is."""
    _warm_up(network, inputs)  # a network that is broken fails here, with an error of its own
    how = "eager"
    if graph is not False:
        try:
            return in_turn(_captured(network, inputs)), "CUDA graph"
        except Exception as error:
            if graph or is_device_lost(error) or is_device_taken(error):
                raise
            how = f"eager (no CUDA graph: {type(error).__name__})"  # it waits for the card or the host in between
            torch.cuda.synchronize()
    return in_turn([functools.partial(network, x) for x in inputs]), how


def in_turn(runs: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """A function that calls the next one each time, the first again after the last."""
    turns = itertools.cycle(runs)
    return lambda: next(turns)()


@functools.cache  # libraries keep scratch memory for every stream that they were used on
def _side_stream(device: int) -> torch.cuda.Stream:
    """That is warmed up and recorded on."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _warm_up(network: nn.Module, inputs: Sequence[Tensor]) -> None:
    """On the stream that will be recorded on, so that its libraries have their scratch memory there before."""
    side = _side_stream(torch.cuda.current_device())
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            for x in inputs:
                network(x)
    torch.cuda.current_stream().wait_stream(side)


def _captured(network: nn.Module, inputs: Sequence[Tensor]) -> list[Callable[[], object]]:
    pool: Any = torch.cuda.graph_pool_handle()
    side = _side_stream(torch.cuda.current_device())
    graphs = []
    with torch.cuda.stream(torch.cuda.current_stream()):  # which torch.cuda.graph does not restore where it fails
        for x in inputs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool, side, capture_error_mode="thread_local"):  # whatever other threads do
                network(x)
            graphs.append(graph)
    return [graph.replay for graph in graphs]


@contextmanager
def _heuristic_kernels() -> Iterator[None]:
    """cuDNN's choice by rule: choosing by timing, it may choose otherwise the next time, and so differ by more."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _tf32(precision: Precision) -> str:
    return ", TF32 convolutions" if precision == "float32" and torch.backends.cudnn.allow_tf32 else ""
