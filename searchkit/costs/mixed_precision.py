"""Which operations of an ONNX file belong to blocks in int8, where each block of a network has its own precision.

The tracing exporter names an operation after the modules that it stands in. So before the export, each block is put
into a module whose name says the block's precision. Operations without a name, into which ONNX Runtime takes apart
others, belong to where their inputs come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from searchkit.runtime.copies import own_copy
from searchkit.space.precision_space import BLOCK, rest_precision_of

if TYPE_CHECKING:
    import onnx

_WITHIN = {"int8": "searchkit_int8", "float32": "searchkit_float32"}  # names of modules around blocks


def marked(network: nn.Module) -> nn.Module:
    """A copy of a network, or of one of its blocks, that shows the precisions of blocks in the names of its file."""
    other = own_copy(network)
    if hasattr(other, BLOCK):
        return _Within(other, getattr(other, BLOCK))
    for parent in list(other.modules()):
        for name, module in list(parent.named_children()):
            precision = getattr(module, BLOCK, None)
            if precision is not None and not isinstance(module, _Within):
                setattr(parent, name, _Within(module, precision))
    return other


def rest_in_int8(network: nn.Module) -> bool | None:
    """Whether what is outside of a network's blocks is in int8; None where no precisions were chosen."""
    chosen = rest_precision_of(network)
    return None if chosen is None else chosen == "int8"


class _Within(nn.Module):
    """A block in a module whose name says its precision; what is asked of it is asked of the block."""

    def __init__(self, block: nn.Module, precision: str) -> None:
        super().__init__()
        self._name = _WITHIN[precision]
        self.add_module(self._name, block)
        self.training = block.training

    def forward(self, *given: Any, **named: Any) -> Any:
        return self.get_submodule(self._name)(*given, **named)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__(self.__dict__["_name"]), name)


def operations_in_int8(model: onnx.ModelProto, rest: bool) -> list[str]:
    """Names of a file's operations that are in int8; those without a name are given one.

    Args:
        model: of a network that :func:`marked` has made.
        rest: whether what is outside of the blocks is in int8.

    Raises:
        ValueError: the file does not tell.
    """
    found, of_values = [], dict[str, bool]()
    told = False
    for number, node in enumerate(model.graph.node):
        parts = node.name.split("/")
        within = _WITHIN["int8"] in parts or _WITHIN["float32"] in parts
        told |= within
        if node.name:
            chosen = _WITHIN["int8"] in parts if within else rest
        else:
            known = [of_values[name] for name in node.input if name in of_values]
            chosen = bool(known) and all(known)
            node.name = f"operation_{number}"
        for name in node.output:
            of_values[name] = chosen
        if chosen:
            found.append(node.name)
    if not told:
        raise ValueError("its file does not tell which operation belongs to which block")
    return found
