"""Batches on the device they are used on: shuffled, normalised and, of images, shifted and mirrored, all at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from searchkit.data import Data, Split


class Normaliser:
    """Inputs as stored -> ``(x - mean) / std`` per channel or feature, float32, on the device."""

    def __init__(self, data: Data, device: torch.device) -> None:
        shape = (1, -1, *[1] * (data.train.x.ndim - 2))
        self.mean = torch.tensor(data.mean, device=device).view(shape)
        self.scale = 1.0 / torch.tensor(data.std, device=device).view(shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return (x.float() - self.mean) * self.scale


def targets(data: Data, y: torch.Tensor) -> torch.Tensor:
    """What a network is trained towards: labels as they are, quantities ``(n,)`` standardised, float32."""
    if data.target is None:
        return y
    mean, std = data.target
    return ((y - mean) / std).float()


def train_batches(
    data: Data, batch_size: int, device: torch.device, generator: torch.Generator
) -> TrainBatches | TableBatches:
    """Epochs over the train part, for its kind of examples; arguments as of :class:`TrainBatches`."""
    kind = TableBatches if data.kind == "table" else TrainBatches
    return kind(data, batch_size, device, generator)


class TableBatches:
    """Endless epochs over the train part of a table, in an order that depends on the seed alone.

    Arguments as of :class:`TrainBatches`. The table is standardised once.
    """

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        self.n = len(data.train)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.device = device
        self.generator = generator
        self.x = Normaliser(data, device)(data.train.x.to(device))
        self.y = targets(data, data.train.y).to(device)

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """``(x (batch, features) float32, y (batch,))``, each example at most once."""
        order = torch.randperm(self.n, generator=self.generator).to(self.device, non_blocking=True)
        for start in range(0, self.n_batches * self.batch_size, self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield self.x[chosen], self.y[chosen]


class TrainBatches:
    """Endless epochs over the train part; what they hold depends on the seed alone.

    Args:
        data: its train part is put on the device once, padded by the largest shift.
        batch_size: an epoch drops the incomplete last batch; data smaller than a batch are one batch.
        generator: draws order, shifts and flips, on the CPU: the same draws whatever the device.
    """

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        split = data.train
        self.n = len(split)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.device = device
        self.generator = generator
        self.normalise = Normaliser(data, device)
        self.height, self.width = data.input_shape[1:]
        self.pad = 0 if data.augment == "none" else min(self.height, self.width) // 8  # 1 of 8, 4 of 32 pixels
        self.flip = data.augment == "crop-flip"
        # Channels last, so that one gather cuts every image of a batch at its own place; the padding is 0 as stored:
        # black, or the mean where the user has normalised already.
        channels_last = split.x.to(device).permute(0, 2, 3, 1)
        self.x = functional.pad(channels_last, (0, 0, self.pad, self.pad, self.pad, self.pad)).contiguous()
        self.y = targets(data, split.y).to(device)

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """``(x (batch, c, h, w) float32, y (batch,))``, each example at most once."""
        order = self._draw(torch.randperm(self.n, generator=self.generator))
        rows, columns = self._window(self.height), self._window(self.width)
        if self.flip:
            mirrored = self._draw(torch.rand(self.n, generator=self.generator) < 0.5)
            columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        for start in range(0, self.n_batches * self.batch_size, self.batch_size):
            stop = start + self.batch_size
            chosen = order[start:stop]
            if self.pad or self.flip:
                x = self.x[chosen[:, None, None], rows[start:stop, :, None], columns[start:stop, None, :]]
            else:
                x = self.x[chosen]
            yield self.normalise(x.permute(0, 3, 1, 2)), self.y[chosen]

    def _window(self, size: int) -> torch.Tensor:
        """``(n, size)``: where each image of the epoch is cut along one axis of the padded images."""
        offsets = torch.randint(0, 2 * self.pad + 1, (self.n, 1), generator=self.generator)
        return self._draw(offsets + torch.arange(size))

    def _draw(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.device, non_blocking=True)


def in_order(
    split: Split, batch_size: int, normalise: Normaliser, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All examples of a part, in order, the last batch as small as it comes."""
    for start in range(0, len(split), batch_size):
        chosen = slice(start, start + batch_size)
        yield normalise(split.x[chosen].to(device)), split.y[chosen].to(device)
