"""What is used of torch that has no public name; checked on torch 2.13.0.

No other file uses a private name of torch's. Where a later torch has moved one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "BatchNorm", "TorchDispatchMode", "begin_allocations", "copy_all", "end_allocations", "lerp_all", "release_pool",
    "suggest_memory_format",
]  # fmt: skip


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """``target.copy_(source)`` of every pair, in one launch on a card; one dtype."""
    torch._foreach_copy_(list(targets), list(sources))


def lerp_all(targets: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """``target.lerp_(end, weight)`` of every pair, in one launch on a card."""
    torch._foreach_lerp_(list(targets), list(ends), weight)


def begin_allocations(device: int, pool: Any) -> None:
    """What this thread allocates on a card comes from a pool; raises where nobody has the pool any more."""
    torch._C._cuda_beginAllocateCurrentThreadToPool(device, pool)


def end_allocations(device: int, pool: Any) -> None:
    """What is allocated on a card no longer comes from the pool."""
    torch._C._cuda_endAllocateToPool(device, pool)


def release_pool(device: int, pool: Any) -> None:
    """One who used the pool needs it no longer; what the last one leaves is free."""
    torch._C._cuda_releasePool(device, pool)
