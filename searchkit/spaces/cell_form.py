"""Which NAS-Bench-201 cells are the same network: dead edges, skip connections and isomorphic graphs.

A cell is written as an expression of its input and its convolutions. Each convolution has a name, because it has
weights of its own; pooling has neither. Skip connections are substituted, sums are sorted, and names are assigned so
that the expression is the smallest. Two cells with equal expressions are the same network up to the random draw of
weights. A convolution used twice stays one convolution. Cells that are equal only by arithmetic (the average pooling of
a sum, a scale before a batch norm) are not merged.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from searchkit.types import Bools, Codes

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # source, target; in the order of the tables' digits
_NONE, _SKIP, _POOL = (OPERATIONS.index(name) for name in ("none", "skip_connect", "avg_pool_3x3"))
_BASE = len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)


def canonical(codes: Codes) -> Codes:
    """``(n, 6)`` codes of the representatives: of all equal cells the one with fewest edges, then smallest digits."""
    representatives: Codes = _representatives()[codes @ _BASE]
    return representatives


def live_edges(codes: Codes) -> Bools:
    """``(n, 6)``: which edges lie on a path of operations other than none from node 0 to node 3."""
    present = codes != _NONE
    fed = np.zeros((len(codes), 4), dtype=np.bool_)
    used = np.zeros((len(codes), 4), dtype=np.bool_)
    fed[:, 0] = used[:, 3] = True
    for j, (source, target) in enumerate(EDGES):  # EDGES is sorted by target: sources are settled before they are read
        fed[:, target] |= present[:, j] & fed[:, source]
    for source, target in ((2, 3), (1, 3), (0, 3), (1, 2), (0, 2), (0, 1)):
        used[:, source] |= present[:, EDGES.index((source, target))] & used[:, target]
    sources, targets = np.array(EDGES).T
    live: Bools = present & fed[:, sources] & used[:, targets]
    return live


class _Input(NamedTuple):
    """The cell's input, as a term."""


class _Pool(NamedTuple):
    value: _Value


class _Conv(NamedTuple):
    """One convolution with weights of its own, identified by its edge."""

    edge: int
    operation: int
    value: _Value


_Term = _Input | _Pool | _Conv
_Value = tuple[_Term, ...]  # a node's value: the sum of its terms


@functools.cache
def _representatives() -> npt.NDArray[np.int64]:
    """``(15625, 6)``: the canonical cell of every cell, by its number in base 5. Takes a fraction of a second, once."""
    cells = np.indices((len(OPERATIONS),) * len(EDGES)).reshape(len(EDGES), -1).T.astype(np.int64)
    trimmed = np.where(live_edges(cells), cells, _NONE)
    numbers = trimmed @ _BASE
    distinct = np.unique(numbers)
    order = distinct[np.argsort((cells[distinct] != _NONE).sum(axis=1), kind="stable")]
    first: dict[tuple[str, ...], int] = {}
    chosen = np.empty(len(cells), dtype=np.int64)
    for number in order.tolist():
        chosen[number] = first.setdefault(_expression(cells[number].tolist()), number)
    return cells[chosen[numbers]]


def _expression(cell: list[int]) -> tuple[str, ...]:
    """The smallest expression of a cell without dead edges: output, then each convolution's operation and input."""
    output = _output(cell)
    convs = _convs(output, {})
    alike: dict[str, list[int]] = defaultdict(list)
    for edge, conv in convs.items():
        alike[_write((conv,), None)].append(edge)
    writings = []
    # Only convolutions with equal unrolled inputs can be exchanged, so few orders have to be tried.
    for orders in itertools.product(*(itertools.permutations(alike[key]) for key in sorted(alike))):
        names = {edge: str(i) for i, edge in enumerate(itertools.chain.from_iterable(orders))}
        inputs = (f"{convs[edge].operation}:{_write(convs[edge].value, names)}" for edge in names)
        writings.append((_write(output, names), *inputs))
    return min(writings)


def _output(cell: list[int]) -> _Value:
    """The value of node 3 of a cell without dead edges."""
    values: list[_Value] = [(_Input(),), (), (), ()]
    for edge, ((source, target), operation) in enumerate(zip(EDGES, cell, strict=True)):
        value = values[source]
        if operation == _NONE:
            continue
        if operation == _SKIP:
            values[target] += value
        elif operation == _POOL:
            values[target] += (_Pool(value),)
        else:
            values[target] += (_Conv(edge, operation, value),)
    return values[3]


def _convs(value: _Value, found: dict[int, _Conv]) -> dict[int, _Conv]:
    """The convolutions that a value depends on, by edge."""
    for term in value:
        if isinstance(term, _Conv):
            found[term.edge] = term
        if not isinstance(term, _Input):
            _convs(term.value, found)
    return found


def _write(value: _Value, names: dict[int, str] | None) -> str:
    """A value as a string, sums sorted; convolutions by name, or unrolled where there are no names."""
    terms = []
    for term in value:
        if isinstance(term, _Input):
            terms.append("x")
        elif isinstance(term, _Pool):
            terms.append(f"p({_write(term.value, names)})")
        elif names is None:
            terms.append(f"{term.operation}({_write(term.value, None)})")
        else:
            terms.append(f"c{names[term.edge]}")
    return "+".join(sorted(terms))
