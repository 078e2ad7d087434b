"""Features of a cell's graph: number and length of paths, and degrees of nodes, for each set of operations.

Kadlecova et al., Surprisingly Strong Performance Prediction with Neural Graph Features, ICML 2024
(arXiv 2404.16551): a few graph properties, computed for every subset of the operations, predict accuracy from few
labels.
"""

from __future__ import annotations

import itertools

import numpy as np

from searchkit.spaces.cell_form import EDGES, OPERATIONS
from searchkit.types import Bools, Codes, Floats

_OUTPUT = max(target for _, target in EDGES)
_FAR = _OUTPUT + 1  # stands for the length of a missing path


def cell_graph(codes: Codes) -> Floats:
    """``(n, 105)``: for each of the 15 sets of operations without none, seven numbers of the edges that carry them.

    Number, shortest and longest length of the paths from input to output; edges out of the input, into the output, and
    at each of the two nodes between.
    """
    columns: list[Floats] = []
    present = np.arange(1, len(OPERATIONS))
    for size in range(1, len(present) + 1):
        for allowed in itertools.combinations(present, size):
            columns.extend(_properties(np.isin(codes[:, : len(EDGES)], allowed)))
    return np.stack(columns, axis=1).astype(np.float64)


def _properties(used: Bools) -> list[Floats]:
    """The seven numbers, each ``(n,)``, of the graph of used edges ``(n, 6)``."""
    whole = np.stack([used[:, path].all(axis=1) for path in PATHS], axis=1)
    lengths = np.array([len(path) for path in PATHS])
    degrees = [used[:, [j for j, edge in enumerate(EDGES) if node in edge]].sum(axis=1) for node in range(_OUTPUT + 1)]
    shortest = np.where(whole, lengths, _FAR).min(axis=1)
    longest = np.where(whole, lengths, 0).max(axis=1)
    return [whole.sum(axis=1), shortest, longest, *degrees]


def _paths(node: int = 0) -> list[list[int]]:
    """All paths from a node to the output, as lists of edges."""
    if node == _OUTPUT:
        return [[]]
    return [[j, *rest] for j, (source, target) in enumerate(EDGES) if source == node for rest in _paths(target)]


PATHS = _paths()
