"""Copies of networks."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from searchkit.errors import CandidateError, first_line_said


def copied(network: nn.Module, memo: Mapping[int, torch.Tensor] | None = None) -> nn.Module:
    """A deep copy, also of a network that keeps results of operations, as ``weight_norm`` keeps its last weight.

    Args:
        memo: ``{id: tensor}``, what stands in the copy for tensors of the network.

    Raises:
        CandidateError: something else in the network cannot be copied, such as a lock or an open file.
    """
    known: dict[int, object] = dict(memo or {})
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf and id(value) not in known:
                known[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(network, known)
    except Exception as error:
        raise CandidateError(
            f"{type(network).__name__} cannot be copied ({type(error).__name__}: {first_line_said(error)}): keep what "
            "cannot be copied outside of the network, or give its class a __deepcopy__"
        ) from error


def own_copy(network: nn.Module) -> nn.Module:
    """A copy for a user's function, which may change it; the network itself where it cannot be copied."""
    try:
        return copied(network)
    except CandidateError:
        return network
