"""Weights that networks begin with in place of random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from searchkit.types import Codes

WEIGHTS_TAKEN = "weights_taken"  # among the values of a training: the share of the parameters that were not random


@runtime_checkable
class Start(Protocol):
    """Where networks take the weights from that they begin with; sent to other processes by pickle.

    Attributes:
        identity: text that says which weights these are; equal texts give equal weights.
    """

    @property
    def identity(self) -> str: ...

    def start(self, code: Codes) -> Mapping[str, Tensor]:
        """Parameter or buffer -> its value, for the network of a canonical candidate ``(d,)``, as far as known."""
        ...


@runtime_checkable
class Trained(Start, Protocol):
    """Weights of which it is known what they were before they were trained."""

    def initial(self, code: Codes) -> Mapping[str, Tensor]:
        """Parameter -> its value before training, for the network of a canonical candidate ``(d,)``."""
        ...


def begin_with(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Set those parameters and buffers of a network that have the name and shape of a tensor.

    Returns:
        the names that were set, in the order of the network's.
    """
    state = network.state_dict()
    taken = [name for name, own in state.items() if name in tensors and own.shape == tensors[name].shape]
    with torch.no_grad():
        for name in taken:
            state[name].copy_(tensors[name])
    return taken


def share_of(network: nn.Module, taken: Sequence[str]) -> float:
    """The share of a network's parameters, from 0 to 1, that are in tensors of these names; 1 where it has none."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    total = sum(sizes.values())
    return sum(sizes.get(name, 0) for name in taken) / total if total else 1.0
