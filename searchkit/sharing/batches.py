"""The batches of one epoch of a training of shared weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from searchkit.data.data import Data
from searchkit.data.loader import train_batches
from searchkit.training.recipe import Recipe


class Batches:
    """Batches of one epoch, from the first examples of an order where not all are used yet."""

    def __init__(self, data: Data, recipe: Recipe, device: torch.device, seed: int, rng: np.random.Generator) -> None:
        self.data, self.recipe, self.device = data, recipe, device
        self.order = np.random.default_rng([seed, len(data.train)]).permutation(len(data.train))
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        self._share, self._place = 0.0, 0
        self._held: Iterator[tuple[Tensor, Tensor, Tensor | None]] = iter(())

    def next(self, share: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """``x, y, weights`` of the next batch."""
        if share != self._share:
            self._share, self._held = share, self._endless(share)
        return next(self._held)

    def _endless(self, share: float) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        data = self.data
        if share < 1:
            rows = torch.from_numpy(np.sort(self.order[: max(2, round(share * len(self.order)))]))
            data = replace(data, train=data.train.rows(rows))
        batches = train_batches(data, self.recipe.batch_size, self.device, self.generator, self.recipe.augment)
        while True:
            batches.shuffle()
            for i in range(batches.n_batches):
                places = slice(i * batches.batch_size, (i + 1) * batches.batch_size)
                x, y = batches.batch(places)
                yield x, y, batches.weights(places)
