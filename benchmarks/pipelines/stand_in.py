"""A stand-in for a space with numbers, until searchkit.Space has them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.pipelines.parameters import Parameter, value_at
from searchkit.space import Space
from searchkit.types import Codes, Floats

STEPS = 10**15


class StandIn(Space):
    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = parameters
        self.name = "stand-in"
        self.names = tuple(p.name for p in parameters)
        self.numeric = np.array([not p.options for p in parameters])
        sizes = [len(p.options) if p.options else int(p.high - p.low) + 1 if p.whole else STEPS for p in parameters]
        self.n_options = np.array(sizes, dtype=np.int64)
        self.choices = tuple(
            SimpleNamespace(name=p.name, ordered=not p.options, options=range(n)) for p, n in zip(parameters, sizes, strict=True)
        )
        self._canonical = None

    @property
    def size(self) -> int:
        return math.prod(int(n) for n in self.n_options)

    def value(self, j: int, codes: Codes) -> list[Any]:
        p = self.parameters[j]
        if p.options:
            return [p.options[i] for i in codes]
        if p.whole:
            return [int(p.low) + int(i) for i in codes]
        return [value_at(p, float(i) / (STEPS - 1)) for i in codes]

    def active(self, codes: Codes) -> Any:
        found = np.ones(codes.shape, dtype=bool)
        for j, p in enumerate(self.parameters):
            if p.when is not None:
                parent = self.names.index(p.when[0])
                table = [v in p.when[1] for v in self.value(parent, np.arange(self.n_options[parent]))]
                found[:, j] = np.array(table)[codes[:, parent]] & found[:, parent]
        return found

    def canonical(self, codes: Codes) -> Codes:
        return np.where(self.active(codes), codes, 0)

    def positions(self, codes: Codes) -> Floats:
        found = codes.astype(float)
        for j, p in enumerate(self.parameters):
            if p.options:
                continue
            if p.whole:
                if p.log:
                    found[:, j] = np.log((codes[:, j] + p.low) / p.low) / math.log(p.high / p.low)
                else:
                    found[:, j] = codes[:, j] / (p.high - p.low)
            else:
                found[:, j] = codes[:, j] / (STEPS - 1)
        found[~self.active(codes)] = np.nan
        return found

    def from_positions(self, points: Floats) -> Codes:
        codes = np.zeros(points.shape, dtype=np.int64)
        for j, p in enumerate(self.parameters):
            column = np.nan_to_num(points[:, j], nan=0.0)
            if p.options:
                codes[:, j] = np.clip(np.rint(column), 0, len(p.options) - 1)
                continue
            column = np.clip(column, 0, 1)
            if p.whole:
                value = p.low * (p.high / p.low) ** column if p.log else p.low + column * (p.high - p.low)
                codes[:, j] = np.rint(value - p.low)
            else:
                codes[:, j] = np.rint(column * (STEPS - 1))
        return self.canonical(codes)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        points = rng.random((n, len(self.parameters)))
        for j, p in enumerate(self.parameters):
            if p.options:
                points[:, j] = rng.integers(0, len(p.options), n)
        return self.from_positions(points)

    def configs(self, codes: Codes) -> list[dict[str, Any]]:
        active = self.active(codes)
        columns = [self.value(j, codes[:, j]) for j in range(codes.shape[1])]
        return [{name: columns[j][i] for j, name in enumerate(self.names) if active[i, j]} for i in range(len(codes))]
