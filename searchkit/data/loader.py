"""Batches on the device they are used on: shuffled, normalised and, of images, shifted and mirrored, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.runtime.devices import placed


class Normaliser:
    """Inputs as stored -> ``(x - mean) / std`` per channel or feature, float32, on the device."""

    def __init__(self, data: Data, device: torch.device) -> None:
        shape = (1, -1, *[1] * (data.train.x.ndim - 2))
        self.mean = torch.tensor(data.mean, device=device).view(shape)
        self.scale = 1.0 / torch.tensor(data.std, device=device).view(shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return (placed(x, x.device).float() - self.mean) * self.scale


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

    Arguments and methods as of :class:`TrainBatches`. The table is standardised once.
    """

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        self.n = len(data.train)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.generator = generator
        stored = put_on_device(data, device)
        self.x, self.y = stored.x, stored.y
        self.order = torch.empty(self.n, dtype=torch.int64, device=device)

    def shuffle(self) -> None:
        """As of :class:`TrainBatches`."""
        _put(torch.randperm(self.n, generator=self.generator), self.order)

    def batch(self, places: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(x (batch, features) float32, y (batch,))``."""
        chosen = self.order[places]
        return self.x[chosen], self.y[chosen]


class TrainBatches:
    """Endless epochs over the train part; what they hold depends on the seed alone.

    Args:
        data: its train part is put on the device once for all trainings, padded by the largest shift.
        batch_size: an epoch drops the incomplete last batch; data smaller than a batch are one batch.
        generator: draws order, shifts and flips, on the CPU: the same draws whatever the device.
    """

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        self.n = len(data.train)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.generator = generator
        self.normalise = Normaliser(data, device)
        self.pad = _padding(data)
        self.flip = data.augment == "crop-flip"
        stored = put_on_device(data, device)
        self.x, self.y = stored.x, stored.y
        self.rows, self.columns = (torch.arange(size, device=device) for size in data.input_shape[1:])
        # Of the epoch at hand: drawn anew into the same tensors, which is where a recorded step looks for them.
        self.order, self.top, self.left = (torch.empty(self.n, dtype=torch.int64, device=device) for _ in range(3))
        self.mirrored = torch.empty(self.n, dtype=torch.bool, device=device)

    def shuffle(self) -> None:
        """Draw the next epoch: its order, and each image's shift and flip."""
        _put(torch.randperm(self.n, generator=self.generator), self.order)
        for offsets in (self.top, self.left):
            _put(torch.randint(0, 2 * self.pad + 1, (self.n, 1), generator=self.generator)[:, 0], offsets)
        if self.flip:
            _put(torch.rand(self.n, generator=self.generator) < 0.5, self.mirrored)

    def batch(self, places: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(x (batch, c, h, w) float32, y (batch,))`` of so many places in the epoch's order."""
        chosen = self.order[places]
        if not self.pad and not self.flip:
            return self.normalise(self.x[chosen].permute(0, 3, 1, 2)), self.y[chosen]
        rows = self.top[places][:, None] + self.rows
        columns = self.left[places][:, None] + self.columns
        if self.flip:
            columns = torch.where(self.mirrored[places][:, None], columns.flip(1), columns)
        x = self.x[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return self.normalise(x.permute(0, 3, 1, 2)), self.y[chosen]


@dataclass(frozen=True)
class Stored:
    """The train part as it lies on a device: images as they came, channels last and padded; tables standardised.

    Channels last, one gather cuts every image of a batch at its own place; the padding is 0 as stored: black, or the
    mean where the user has normalised already.
    """

    x: torch.Tensor
    y: torch.Tensor


_stored: WeakKeyDictionary[Data, dict[torch.device, Stored]] = WeakKeyDictionary()


def put_on_device(data: Data, device: torch.device) -> Stored:
    """The train part on a device: put there once, for all trainings, and kept as long as the data are."""
    copies = _stored.setdefault(data, {})
    if device not in copies:
        if data.kind == "table":
            x = Normaliser(data, device)(data.train.x.to(device))
        else:
            pad = _padding(data)
            channels_last = data.train.x.to(device).permute(0, 2, 3, 1)
            x = functional.pad(channels_last, (0, 0, pad, pad, pad, pad)).contiguous()
        copies[device] = Stored(x, targets(data, data.train.y).to(device))
        if device.type == "cuda":  # trainings on other streams will read it
            torch.cuda.current_stream(device).synchronize()
    return copies[device]


def _padding(data: Data) -> int:
    """Pixels of the largest shift: 1 of 8, 4 of 32."""
    return 0 if data.augment == "none" else min(data.input_shape[1:]) // 8


def _put(drawn: torch.Tensor, there: torch.Tensor) -> None:
    """Copy to a device without waiting for what it still has to do with the former content."""
    there.copy_(drawn.pin_memory() if there.is_cuda else drawn, non_blocking=True)


def in_order(
    split: Split, batch_size: int, normalise: Normaliser, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All examples of a part, in order, the last batch as small as it comes."""
    for start in range(0, len(split), batch_size):
        chosen = slice(start, start + batch_size)
        yield normalise(split.x[chosen].to(device)), split.y[chosen].to(device)
