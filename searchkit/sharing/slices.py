"""Parts of a tensor that networks of several sizes share.

A network takes the leading channels and the central taps: Cai et al., Once-for-All, ICLR 2020 (arXiv 1908.09791), and
Chen et al., AutoFormer, ICCV 2021 (arXiv 2107.00651), share weights between sizes in this way.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

Shape = tuple[int, ...]


def part_of(tensor: Tensor, shape: Shape, kernel: int) -> Tensor:
    """A view of the part of a shared tensor that a parameter takes.

    Args:
        shape: of the parameter, with as many axes.
        kernel: how many of the last axes are taps of a convolution, of which the central ones are taken; of the others
            the first ones are.
    """
    if tuple(tensor.shape) == shape:
        return tensor
    return tensor[_places(tuple(tensor.shape), shape, kernel)]


def grown(tensor: Tensor, larger: Tensor, kernel: int) -> Tensor:
    """A tensor as large as both, with the values of the first where it has them, and elsewhere those of the second.

    Where neither has values (wider in one and with more taps in the other), they are 0.
    """
    shape = tuple(max(n, m) for n, m in zip(tensor.shape, larger.shape, strict=True))
    made = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    made[_places(shape, tuple(larger.shape), kernel)] = larger
    made[_places(shape, tuple(tensor.shape), kernel)] = tensor
    return made


def covers(shapes: Iterable[Shape], shape: Shape) -> bool:
    """Whether one of several parts has all values of a part of this shape."""
    return any(all(n >= m for n, m in zip(one, shape, strict=True)) for one in shapes)


def _places(whole: Shape, part: Shape, kernel: int) -> tuple[slice, ...]:
    places = []
    for axis, (n, m) in enumerate(zip(whole, part, strict=True)):
        first = (n - m) // 2 if axis >= len(whole) - kernel else 0
        places.append(slice(first, first + m))
    return tuple(places)
