"""Copy many small tensors between host and card at once, since each separate copy would wait for the card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

SMALL = 2**16  # elements; eigenvalues of a larger matrix are found faster on the card than on a CPU core


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same tensors on the CPU, with one copy per dtype; those with more than ``SMALL`` elements are not moved."""
    away = [i for i, tensor in enumerate(tensors) if tensor.device.type != "cpu" and tensor.numel() <= SMALL]
    return together(tensors, away, Tensor.cpu)


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The same tensors on a device. On a card they are views of one tensor per dtype: read or copy them only."""
    among = [] if device.type == "cpu" else range(len(tensors))
    return together(tensors, among, lambda whole: whole.to(device))


def equal(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[bool]:
    """Whether the two tensors of each pair, which have one shape, are equal; waits for the card once."""
    if all(first.device.type == "cpu" for first, _ in pairs):
        return [torch.equal(*pair) for pair in pairs]
    found: list[bool] = torch.stack([(first == second).all() for first, second in pairs]).tolist()
    return found


def together(tensors: Sequence[Tensor], among: Iterable[int], move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """All tensors, where those with an index in ``among`` were moved; those of one dtype are moved as one vector."""
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
