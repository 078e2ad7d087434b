"""What a latency is the sum of: the times of blocks alone, and what they have that takes other times in a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from searchkit.blocks.additive import Additive, Blocks
from searchkit.blocks.cost_tables import count_tables
from searchkit.errors import SearchkitError
from searchkit.space import NetworkSpace
from searchkit.space.precision_space import precision_choice, rest_precision
from searchkit.types import Bools, Floats

Timed = tuple[nn.Module, Sequence[int]]  # a module in evaluation mode, and the shape of its input
Parts = Sequence[Sequence[Sequence[Timed | None]]]  # of each block, each node, each alternative; None takes no time

BLOCKS, PARAMS, MODULES = "blocks", "million parameters", "modules"
INT8_MODULES, INT8_REST = "modules in int8", "the rest in int8"
INT8_BYTES = 1 / 4  # of a parameter in int8, of those in float32


def terms_of(space: NetworkSpace, blocks: Blocks, parts: Parts, times: Floats) -> dict[str, Additive]:
    """The terms of a latency by name, the blocks' own times and their parameters first.

    Parameters in int8 count a quarter. In spaces with precisions there are two terms more, for what it takes to change
    between them, and for what is outside of the blocks.

    Args:
        parts: the modules of each block, one list a node.
        times: ``(m,)`` milliseconds of the modules, in the order of parts.
    """
    left, ones = iter(times.tolist()), iter([1.0] * len(times))
    alone = _summed(blocks, parts, lambda: next(left))
    counted = _summed(blocks, parts, lambda: next(ones))
    terms = {BLOCKS: alone, PARAMS: _params(space, blocks, alone), MODULES: counted}
    if rest_precision(space):
        chosen = [_in_int8(space, blocks, i) for i in range(len(blocks.names))]
        tables = zip(counted.tables, chosen, strict=True)
        terms[INT8_MODULES] = Additive(0.0, tuple(np.where(int8, table, 0.0) for table, int8 in tables))
        rest = blocks.names.index(rest_precision(space))
        terms[INT8_REST] = Additive(0.0, tuple(np.where(i == rest, int8, 0.0) for i, int8 in enumerate(chosen)))
    return terms


def _summed(blocks: Blocks, parts: Parts, value: Callable[[], float]) -> Additive:
    """The sum over a block's nodes of a value of each of their modules, as a term."""
    tables = []
    for size, taken, part in zip(blocks.sizes, blocks.taken, parts, strict=True):
        total = np.zeros(size)
        for column, alternatives in zip(taken.T if part else (), part, strict=True):
            total += np.array([0.0 if one is None else value() for one in alternatives])[column]
        tables.append(total)
    return Additive(0.0, tuple(tables))


def _params(space: NetworkSpace, blocks: Blocks, like: Additive) -> Additive:
    """Parameters in millions as a sum over blocks, those in int8 as a quarter; 0 where they are none."""
    try:
        counted = count_tables(space)["params"]
    except SearchkitError:
        return Additive(0.0, tuple(np.zeros(len(table)) for table in like.tables))
    tables = [
        table / 1e6 * np.where(_in_int8(space, blocks, i), INT8_BYTES, 1.0) for i, table in enumerate(counted.tables)
    ]
    return Additive(counted.base / 1e6, tuple(tables))


def _in_int8(space: NetworkSpace, blocks: Blocks, block: int) -> Bools:
    """``(a,)`` whether the alternatives of a block are in int8."""
    name = blocks.names[block]
    choice = name if name == rest_precision(space) else precision_choice(space, name)
    if choice is None:
        return np.zeros(blocks.sizes[block], dtype=np.bool_)
    place = space.names.index(choice)
    int8 = space.choices[place].index("int8")
    found: Bools = blocks.alternatives[block][:, blocks.columns[block].index(place)] == int8
    return found
