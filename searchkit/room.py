"""How much memory to keep free for what was predicted, learned from what was taken."""

from __future__ import annotations

MARGIN = 1.3  # of the first: allocators round up, and kernels have scratch memory that no prediction knows of
CAUTION = 1.25  # what was too little is multiplied by


class Room:
    """Turns predicted bytes into bytes to keep free: by the largest ratio of taken to predicted that was seen."""

    def __init__(self) -> None:
        self.ratio = MARGIN

    def needed(self, predicted: int) -> int:
        """Bytes that should be free."""
        return round(self.ratio * predicted)

    def learn(self, predicted: int, taken: int) -> None:
        """A candidate took so many bytes; less than nothing where others gave back more in the meantime."""
        if predicted > 0:
            self.ratio = max(self.ratio, taken / predicted)

    def too_little(self) -> None:
        """A candidate ran out of memory beside others."""
        self.ratio *= CAUTION
