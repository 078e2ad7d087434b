"""Assignment of worker processes of this machine to cards: one card each if there are enough, else shared evenly.

CUDA_VISIBLE_DEVICES is set in a worker to a single card before CUDA is loaded, so that "cuda" is that card for all code
in it. The workers of a pool have no numbers, so each takes the first place whose lock no other worker holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"

_place: FileLock | None = None  # lock of this process, which the system releases when the process ends in any way


def visible_cards() -> tuple[str, ...]:
    """The cards that this process may use, by their names in CUDA_VISIBLE_DEVICES."""
    import torch

    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(given[:n]) if given else tuple(str(i) for i in range(n))


def take_card(cards: Sequence[str], folder: Path) -> str:
    """Take the first free place in the folder, make its card the only visible one, and return the card's name.

    Args:
        cards: from :func:`visible_cards`; with more workers than cards, cards are shared evenly.
        folder: for the locks of the places; each pool has its own, which all its workers use.
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
