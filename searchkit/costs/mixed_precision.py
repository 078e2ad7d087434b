"""Which operations of an ONNX file belong to blocks in int8, where each block of a network has its own precision.

The tracing exporter names an operation after the modules that it stands in. So before the export, each block is put
into a module whose name says the block's number and precision. Operations without a name, into which ONNX Runtime takes
apart others, belong to where their inputs come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from searchkit.runtime.copies import own_copy
from searchkit.space.precision_space import BLOCK, rest_precision_of

if TYPE_CHECKING:
    import onnx

_WITHIN = re.compile(r"searchkit_(int8|float32)_(\d+)")  # in the names of modules around blocks
SAME = 1e-5  # of the largest output: by how much a network may differ with its blocks in such modules


@dataclass(frozen=True)
class Precisions:
    """What is needed to find the operations in int8 in the file of a network that :func:`marked` has made.

    Attributes:
        rest: whether what is outside of its blocks is in int8.
        blocks: number of a block -> its dotted name, empty where it has no weights; others have to have an operation.
    """

    rest: bool
    blocks: Mapping[str, str]


def has_precisions(network: nn.Module) -> bool:
    """Whether a network has a precision for each of its blocks."""
    return rest_precision_of(network) is not None


def marked(network: nn.Module, x: Tensor) -> tuple[nn.Module, Precisions]:
    """A copy of a network, or of one of its blocks, that shows the precisions of blocks in the names of its file.

    Args:
        network: in evaluation mode on the CPU.
        x: ``(n, ...)`` inputs, by which it is seen that the copy computes the same.

    Raises:
        ValueError: it does not, since the network looks at what its blocks are.
    """
    other, blocks, made = own_copy(network), dict[str, str](), dict[int, _Within]()

    def within(block: nn.Module, name: str) -> nn.Module:
        """The block in such a module, which is one wherever the block stands."""
        if id(block) not in made:
            number = len(made)
            made[id(block)] = _Within(block, number)
            blocks[str(number)] = name if any(True for _ in block.parameters()) else ""
        return made[id(block)]

    if BLOCK in vars(other):
        other = within(other, "the block")
    else:
        for name, parent in list(other.named_modules()):
            for part, module in list(parent.named_children()):
                if BLOCK in vars(module):
                    setattr(parent, part, within(module, f"{name}.{part}".lstrip(".")))
    with torch.no_grad():
        expected, found = network(x), other(x)
    most = SAME * max(float(expected.abs().max()), 1e-6)
    if found.shape != expected.shape or not float((found - expected).abs().max()) <= most:
        raise ValueError("it looks at what its blocks are, so that they cannot be told apart in a file")
    return other, Precisions(rest_precision_of(network) == "int8", blocks)


class _Within(nn.Module):
    """A block in a module whose name says its precision; what is asked of it is asked of the block."""

    def __init__(self, block: nn.Module, number: int) -> None:
        super().__init__()
        self._name = f"searchkit_{vars(block)[BLOCK]}_{number}"
        self.add_module(self._name, block)
        self.training = block.training

    def forward(self, *given: Any, **named: Any) -> Any:
        return self._block(*given, **named)

    @property
    def _block(self) -> Any:
        return self.get_submodule(self._name)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__(self.__dict__["_name"]), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._block)

    def __len__(self) -> int:
        return len(self._block)

    def __getitem__(self, which: Any) -> Any:
        return self._block[which]


def operations_in_int8(model: onnx.ModelProto, precisions: Precisions) -> list[str]:
    """Names of a file's operations that are in int8; those without a name are given one.

    Args:
        model: of a network that :func:`marked` has made.

    Raises:
        ValueError: the file does not tell what belongs to a block.
    """
    found, of_values, seen = [], dict[str, bool](), set[str]()
    for number, node in enumerate(model.graph.node):
        within = _WITHIN.findall(node.name)
        if within:  # of nested blocks the innermost says
            seen.update(one for _, one in within)
            chosen = within[-1][0] == "int8"
        elif node.name:
            chosen = precisions.rest
        else:
            known = [of_values[name] for name in node.input if name in of_values]
            chosen = bool(known) and all(known)
            node.name = f"operation_{number}"
        for name in node.output:
            of_values[name] = chosen
        if chosen:
            found.append(node.name)
    wanted = {number: name for number, name in precisions.blocks.items() if name}
    if wanted and not seen:
        raise ValueError("it cannot be traced, so that its file does not tell which operation belongs to which block")
    missing = [name for number, name in wanted.items() if number not in seen]
    if missing:
        raise ValueError(f"'{missing[0]}' is never called as a module, so that its precision has no effect")
    return found
