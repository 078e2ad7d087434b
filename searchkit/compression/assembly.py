"""Which alternatives to take for all blocks: the best sum of qualities under bounds, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.blocks.additive import Additive, blocks_of
from searchkit.blocks.solve import Limit, Solution, solve
from searchkit.compression.quality import Key
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import NetworkSpace
from searchkit.types import Codes

SHARES = (1.0, 0.85, 0.7, 0.55, 0.4)  # of the upper bounds under which networks are looked for, in this order
TIGHTER = 0.97  # times the bounds for each network that broke one when it was measured as a whole


def additive(space: NetworkSpace, values: Mapping[Key, float], base: float = 0.0) -> Additive:
    """A sum over the nodes of a space.

    Args:
        values: (node, alternative) -> value; an alternative without one has 0.
    """
    blocks = blocks_of(space)
    tables = [
        np.array([float(values.get((name, label), 0.0)) for label in labels[0]])
        for name, labels in zip(blocks.names, blocks.labels, strict=True)
    ]
    return Additive(float(base), tuple(tables))


@dataclass(frozen=True)
class Cost:
    """What assembled networks cost in one respect, as a sum over the blocks, and the bound on it.

    Attributes:
        name: of the metric.
        own: the cost of the network that was given.
        differences: (node, alternative) -> by how much an alternative changes it.
        asked: the highest value that is allowed.
        bound: the highest sum that is looked for: lower than ``asked`` where networks cost more than the sum says.
    """

    name: str
    own: float
    differences: Mapping[Key, float]
    asked: float
    bound: float

    def total(self, space: NetworkSpace) -> Additive:
        """The sum over the blocks of a space."""
        return additive(space, self.differences, self.own)

    def limit(self, space: NetworkSpace, share: float = 1.0) -> Limit:
        """The bound, times a share."""
        return Limit(self.name, self.total(space), high=share * self.bound)


def choose(
    space: NetworkSpace, quality: Additive, costs: Sequence[Cost], share: float = 1.0, known: Codes | None = None
) -> Solution:
    """The network of the lowest sum of qualities within the bounds; see :func:`searchkit.blocks.solve.solve`.

    Args:
        share: of the bounds, under which it has to be.
        known: ``(k, d)`` networks that are not to be chosen again.
    """
    forbidden = None if known is None or not len(known) else blocks_of(space).choose(known)
    return solve(quality, [cost.limit(space, share) for cost in costs], forbidden=forbidden)


class Assembly:
    """A strategy over the blocks of a trained network: first the network itself, then the best ones within the bounds.

    The best sum of qualities within the bounds comes first, then the best within shares of them. A network that broke a
    bound when it was measured as a whole makes the bounds of the next ones tighter. It asks for no more candidates when
    enough have kept the bounds.

    Args:
        problem: of which the first objective is a score and the others are the costs, in their order.
        quality: lower is better.
        costs: the bounded costs.
        networks: how many that keep the bounds are wanted.
    """

    def __init__(self, problem: Problem, quality: Additive, costs: Sequence[Cost], networks: int = 1) -> None:
        self.problem, self.quality, self.costs, self.networks = problem, quality, tuple(costs), networks
        assert isinstance(problem.space, NetworkSpace)
        self.space = problem.space
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """See :class:`~searchkit.problem.problem.Strategy`."""
        known = np.concatenate([self._told.codes, pending])
        found: list[Codes] = []
        original = np.zeros((1, self.space.n_choices), dtype=np.int64)
        if not (known == 0).all(axis=1).any():
            found.append(original)
            known = np.concatenate([known, original])
        broken = self._broken
        place = len(known) - 1 - broken
        while len(found) < n and place < self.networks:
            share = SHARES[min(place, len(SHARES) - 1)] * TIGHTER**broken
            picked = choose(self.space, self.quality, self.costs, share, known).picked
            if picked is None:
                break
            code = blocks_of(self.space).codes(picked[None])
            known, place = np.concatenate([known, code]), place + 1
            found.append(code)
        return np.concatenate(found) if found else np.empty((0, self.space.n_choices), dtype=np.int64)

    def tell(self, told: Observations) -> None:
        """Keep a batch."""
        self._told = self._told + told

    @property
    def _broken(self) -> int:
        """How many of the networks but the original itself broke a bound, or failed."""
        others = self._told[(self._told.codes != 0).any(axis=1)]
        bounds = np.array([cost.asked for cost in self.costs])
        kept = (others.losses[:, -len(bounds) :] <= bounds).all(axis=1)
        return int((~kept).sum())
