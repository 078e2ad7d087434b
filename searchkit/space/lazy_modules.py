"""Modules of torch that take their shapes from the first input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.parameter import is_lazy

from searchkit.errors import CandidateError
from searchkit.space.inputs import plain_inputs


def initialise_lazy(network: object, input_shape: Sequence[int]) -> None:
    """Give lazy modules their shapes by one forward pass of two inputs; other networks are not run."""
    if not isinstance(network, torch.nn.Module):
        raise CandidateError(f"build returned a {type(network).__name__}, not a torch.nn.Module")
    tensors = [*network.parameters(), *network.buffers()]
    if any(map(is_lazy, tensors)):
        device = next((tensor.device for tensor in tensors), None)
        training = network.training
        network.eval()
        with torch.no_grad():
            network(plain_inputs(2, input_shape, device))
        network.train(training)
