"""Memory that a network's forward pass takes on a card, as torch's allocator counts it.

It differs from :func:`searchkit.costs.counts.peak_memory`, which counts tensors and is the same on every device: here
sizes are rounded up by the allocator, and scratch memory of the kernels that run on this card is included. Memory that
every process needs (the CUDA context, and what cuBLAS and cuDNN hold) is not included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from searchkit.costs.gpu_timing import Precision, inputs_on_card, network_on_card
from searchkit.runtime.copies import copied
from searchkit.runtime.devices import device_errors
from searchkit.runtime.gpu_lock import card_of, key_of, measuring_on


class Allocator(Protocol):
    """The figures of a device's allocator that are needed here, in bytes."""

    def allocated(self) -> int:
        """Bytes that tensors hold now."""
        ...

    def peak(self) -> int:
        """The largest number of bytes that they held since the last reset."""
        ...

    def reset(self) -> None:
        """Forget the peak so far."""
        ...


@dataclass(frozen=True)
class CardMemory:
    """Peak bytes of one forward pass (weights, buffers, input, activations, scratch), and how they were measured."""

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
    """Measure a copy of the network in evaluation mode, in eager torch without gradients.

    Args:
        network, input_shape, device, batch, precision: as in :func:`searchkit.costs.gpu_timing.measured_on_card`.

    Raises:
        DeviceGoneError: the card is lost, or another process has exclusive use of it.
    """

    def place() -> tuple[nn.Module, Tensor]:
        dtype = getattr(torch, precision)
        subject = network_on_card(copied(network).eval(), device, dtype)
        return subject, inputs_on_card(input_shape, device, batch, dtype, n=1)[0]

    with device_errors(device):
        card = card_of(device)
        with measuring_on(key_of(device)), torch.cuda.device(device), torch.inference_mode():
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
    """Bytes that ``place`` puts on a device, plus the peak of what a second ``run`` adds.

    The first run is not counted: in it, libraries allocate memory that they keep for all later runs.
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
    """The memory of a card, as its driver and torch's allocator count it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int:
        """Bytes that no process uses."""
        return torch.cuda.mem_get_info(self._device)[0]

    def held(self) -> int:
        """Bytes that torch has reserved in this process."""
        return torch.cuda.memory_reserved(self._device)
