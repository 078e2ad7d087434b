"""Stratified splits of examples into parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.targets import rarest


@dataclass(frozen=True)
class Mapped:
    """Images in a file of bytes, which is mapped into memory: what is not used takes none.

    Attributes:
        path: of the file.
        shape: ``(channels, height, width)`` of an image.
        first, n: images from the ``first`` of the file on.
    """

    path: str
    shape: tuple[int, int, int]
    first: int
    n: int

    def is_before(self, other: Mapped) -> bool:
        """Whether the others follow in the same file."""
        return (self.path, self.shape, self.first + self.n) == (other.path, other.shape, other.first)

    def longer(self, n: int) -> Mapped:
        """With the next n images of the file."""
        return replace(self, n=self.n + n)

    def open(self) -> torch.Tensor:
        """``(n, channels, height, width)`` uint8; changes of it are not written."""
        of_one = math.prod(self.shape)
        whole = torch.from_file(self.path, shared=False, size=(self.first + self.n) * of_one, dtype=torch.uint8)
        return whole[self.first * of_one :].view(self.n, *self.shape)


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data: images ``x (n, c, h, w)`` uint8 or float32, or rows of features ``x (n, f)`` float32.

    ``y (n,)`` is int64 from 0 to k - 1 for classes; in regression float64 in the target's own unit, ``(n,)`` or
    ``(n, k)``. Several labels at once are ``y (n, k)`` int64 of 0 and 1, masks ``(n, h, w)`` int16 with -1 where a
    pixel is left out, and maps ``(n, c, h, w)`` float32 with NaN there. ``weight (n,)`` float64, 0 or more, is how much
    each example counts in the loss and in scores; None: all alike. ``mapped`` says where in a file ``x`` is, if it is
    read from there as it is used.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None = None
    mapped: Mapped | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __reduce__(self) -> tuple[object, ...]:
        weight = None if self.weight is None else self.weight.numpy()
        if self.mapped is not None:  # another process reads the file
            return mapped_split, (self.mapped, self.y.numpy(), weight)
        # pickled as numpy arrays: torch would use a file handle and shared memory for each tensor sent to a process
        return split_of, (self.x.numpy(), self.y.numpy(), weight)

    def rows(self, rows: torch.Tensor | slice) -> Split:
        """The examples of these rows, with their weights."""
        return Split(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


def joined(first: Split, second: Split) -> Split:
    """The examples of two parts; where only one of them has weights, those of the other are 1."""
    parts, weight = (first, second), None
    if any(part.weight is not None for part in parts):
        ones = [torch.ones(len(part), dtype=torch.float64) if part.weight is None else part.weight for part in parts]
        weight = torch.cat(ones)
    y = torch.cat([part.y for part in parts])
    if first.mapped is not None and second.mapped is not None and first.mapped.is_before(second.mapped):
        return mapped_split(first.mapped.longer(len(second)), y.numpy(), None if weight is None else weight.numpy())
    return Split(torch.cat([part.x for part in parts]), y, weight)


def split_rows(
    y: npt.NDArray[Any], fractions: Sequence[float], rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """``[the rest, fraction 0, fraction 1, ...]`` as sorted row numbers; stratified by :func:`rarest`."""
    return stratified(rarest(y), fractions, rng)


def stratified(
    y: npt.NDArray[np.int64], fractions: Sequence[float], rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Split examples class by class: ``[the rest, fraction 0, fraction 1, ...]`` as sorted row numbers.

    Every part gets at least one example of each class that has at least as many examples as there are parts.
    """
    parts: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        counts = [max(1, round(fraction * len(rows))) for fraction in fractions]
        cuts = np.cumsum(counts)
        for part, chosen in zip(parts, [rows[cuts[-1] :], *np.split(rows[: cuts[-1]], cuts[:-1])], strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def mapped_split(
    mapped: Mapped, y: npt.NDArray[np.int64] | npt.NDArray[np.float64], weight: npt.NDArray[np.float64] | None = None
) -> Split:
    """A Split whose images are read from their file as they are used."""
    weights = None if weight is None else torch.from_numpy(np.array(weight))
    return Split(mapped.open(), torch.from_numpy(np.array(y)), weights, mapped)


def split_of(x: npt.NDArray[Any], y: npt.NDArray[Any], weight: npt.NDArray[Any] | None = None) -> Split:
    """A Split with its own copy of the arrays, which may be read-only."""
    kept = y.dtype in (np.int16, np.float32) and y.ndim > 2  # masks and maps
    wanted = y.dtype if kept else np.float64 if y.dtype.kind == "f" else np.int64
    weights = None if weight is None else torch.from_numpy(np.array(weight, dtype=np.float64))
    return Split(torch.from_numpy(np.array(x, order="C")), torch.from_numpy(np.array(y, dtype=wanted)), weights)
