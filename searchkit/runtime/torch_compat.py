"""Private names of torch that searchkit uses; checked with torch 2.13.0.

No other file uses private names of torch. If a later torch moves one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "CDIST", "NO_PRODUCTS", "OPERATIONS", "PRODUCTS", "SAFE_SOFTMAX", "TRILINEAR", "BatchNorm", "DispatchMode",
    "before_compile", "begin_allocations", "changes_in_place", "copy_all", "end_allocations", "has_amx", "lerp_all",
    "make_step", "no_onnx_log", "release_pool", "spare_compiler", "suggest_memory_format",
]  # fmt: skip


CDIST = torch.ops.aten._cdist_forward  # of ``torch.cdist``
SAFE_SOFTMAX = torch.ops.aten._safe_softmax.default  # of attention
TRILINEAR = torch.ops.aten._trilinear  # of ``nn.Bilinear``
PRODUCTS = ("_linalg_", "_fft_", "_cdist", "_cudnn_rnn")  # beginnings of names of operations that contain products
NO_PRODUCTS = ("_linalg_check_errors",)  # and of those that begin like them and contain none
OPERATIONS = ("_c10d_functional",)  # beside aten, torch's own operations


class DispatchMode(TorchDispatchMode):
    """A dispatch mode whose first operation does not import torch's compiler to be left alone by it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


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


COMPILER, APART = "torch._dynamo", "__dynamo_disable"  # torch's compiler; where functions keep what is apart from it
KEPT_APART = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")  # of optimisers


def spare_compiler() -> None:
    """Let optimisers do without torch's compiler, whose import takes a process one or two seconds.

    They import it to keep some of their functions out of what it compiles. In a process that has not imported it,
    nothing is compiled. Where it is imported later, these functions are kept apart from it from their next call on.
    """
    for name in KEPT_APART:
        decorated = getattr(torch.optim.Optimizer, name)
        plain = getattr(decorated, "__wrapped__", None)
        if plain is not None and COMPILER not in sys.modules and not hasattr(plain, APART):
            setattr(plain, APART, _until_compiler(decorated, plain))


def make_step(optimiser: torch.optim.Optimizer) -> None:
    """``optimiser.step()`` without torch's compiler, profiler and hooks."""
    with torch.no_grad():
        _plain_step(type(optimiser).step)(optimiser)


@functools.cache
def _plain_step(step: Callable[..., object]) -> Callable[..., object]:
    plain: Callable[..., object] = inspect.unwrap(step)
    return plain


def _until_compiler(decorated: Callable[..., object], plain: Callable[..., object]) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        if COMPILER not in sys.modules:
            return plain(*args, **kwargs)
        if getattr(plain, APART, None) is call:
            vars(plain).pop(APART, None)  # another thread may have been first
        return decorated(*args, **kwargs)

    return call


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
