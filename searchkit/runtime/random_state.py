"""torch's random state: seeded for some work, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Start torch's generators of the CPU and of ``device`` from a seed inside; after it both are as they were.

    ``torch.manual_seed`` would also seed the generators of all other cards, and of a card that is used later.
    """
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        seed_generators(seed, device)
        yield


def seed_generators(seed: int, device: torch.device = CPU) -> None:
    """Seed torch's generators of the CPU and of ``device``, and no other."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
