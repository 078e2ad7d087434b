"""Private names of torch that searchkit uses; checked with torch 2.13.0.

No other file uses private names of torch. If a later torch moves one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "CDIST", "NO_PRODUCTS", "OPERATIONS", "PRODUCTS", "TRILINEAR",
    "BatchNorm", "TorchDispatchMode", "before_compile", "begin_allocations", "changes_in_place",
    "copy_all", "end_allocations", "has_amx", "lerp_all", "no_onnx_log", "release_pool", "suggest_memory_format",
]  # fmt: skip


CDIST = torch.ops.aten._cdist_forward  # of ``torch.cdist``
TRILINEAR = torch.ops.aten._trilinear  # of ``nn.Bilinear``
PRODUCTS = ("_linalg_", "_fft_", "_cdist", "_cudnn_rnn")  # beginnings of names of operations that contain products
NO_PRODUCTS = ("_linalg_check_errors",)  # and of those that begin like them and contain none
OPERATIONS = ("_c10d_functional",)  # beside aten, torch's own operations


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """``target.copy_(source)`` for every pair, in a single launch on a card; all tensors have one dtype."""
    torch._foreach_copy_(list(targets), list(sources))


def lerp_all(targets: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """``target.lerp_(end, weight)`` for every pair, in a single launch on a card."""
    torch._foreach_lerp_(list(targets), list(ends), weight)


def changes_in_place(tensor: Tensor) -> int | None:
    """How often a tensor, or one that shares its memory, was changed in place; None where torch does not count."""
    return None if tensor.is_inference() else int(tensor._version)


def has_amx() -> bool:
    """Whether this CPU has units for products of small bfloat16 matrices (Intel AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())


def before_compile(model: nn.Module) -> nn.Module | None:
    """The module of which ``torch.compile`` made this one; None where it did not."""
    if type(model).__module__.partition(".")[0] != "torch":
        return None
    made_from: object = getattr(model, "_orig_mod", None)
    return made_from if isinstance(made_from, nn.Module) else None


@contextmanager
def no_onnx_log() -> Iterator[None]:
    """The tracing ONNX exporter does not print the graph of a network that it refuses.

    It asks ``torch._C._jit_is_onnx_log_enabled`` whether to, and takes the function itself for its answer.
    """
    asked = torch._C._jit_is_onnx_log_enabled
    torch._C._jit_is_onnx_log_enabled = _Off()
    try:
        yield
    finally:
        torch._C._jit_is_onnx_log_enabled = asked


class _Off:
    """False, called or not."""

    def __bool__(self) -> bool:
        return False

    __call__ = __bool__


Pool = tuple[int, int]  # a memory pool of a card, from ``torch.cuda.graph_pool_handle()``


def begin_allocations(device: int, pool: Pool) -> None:
    """Let this thread allocate a card's memory from a pool; raises where the pool has no user any more."""
    torch._C._cuda_beginAllocateCurrentThreadToPool(device, pool)


def end_allocations(device: int, pool: Pool) -> None:
    """Stop allocating a card's memory from the pool."""
    torch._C._cuda_endAllocateToPool(device, pool)


def release_pool(device: int, pool: Pool) -> None:
    """Remove one user of the pool; the pool's memory is freed when the last user is removed."""
    torch._C._cuda_releasePool(device, pool)
