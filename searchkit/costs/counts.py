"""Costs that are known without training or timing: parameters, MACs and peak memory of any torch network.

They are counted in one eager forward pass of a single image in evaluation mode, on torch's meta device. It computes
shapes but no values, so a count takes milliseconds and needs no memory. A network that cannot run on meta tensors
(because it reads values of its activations) is run on the CPU instead, with the same result.

**MACs** are multiply-accumulates of convolutions and matrix products (attention is two matrix products), as in
published tables: biases, batch norm, pooling and element-wise operations are not counted. For an operation without a
formula here, torch's (``torch.utils.flop_counter``) is taken; an operation that multiplies and has none is named in a
warning of the log, once.

**Peak memory** is the largest number of bytes that eager torch holds at any moment: parameters, buffers, the input, and
the activations that are still needed. Scratch memory inside kernels is unknown here and not counted.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import flop_registry

from searchkit.costs.memory_tracker import LiveMemory
from searchkit.costs.meta_tensors import no_gradients, on_meta, shape_only
from searchkit.problem.numbers import numbers_of
from searchkit.runtime import torch_compat
from searchkit.runtime.copies import copied
from searchkit.runtime.meta_operations import QuickShapes, aten, run
from searchkit.space import NetworkSpace, keys
from searchkit.space.inputs import plain_inputs
from searchkit.types import Codes, Floats

log = logging.getLogger("searchkit")

_T = TypeVar("_T")
_N_CACHED = 1 << 16  # candidates whose counts are cached, over all spaces


def count(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """``params`` (elements of distinct parameters) and ``macs`` of one forward pass of one image.

    Args:
        network: on any device; not changed.
        input_shape: of one image, without the batch: ``(channels, height, width)``.
    """
    return _measure_copy(network, input_shape, _count)


def module_macs(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """MACs of every module, with those inside it, in one forward pass of one image; "" is the network.

    Args:
        network, input_shape: as in :func:`count`.

    Returns:
        dotted name -> MACs of all its calls together; modules that are not called have none.
    """
    return _measure_copy(network, input_shape, _count_modules)


def peak_memory(network: nn.Module, input_shape: Sequence[int]) -> float:
    """Peak bytes of one forward pass of one image without gradients, in float32; arguments as in :func:`count`."""
    return _measure_copy(network, input_shape, _peak_memory)


def space_counts(space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
    """``params`` and ``macs``, each ``(n,)``, of candidates ``(n, d)``.

    Computed with the space's own formula if it has one; otherwise each distinct candidate is built and counted once.
    """
    if space.count is not None:
        return {name: numbers_of(values) for name, values in space.count(space, codes).items()}
    counts = [_candidate_count(space, key) for key in keys(space.check(codes))]
    return {name: np.array([c[name] for c in counts], dtype=np.float64) for name in ("params", "macs")}


def space_peak_memory(space: NetworkSpace, codes: Codes) -> Floats:
    """Peak bytes ``(n,)`` of candidates ``(n, d)``; each distinct one is built and run on the meta device once."""
    return np.array([_candidate_memory(space, key) for key in keys(space.check(codes))], dtype=np.float64)


def space_layers(space: NetworkSpace, codes: Codes) -> Floats:
    """Layers with weights ``(n,)`` of candidates ``(n, d)``: parameters of two dimensions or more, shared ones once."""
    return np.array([_candidate_layers(space, key) for key in keys(space.check(codes))], dtype=np.float64)


@functools.lru_cache(_N_CACHED)
def _candidate_layers(space: NetworkSpace, key: bytes) -> int:
    return _candidate(space, key, lambda network, x: sum(p.ndim > 1 for p in network.parameters()))


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
    return on_meta(
        lambda: measure(space.build(code).eval(), plain_inputs(1, space.input_shape, "meta")),
        lambda: _measure_copy(space.build(code), space.input_shape, measure),
    )


def _measure_copy(network: nn.Module, input_shape: Sequence[int], measure: _Measure[_T]) -> _T:
    """Measure a copy of the network: on the meta device, or on the CPU where it needs real values."""
    return on_meta(
        lambda: measure(shape_only(network).eval(), plain_inputs(1, input_shape, "meta")),
        lambda: measure(copied(network).to("cpu").float().eval(), plain_inputs(1, input_shape, "cpu")),
    )


def _count(network: nn.Module, x: Tensor) -> dict[str, int]:
    with _plain_forward(), _MacCounter() as counter:
        network(x)
    return {"params": sum(p.numel() for p in network.parameters()), "macs": counter.macs}


def _count_modules(network: nn.Module, x: Tensor) -> dict[str, int]:
    spent = {name: 0 for name, _ in network.named_modules()}
    begun: list[int] = []
    handles = []
    with _plain_forward(), _MacCounter() as counter:
        for name, module in network.named_modules():

            def leave(module: nn.Module, args: Any, out: Any, name: str = name) -> None:
                spent[name] += counter.macs - begun.pop()

            handles.append(module.register_forward_pre_hook(lambda *_: begun.append(counter.macs)))
            handles.append(module.register_forward_hook(leave))
        network(x)
    for handle in handles:
        handle.remove()
    return spent


def _peak_memory(network: nn.Module, x: Tensor) -> float:
    with _plain_forward(), LiveMemory([*network.parameters(), *network.buffers(), x]) as memory:
        network(x)
    return float(memory.peak)


@contextmanager
def _plain_forward() -> Iterator[None]:
    """No gradients, and attention as separate matrix products instead of one fused kernel."""
    with no_gradients(), sdpa_kernel(SDPBackend.MATH):
        yield


class _MacCounter(QuickShapes):
    """Adds up the MACs of every convolution and matrix product that runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = run(func, args, kwargs or {})
        packet = func.overloadpacket
        formula = _MACS.get(packet)
        if formula is not None:
            self.macs += formula(args, out)
        elif packet in flop_registry:  # torch's formulas; two operations are a multiplication and an addition
            self.macs += int(flop_registry[packet](*args, **(kwargs or {}), out_val=out)) // 2
        elif _may_multiply(func.name()):
            _say_uncounted(func.name().removeprefix("aten::"))
        return out


