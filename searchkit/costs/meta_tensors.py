"""Networks and operations on torch's meta device, where tensors have shapes but no values and need no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from searchkit.errors import PASSED_ON
from searchkit.random_state import untouched
from searchkit.runtime.copies import copied

_T = TypeVar("_T")


def shape_only(network: nn.Module) -> nn.Module:
    """A copy in float32, in the same training or evaluation mode, whose parameters and buffers have shapes only."""

    def bare(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device="meta", dtype=torch.float32 if tensor.is_floating_point() else None)

    memo: dict[int, Tensor] = {id(p): nn.Parameter(bare(p), p.requires_grad) for p in network.parameters()}
    memo |= {id(b): bare(b) for b in network.buffers()}
    return copied(network, memo)


def on_meta(by_shape: Callable[[], _T], by_value: Callable[[], _T]) -> _T:
    """What a function finds out on the meta device; where it fails there, another one, which has real numbers.

    A network may need numbers in any way, so that whatever else is raised by the first is left to the second, which
    raises again what is wrong with the network itself. Global random states are left as they were.

    Raises:
        KeyboardInterrupt, TimeUp: and what else ends a search and not a candidate.
    """
    with untouched():
        try:
            with torch.device("meta"):
                return by_shape()
        except PASSED_ON:
            raise
        except BaseException:
            return by_value()


@contextmanager
def no_gradients() -> Iterator[None]:
    """No gradients, and attention layers as separate operations: their fused operation does not run on meta tensors."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
