"""Multiply-accumulates of whatever runs, for counts of networks and of parts of them."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry

from searchkit.runtime import torch_compat
from searchkit.runtime.meta_operations import QuickShapes, aten

log = logging.getLogger("searchkit")


class MacCounter(QuickShapes):
    """Adds up the MACs of every convolution and matrix product that runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def _ran(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> None:
        packet = func.overloadpacket
        formula = _MACS.get(packet)
        if formula is not None:
            self.macs += formula(args, out)
        elif packet in flop_registry:  # torch's formulas; two operations are a multiplication and an addition
            self.macs += int(flop_registry[packet](*args, **kwargs, out_val=out)) // 2
        elif _may_multiply(func.name()):
            _say_uncounted(func.name().removeprefix("aten::"))


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
