"""Exact costs of networks as sums over the nodes of a trained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from searchkit.compression.alternatives import Alternative
from searchkit.compression.cutting import Cut
from searchkit.space import NetworkSpace
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Sums:
    """Exact costs of networks as sums over their nodes.

    Attributes:
        base: what the network costs outside of its nodes, by "params" and "macs".
        tables: for each node, in the order of the choices, ``(a,)`` of every alternative.
    """

    base: Mapping[str, float]
    tables: Mapping[str, tuple[Floats, ...]]

    def __call__(self, space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
        rows = space.check(codes)
        return {
            name: base + np.sum([table[rows[:, j]] for j, table in enumerate(self.tables[name])], axis=0)
            for name, base in self.base.items()
        }


def sums_of(cut: Cut, options: Mapping[str, Mapping[str, Alternative]]) -> Sums:
    base, tables = {}, {}
    for cost, whole in (("params", cut.params), ("macs", cut.macs)):
        values = [np.array([float(getattr(one, cost)) for one in found.values()]) for found in options.values()]
        base[cost] = float(whole - sum(table[0] for table in values))
        tables[cost] = tuple(values)
    return Sums(base, tables)
