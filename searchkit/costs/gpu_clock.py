"""Time of repeated runs on a card: warmed up until it is steady, then block after block between two events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

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
