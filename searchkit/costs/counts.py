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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from searchkit.costs.memory_tracker import LiveMemory
from searchkit.costs.meta_tensors import no_gradients, on_meta, shape_only
from searchkit.problem.numbers import numbers_of
from searchkit.runtime.copies import copied
from searchkit.runtime.mac_counter import MacCounter
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
    with _plain_forward(), MacCounter() as counter:
        network(x)
    return {"params": sum(p.numel() for p in network.parameters()), "macs": counter.macs}


def _count_modules(network: nn.Module, x: Tensor) -> dict[str, int]:
    spent = {name: 0 for name, _ in network.named_modules()}
    begun: list[int] = []
    handles = []
    with _plain_forward(), MacCounter() as counter:
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
