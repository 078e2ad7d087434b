"""What a candidate's choices add up to: features that any space has, for models of few observations."""

from __future__ import annotations

import numpy as np

from searchkit.space import Space
from searchkit.types import Codes, Floats


def structure(space: Space, codes: Codes) -> Floats:
    """``(n, q)`` in [0, 1]: the choices (:meth:`Space.features`), and how often each option is taken.

    Options are counted over the choices that have the same ones, such as the operations of a cell's edges or of a
    network's layers: what a few observations say of one edge, they say of the others. Where the space knows more of its
    graph (``space.graph_features``, an optional attribute ``codes -> (n, g)``), that stands beside them.
    """
    parts = [space.features(codes)]
    groups: dict[tuple[str, ...], list[int]] = {}
    for j, choice in enumerate(space.choices):
        groups.setdefault(tuple(map(repr, choice.labels)), []).append(j)
    for labels, columns in groups.items():
        if len(columns) > 1:
            taken = codes[:, columns, None] == np.arange(len(labels))
            parts.append(taken.mean(axis=1))
    graph = getattr(space, "graph_features", None)
    if graph is not None:
        parts.append(np.asarray(graph(codes), dtype=np.float64))
    return np.concatenate(parts, axis=1)
