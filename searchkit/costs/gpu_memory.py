"""Memory that a network's forward pass takes on a card, as torch's allocator sees it.

Not :func:`searchkit.costs.counts.peak_memory`, which counts tensors and is the same on every device: here sizes are
rounded up as the allocator does, and the scratch memory of the kernels that the card chose is in it. What a process
holds anyway (the CUDA context, cuBLAS's and cuDNN's own) is not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from searchkit.costs.gpu_timing import Precision, inputs_on_card, placed
from searchkit.runtime.devices import device_errors
from searchkit.runtime.gpu_lock import card_of, key_of, turn_on


class Allocator(Protocol):
    """What is read of a device's allocator, in bytes."""

    def allocated(self) -> int:
        """Bytes that tensors hold now."""
        ...

    def peak(self) -> int:
        """The most they held since the last reset."""
        ...

    def reset(self) -> None:
        """Begin a new peak."""
        ...


@dataclass(frozen=True)
class CardMemory:
    """Peak bytes of one forward pass: weights, buffers, inputs, activations and scratch; and how it was measured."""

    peak: int
    label: str


def card_memory(
    network: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    *,
    batch: int = 1,
    precision: Precision = "float32",
) -> CardMemory:
    """Measure a copy of the network in evaluation mode, without gradients, eager; arguments as of a card's latency.

    Raises:
        DeviceGoneError: the card is lost, or another process has it for itself.
    """

    def place() -> tuple[nn.Module, Tensor]:
        dtype = getattr(torch, precision)
        subject = placed(copy.deepcopy(network).eval(), device, dtype)
        return subject, inputs_on_card(input_shape, device, batch, dtype, n=1)[0]

    with device_errors(device):
        card = card_of(device)
        with turn_on(key_of(device)), torch.cuda.device(device), torch.inference_mode():
            try:
                peak = held_at_peak(_TorchAllocator(device), place, lambda subject, x: subject(x))
            finally:
                torch.cuda.empty_cache()
    how = f"torch {torch.__version__} eager, its allocator's peak"
    return CardMemory(peak, f"{how}; batch {batch}, {precision}, {card.name}, driver {card.driver or 'unknown'}")


def held_at_peak(
    allocator: Allocator,
    place: Callable[[], tuple[nn.Module, Tensor]],
    run: Callable[[nn.Module, Tensor], object],
) -> int:
    """Bytes of what ``place`` puts on a device, and of the most that a second ``run`` adds.

    The first run is not counted: libraries keep what they allocate in it for all the runs to come.
    """
    before = allocator.allocated()
    subject, x = place()
    held = allocator.allocated() - before
    run(subject, x)
    start = allocator.allocated()
    allocator.reset()
    run(subject, x)
    return held + allocator.peak() - start


class _TorchAllocator:
    """torch's caching allocator of one card."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device)

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.device)


class DeviceMemory:
    """The memory of a card, as its driver and torch's allocator see it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int:
        """Bytes that no process holds."""
        return torch.cuda.mem_get_info(self._device)[0]

    def held(self) -> int:
        """Bytes that torch holds in this process."""
        return torch.cuda.memory_reserved(self._device)
