"""The global random states of torch, numpy and Python: seeded for some work, and left as they were around it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RandomStates:
    """What the global generators were at one moment.

    Attributes:
        cpu: of torch.
        cards: of torch's generators of GPUs, by their index.
        numpy: of ``numpy.random``.
        python: of ``random``.
    """

    cpu: torch.Tensor
    cards: dict[int, torch.Tensor]
    numpy: Any
    python: Any

    @classmethod
    def taken(cls, cards: Iterable[int]) -> RandomStates:
        """The states of now."""
        import torch

        on_cards = {card: torch.cuda.get_rng_state(card) for card in cards}
        return cls(torch.get_rng_state(), on_cards, np.random.get_state(legacy=False), random.getstate())  # noqa: NPY002

    def restore(self) -> None:
        """Have the generators go on from here."""
        import torch

        torch.set_rng_state(self.cpu)
        for card, state in self.cards.items():
            torch.cuda.set_rng_state(state, card)
        np.random.set_state(self.numpy)  # noqa: NPY002 - the global state is what this is for
        random.setstate(self.python)


@contextmanager
def untouched() -> Iterator[None]:
    """Whatever is drawn inside, the caller's generators go on as if nothing had been: torch's, numpy's and Python's.

    Those of GPUs belong to them where the process uses GPUs already.
    """
    import torch

    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    before = RandomStates.taken(cards)
    try:
        yield
    finally:
        before.restore()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Start the generators of torch (CPU and ``device``), numpy and Python from a seed; after it all are as before.

    ``torch.manual_seed`` would also seed the generators of all other GPUs, and of a GPU that is used later.
    """
    before = RandomStates.taken(cards_of(device))
    try:
        seed_generators(seed, device)
        yield
    finally:
        before.restore()


def seed_generators(seed: int, device: torch.device | None = None) -> None:
    """Seed torch's generators of the CPU and of ``device``, numpy's and Python's, and no other."""
    import torch

    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    for card in cards_of(device):
        with torch.cuda.device(card):
            torch.cuda.manual_seed(seed)


def cards_of(device: torch.device | None) -> list[int]:
    """The index of the device if it is a GPU."""
    if device is None or device.type != "cuda":
        return []
    import torch

    return [torch.cuda.current_device() if device.index is None else device.index]
