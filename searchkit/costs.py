"""Costs that are known without training or timing: parameters, MACs and peak memory of any torch network.

Everything is counted on one eager forward pass of a single image in evaluation mode, on torch's meta device: shapes
are computed and numbers are not, so that a count takes milliseconds and needs no memory. A network that
meta tensors cannot run (one that reads values of its activations) is run on the CPU instead, with the same result.

**MACs** are multiply-accumulates of convolutions and matrix products (attention is two of those), as in the
published tables: biases, batch norm, pooling and element-wise operations are not counted.

**Peak memory** is what eager torch holds at the worst moment: parameters, buffers, the input, and the activations that
are alive. Scratch memory inside a kernel is not known here and not counted.
"""

from __future__ import annotations

import copy
import functools
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from searchkit.space import Codes, Floats, NetworkSpace, keys

_T = TypeVar("_T")
_N_CACHED = 1 << 16  # candidates whose counts are remembered, all spaces together


def count(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """``params`` (elements of distinct parameters) and ``macs`` of one forward pass of one image.

    Args:
        network: left as it is, wherever it lives.
        input_shape: of one image, without the batch: ``(channels, height, width)``.
    """
    return _measured(network, input_shape, _count)


def peak_memory(network: nn.Module, input_shape: Sequence[int]) -> float:
    """Peak bytes of one forward pass of one image without gradients, in float32; arguments as of :func:`count`."""
    return _measured(network, input_shape, _peak_memory)


def space_counts(space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
    """``params`` and ``macs``, each ``(n,)``, of candidates ``(n, d)``.

    By the space's own formula where it has one; otherwise each distinct candidate is built and counted, once.
    """
    if space.count is not None:
        return {name: np.asarray(values, dtype=np.float64) for name, values in space.count(space, codes).items()}
    counts = [_candidate_count(space, key) for key in keys(space.check(codes))]
    return {name: np.array([c[name] for c in counts], dtype=np.float64) for name in ("params", "macs")}


def space_peak_memory(space: NetworkSpace, codes: Codes) -> Floats:
    """Peak bytes ``(n,)`` of candidates ``(n, d)``; each distinct one is built and run on the meta device, once."""
    return np.array([_candidate_memory(space, key) for key in keys(space.check(codes))], dtype=np.float64)


@functools.lru_cache(_N_CACHED)
def _candidate_count(space: NetworkSpace, key: bytes) -> dict[str, int]:
    return _candidate(space, key, _count)


@functools.lru_cache(_N_CACHED)
def _candidate_memory(space: NetworkSpace, key: bytes) -> float:
    return _candidate(space, key, _peak_memory)


_Measure = Callable[[nn.Module, Tensor], _T]


def _candidate(space: NetworkSpace, key: bytes, measure: _Measure[_T]) -> _T:
    """Build one candidate on the meta device, or on the CPU if its builder needs real numbers, and measure it."""
    code = np.frombuffer(key, dtype=np.int64)
    with torch.random.fork_rng(devices=[]):  # whoever seeded torch for a later build keeps that draw
        try:
            with torch.device("meta"):
                return measure(space.build(code).eval(), _image(space.input_shape, "meta"))
        except (NotImplementedError, RuntimeError):
            return _measured(space.build(code), space.input_shape, measure)


def _measured(network: nn.Module, input_shape: Sequence[int], measure: _Measure[_T]) -> _T:
    """Measure a copy of the network: on the meta device without its numbers, or on the CPU with them."""
    try:
        with torch.device("meta"):
            return measure(_meta_copy(network), _image(input_shape, "meta"))
    except (NotImplementedError, RuntimeError):
        return measure(copy.deepcopy(network).to("cpu", torch.float32).eval(), _image(input_shape, "cpu"))


def _meta_copy(network: nn.Module) -> nn.Module:
    """The same modules in float32 and evaluation mode, with parameters and buffers that have shapes only."""

    def shape_only(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device="meta", dtype=torch.float32 if tensor.is_floating_point() else None)

    memo: dict[int, Tensor] = {id(p): nn.Parameter(shape_only(p), p.requires_grad) for p in network.parameters()}
    memo |= {id(b): shape_only(b) for b in network.buffers()}
    return copy.deepcopy(network, memo).eval()


def _image(input_shape: Sequence[int], device: str) -> Tensor:
    return torch.zeros(1, *input_shape, device=device)


def _count(network: nn.Module, x: Tensor) -> dict[str, int]:
    with _plain_forward(), _MacCounter() as counter:
        network(x)
    return {"params": sum(p.numel() for p in network.parameters()), "macs": counter.macs}


def _peak_memory(network: nn.Module, x: Tensor) -> float:
    with _plain_forward(), _LiveMemory([*network.parameters(), *network.buffers(), x]) as memory:
        network(x)
    return float(memory.peak)


@contextmanager
def _plain_forward() -> Iterator[None]:
    """No gradients, and attention as the matrix products it is rather than as one fused kernel."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the MACs of every convolution and matrix product below it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = _run(func, args, kwargs or {})
        formula = _MACS.get(func.overloadpacket)
        if formula is not None:
            self.macs += formula(args, out)
        return out


def _convolution_macs(args: tuple[Any, ...], out: Tensor) -> int:
    """Every weight meets every output position, or every input position where the convolution is transposed."""
    x, weight, transposed = args[0], args[1], args[6]
    positions = (x if transposed else out).shape[2:]
    return int(x.shape[0]) * int(weight.numel()) * math.prod(positions)


def _product_macs(left: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    """Every output element of a matrix product sums over the last axis of its left factor, argument ``left``."""
    return lambda args, out: int(out.numel()) * int(args[left].shape[-1])


_aten = torch.ops.aten
_MACS: dict[Any, Callable[[tuple[Any, ...], Tensor], int]] = {
    _aten.convolution: _convolution_macs,
    _aten.mm: _product_macs(0),
    _aten.bmm: _product_macs(0),
    _aten.mv: _product_macs(0),
    _aten.dot: _product_macs(0),
    _aten.addmm: _product_macs(1),
    _aten.addbmm: _product_macs(1),
    _aten.baddbmm: _product_macs(1),
    _aten.addmv: _product_macs(1),
}


class _LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages that exist: each counts from the operation that made it until it is freed.

    An operation's inputs are alive while its outputs are made, so that the peak is looked at after each one.
    """

    def __init__(self, held: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}
        for tensor in held:
            self._add(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = _run(func, args, kwargs or {})
        for tensor in _tensors(out):
            self._add(tensor)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, n_bytes = id(storage), storage.nbytes()
        if key in self._seen:  # a view, or an operation in place
            return

        def freed(_: Any) -> None:
            del self._seen[key]
            self.live -= n_bytes

        self._seen[key] = weakref.ref(storage, freed)
        self.live += n_bytes
        self.peak = max(self.peak, self.live)


def _run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The operation itself, but for two that on the meta device run in Python, ten times slower than a kernel.

    Batch norm in evaluation has empty statistics on a real device, and on the meta device makes them for show.
    """
    if args and isinstance(args[0], Tensor) and args[0].is_meta:
        if func is _aten.relu.default:
            return torch.empty_like(args[0])
        if func is _aten.native_batch_norm.default and not args[5]:
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    return func(*args, **kwargs)


def _tensors(out: Any) -> Iterator[Tensor]:
    """The tensors that an operation returned: one, or a sequence of them."""
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, (tuple, list)):
        for part in out:
            yield from _tensors(part)
