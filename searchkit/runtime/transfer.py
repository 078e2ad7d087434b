"""Many small tensors between host and card in one copy: each copy of its own would be a wait of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

SMALL = 2**16  # elements: eigenvalues of a larger matrix take a core longer than a card


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same tensors on the CPU, after one wait a type; what is there stays as it is, and a large one where it is."""
    away = [i for i, tensor in enumerate(tensors) if tensor.device.type != "cpu" and tensor.numel() <= SMALL]
    return together(tensors, away, Tensor.cpu)


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The same tensors on a device: on a card, parts of one that holds them all; meant to be copied from."""
    among = [] if device.type == "cpu" else range(len(tensors))
    return together(tensors, among, lambda whole: whole.to(device))


def equal(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[bool]:
    """Whether the tensors of each pair, of one shape, are equal, after one wait."""
    if all(first.device.type == "cpu" for first, _ in pairs):
        return [torch.equal(*pair) for pair in pairs]
    found: list[bool] = torch.stack([(first == second).all() for first, second in pairs]).tolist()
    return found


def together(tensors: Sequence[Tensor], among: Iterable[int], move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """All tensors, of which those numbered in ``among`` were moved, those of a type as one vector."""
    found = list(tensors)
    groups: dict[torch.dtype, list[int]] = {}
    for i in among:
        groups.setdefault(found[i].dtype, []).append(i)
    for group in groups.values():
        whole = move(torch.cat([found[i].flatten() for i in group]))
        parts = whole.split([found[i].numel() for i in group])  # type: ignore[no-untyped-call]
        for i, part in zip(group, parts, strict=True):
            found[i] = part.view(found[i].shape)
    return found
