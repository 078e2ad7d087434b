"""The global random states of torch, numpy and Python: seeded for some work, and left as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from searchkit.random_state import RandomStates

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Start the generators of torch (CPU and ``device``), numpy and Python from a seed; after it all are as before.

    ``torch.manual_seed`` would also seed the generators of all other cards, and of a card that is used later.
    """
    before = RandomStates.taken(cards_of(device))
    try:
        seed_generators(seed, device)
        yield
    finally:
        before.restore()


def seed_generators(seed: int, device: torch.device = CPU) -> None:
    """Seed torch's generators of the CPU and of ``device``, numpy's and Python's, and no other."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def cards_of(device: torch.device) -> list[int]:
    """The index of the device where it is a GPU."""
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]
