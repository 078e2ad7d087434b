"""Which card each worker process of this machine works on: its own where there are enough, else one that it shares.

A worker is shown one card only, before anything of CUDA is loaded there, so that "cuda" is that card for whatever runs
in it. Nobody numbers the workers of a pool: each takes the first place that none of the others holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"

_place: FileLock | None = None  # of this process; the system frees it when the process ends, however it ends


def visible_cards() -> tuple[str, ...]:
    """The cards that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(given[:n]) if given else tuple(str(i) for i in range(n))


def take_card(cards: Sequence[str], folder: Path) -> str:
    """Show this process one card only: that of the first place in the folder that is free, and now its own.

    Args:
        cards: as of :func:`visible_cards`; with more places than cards, cards are shared evenly.
        folder: of the pool's own, the same for all its workers.
    """
    global _place
    number = 0
    while True:
        lock = FileLock(folder / f"{number}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            number += 1
            continue
        _place = lock
        os.environ[VISIBLE] = cards[number % len(cards)]
        return os.environ[VISIBLE]
