"""How much memory to keep free for what was predicted, learned from what was taken."""

from __future__ import annotations

from collections import deque

MARGIN = 1.5  # before anything is known: allocators round up, and kernels have scratch memory that nobody predicts
SCRATCH = 64 * 2**20  # bytes of it that the smallest network may take
KNOWN = 5  # candidates that took what they took, from which only they are believed
LATELY = 32  # of them are remembered
CAUTION = 1.25  # what was too little is multiplied by


class Room:
    """Turns predicted bytes into bytes to keep free: by the largest ratio of taken to predicted that was seen lately.

    Args:
        scratch: bytes that are added to every prediction.
    """

    def __init__(self, scratch: int = SCRATCH) -> None:
        self._scratch = scratch
        self._ratios: deque[float] = deque(maxlen=LATELY)

    def needed(self, predicted: int) -> int:
        """Bytes that should be free."""
        ratios = [*self._ratios, *([MARGIN] if len(self._ratios) < KNOWN else [])]
        return round(max(ratios) * (predicted + self._scratch))

    def learn(self, predicted: int, taken: int) -> None:
        """A candidate took so many bytes."""
        self._ratios.append(taken / max(1, predicted + self._scratch))

    def too_little(self) -> None:
        """A candidate ran out of memory beside others."""
        self._ratios.append(CAUTION * max([MARGIN, *self._ratios]))