_PRODUCTS = ("linalg_", "miopen_rnn", *torch_compat.PRODUCTS)  # beginnings of names
_NO_PRODUCTS = ("linalg_vector_norm", "linalg_cross", "linalg_diagonal", *torch_compat.NO_PRODUCTS)


def _may_multiply(name: str) -> bool:
    """Whether an operation without a formula, named as in "aten::mm", may contain products that have to be counted."""
    namespace, _, operation = name.partition("::")
    if namespace in ("aten", "prims", "prim", *torch_compat.OPERATIONS):
        return operation.startswith(_PRODUCTS) and not operation.startswith(_NO_PRODUCTS)
    return True  # an operation of another library


@functools.cache  # once for each operation in a process
def _say_uncounted(operation: str) -> None:
    log.warning("macs of %s are not counted: torch has no formula for this operation", operation)


def _convolution_macs(args: tuple[Any, ...], out: Tensor) -> int:
    """MACs: every weight is used once per output position, or per input position in a transposed convolution."""
    x, weight, transposed = args[0], args[1], args[6]
    positions = (x if transposed else out).shape[2:]
    return int(x.shape[0]) * int(weight.numel()) * math.prod(positions)


def _trilinear_shape(*args: Any) -> list[int]:
    """The axes over which a product of three tensors runs, as that of ``nn.Bilinear`` does."""
    shapes = []
    for tensor, expanded in zip(args[:3], args[3:6], strict=True):
        for axis in expanded:
            tensor = tensor.unsqueeze(axis)
        shapes.append(tensor.shape)
    return [max(sizes) for sizes in zip(*shapes, strict=True)]


def _product_macs(left: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    """MACs of a matrix product: each output element sums over the last axis of the left factor, argument ``left``."""
    return lambda args, out: int(out.numel()) * int(args[left].shape[-1])


_MACS: dict[Any, Callable[[tuple[Any, ...], Tensor], int]] = {
    aten.convolution: _convolution_macs,
    aten.mm: _product_macs(0),
    aten.bmm: _product_macs(0),
    aten.mv: _product_macs(0),
    aten.dot: _product_macs(0),
    aten.vdot: _product_macs(0),
    aten.addr: lambda args, out: int(out.numel()),
    torch_compat.CDIST: _product_macs(0),
    torch_compat.TRILINEAR: lambda args, out: math.prod(_trilinear_shape(*args)),
    aten.mkldnn_rnn_layer: lambda args, out: math.prod(args[0].shape[:-1]) * (args[1].numel() + args[2].numel()),
    aten.addmm: _product_macs(1),
    aten.addbmm: _product_macs(1),
    aten.baddbmm: _product_macs(1),
    aten.addmv: _product_macs(1),
}
