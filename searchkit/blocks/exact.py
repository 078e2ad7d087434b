"""The exact Pareto front of additive models over a whole space, however large, and its k best networks.

A network with a dominated partial sum is itself dominated, by the network that has the dominating partial sum instead
(Nemhauser and Ullmann on the knapsack problem, Management Science 15, 1969). So blocks are added one by one and
dominated partial sums are dropped, without losing a point of the front.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from searchkit.blocks.additive import Additive
from searchkit.errors import SearchkitError
from searchkit.problem.pareto import non_dominated
from searchkit.types import Bools, Codes, Floats

LARGEST_FRONT = 2_000_000  # partial sums kept


def front(models: Sequence[Additive]) -> tuple[Codes, Floats]:
    """All values that no network of the space dominates, with one network each; every model is minimised.

    Args:
        models: one to three terms over the same blocks.

    Returns:
        Alternatives ``(f, m)`` and values ``(f, k)``, in the order of the first term.

    Raises:
        SearchkitError: more than three terms, terms over different blocks, or a front of over two million networks.
    """
    k, m = len(models), len(models[0].tables)
    if not 1 <= k <= 3:
        raise SearchkitError(f"the exact front takes one to three additive terms, not {k}; bound the others in solve()")
    if any([len(t) for t in model.tables] != [len(t) for t in models[0].tables] for model in models):
        raise SearchkitError("the terms are over different blocks")
    order = sorted(range(m), key=lambda i: len(models[0].tables[i]))
    values = np.array([[model.base for model in models]])
    steps: list[tuple[int, Codes, Codes]] = []  # block, row of the step before, alternative
    for i in order:
        own = np.column_stack([model.tables[i] for model in models])
        good = np.flatnonzero(_kept(own))
        sums = (values[:, None, :] + own[None, good, :]).reshape(-1, k)
        rows = np.flatnonzero(_kept(sums))
        if len(rows) > LARGEST_FRONT:
            raise SearchkitError(f"the front has over {LARGEST_FRONT:,} networks; round the costs to make it smaller")
        values = sums[rows]
        steps.append((i, rows // len(good), good[rows % len(good)]))
    picked = np.empty((len(values), m), dtype=np.int64)
    at = np.lexsort(values.T[::-1])
    values = values[at]
    for i, before, alternative in reversed(steps):
        picked[:, i] = alternative[at]
        at = before[at]
    return picked, values


def k_best(model: Additive, k: int) -> tuple[Codes, Floats]:
    """The k networks of lowest sum, best first: ``(k, m)`` and values ``(k,)``; fewer where the space ends.

    The alternatives of each block are sorted once; a network's successors differ in one block by one place, and
    each has one predecessor only (Lawler's partition, Management Science 18, 1972).
    """
    orders = [np.argsort(table, kind="stable") for table in model.tables]
    steps = [np.diff(table[order]) for table, order in zip(model.tables, orders, strict=True)]
    start = (0,) * len(steps)
    lowest = model.base + sum(float(table.min()) for table in model.tables)
    heap: list[tuple[float, tuple[int, ...], int]] = [(lowest, start, 0)]
    places: list[tuple[int, ...]] = []
    found: list[float] = []
    while heap and len(places) < k:
        value, place, first = heapq.heappop(heap)
        places.append(place)
        found.append(value)
        for i in range(first, len(place)):
            if place[i] < len(steps[i]):
                following = (*place[:i], place[i] + 1, *place[i + 1 :])
                heapq.heappush(heap, (value + float(steps[i][place[i]]), following, i))
    rows = np.array(places, dtype=np.int64).reshape(len(places), len(steps))
    picked = np.column_stack([order[rows[:, i]] for i, order in enumerate(orders)])
    return picked, model(picked)


def _kept(values: Floats) -> Bools:
    """``(n,)`` bool: not dominated, and of equal rows the first."""
    keep: Bools = np.zeros(len(values), dtype=np.bool_)
    if values.shape[1] == 1:
        keep[int(np.argmin(values[:, 0]))] = True
        return keep
    if values.shape[1] == 2:
        order = np.lexsort((values[:, 1], values[:, 0]))
        second = values[order, 1]
        best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
        keep[order[second < best_before]] = True
        return keep
    order = np.lexsort(values.T[::-1])  # equal rows are neighbours, the first of them first
    rows = values[order]
    new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])
    first = order[new]
    keep[first[non_dominated(rows[new])]] = True  # Nemhauser and Ullmann 1969: drop dominated partial sums
    return keep
