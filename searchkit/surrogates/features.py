"""Features of candidates for surrogate models: the structure, the single choices, and the blocks."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from searchkit.blocks.additive import blocks_if_listed
from searchkit.space import Space, is_number, keys
from searchkit.space.indicators import indicators, width
from searchkit.surrogates.kernels import NEAR, SUM, ByChoice, Kernel
from searchkit.types import Codes, Floats

SAMPLE = 256  # random candidates that features are scaled by
_ALIKE: WeakKeyDictionary[Space, list[tuple[int, list[int]]]] = WeakKeyDictionary()
REMEMBERED = 20_000  # a space of at most so many combinations has its candidates' features kept


def structure(space: Space, codes: Codes) -> Floats:
    """``(n, q)`` in [0, 1]: the choices (:meth:`Space.features`), and how often each option is taken.

    Options are counted over the choices that have the same ones, such as the operations of a cell's edges or of a
    network's layers, so that a model generalises from one edge to the others. Features of the networks' graph follow
    where the space has any (``space.graph_features``, an optional attribute ``codes -> (n, g)``).
    """
    parts = [space.features(codes)]
    for n, columns in _alike(space):
        taken = indicators(codes[:, columns].ravel(), n).reshape(len(codes), len(columns), width(n))
        parts.append(taken.mean(axis=1))
    graph = getattr(space, "graph_features", None)
    if graph is not None:
        parts.append(np.asarray(graph(codes), dtype=np.float64))
    return np.concatenate(parts, axis=1)


def _alike(space: Space) -> list[tuple[int, list[int]]]:
    """Of the choices that share their options: the number of these, and their columns; read once for each space."""
    if space not in _ALIKE:
        groups: dict[tuple[str, ...], list[int]] = {}
        for j, choice in enumerate(space.choices):
            if not is_number(choice):
                groups.setdefault(tuple(map(repr, choice.labels)), []).append(j)
        _ALIKE[space] = [(len(labels), columns) for labels, columns in groups.items() if len(columns) > 1]
    return _ALIKE[space]


class Features:
    """Groups of features of candidates, and a kernel for each group.

    * The structure (:func:`structure`): choices, option counts, graph; one distance over
      all of them.
    * The choices, each with a length scale of its own.
    * The space's blocks (:mod:`searchkit.blocks.additive`) where it names any, its choices otherwise: a sum of their
      values.

    Args:
        space: of the candidates. Features are scaled by a fixed random sample of it.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._blocks = blocks_if_listed(space)
        widths, of = _by_choice(space)
        self._widths = widths
        self.kernels: tuple[Kernel, ...] = (NEAR, ByChoice(of), SUM)
        self._rows: dict[bytes, int] = {}
        self._known: list[Floats] = []
        sample = space.sample(SAMPLE, np.random.default_rng(20_240_229))
        self._near = _moments(structure(space, sample))
        self._sum = _moments(self._parts(sample))

    def __call__(self, codes: Codes) -> list[Floats]:
        """One ``(n, p)`` matrix per kernel; in a small space each candidate's are computed once."""
        if self.space.size > REMEMBERED:
            return self._computed(codes)
        found = keys(codes)
        new = list({key: i for i, key in enumerate(found) if key not in self._rows}.values())
        if new or not self._known:
            made = self._computed(codes[new])
            n = len(self._rows)
            self._rows.update((found[i], n + place) for place, i in enumerate(new))
            self._known = (
                [np.concatenate(pair) for pair in zip(self._known, made, strict=True)] if self._known else made
            )
        rows = np.array([self._rows[key] for key in found], dtype=np.int64)
        return [group[rows] for group in self._known]

    def _computed(self, codes: Codes) -> list[Floats]:
        near, parts = structure(self.space, codes), self._parts(codes)
        scaled = [(x - mean) * scale for x, (mean, scale) in ((near, self._near), (parts, self._sum))]
        return [scaled[0] / np.sqrt(2), self.space.features(codes) * self._widths, scaled[1]]

    def _parts(self, codes: Codes) -> Floats:
        if self._blocks is None:
            return self.space.features(codes)
        return self._blocks.encode(self._blocks.choose(codes))


def _moments(x: Floats) -> tuple[Floats, Floats]:
    """Mean ``(p,)`` and a factor ``(p,)`` that makes the mean squared norm 1; 0 for constant columns."""
    std = x.std(axis=0)
    varied = std > 0
    return x.mean(axis=0), np.where(varied, 1 / np.where(varied, std, 1.0), 0.0) / np.sqrt(max(int(varied.sum()), 1))


def _by_choice(space: Space) -> tuple[Floats, Codes]:
    """``(p,)`` factors for the columns of ``space.features``, and the choice that each belongs to.

    All choices together have a mean squared distance of 1, to which each contributes the same.
    """
    widths: list[float] = []
    of: list[int] = []
    for j, choice in enumerate(space.choices):
        m = len(choice.options)
        if choice.ordered:
            mean_square = (m + 1) / (6 * max(m - 1, 1))  # of the difference of two uniform numbers of the grid
            widths.append(mean_square**-0.5 if m > 1 else 0.0)
            of.append(j)
        else:
            widths += [(2 * (1 - 1 / m)) ** -0.5 if m > 1 else 0.0] * width(m)
            of += [j] * width(m)
    return np.array(widths) / np.sqrt(space.n_choices), np.array(of)
