"""Batches of training examples, made on the device that uses them: shuffled, normalised, augmented."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch.nn import functional

from searchkit.data.augmenting import DRAWN, changed, draw, n_taken, transformed
from searchkit.data.data import Augment, Data
from searchkit.data.masks import IGNORED
from searchkit.data.normalising import Normaliser, averaging_one, targets
from searchkit.data.splits import Split
from searchkit.runtime.devices import memory_format, placed


def train_batches(
    data: Data, batch_size: int, device: torch.device, generator: torch.Generator, augment: Augment | None = None
) -> TrainBatches | TableBatches:
    """Batches of the train part, of images or others; arguments as in :class:`TrainBatches`."""
    if data.kind == "signals" and (augment or data.augment) == "shift":
        return ShiftedBatches(data, batch_size, device, generator)
    if data.kind != "images":
        return TableBatches(data, batch_size, device, generator)
    return TrainBatches(data, batch_size, device, generator, augment)


class TableBatches:
    """Batches of rows of a table, tokens or signals, epoch after epoch, in an order that only the seed determines.

    Arguments and methods are those of :class:`TrainBatches`. Tables and signals are standardised once.
    """

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        self.n = len(data.train)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.generator = generator
        stored = put_on_device(data, device)
        self.x, self.y, self.weight = stored.x, stored.y, stored.weight
        self.order = torch.empty(self.n, dtype=torch.int64, device=device)

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""
        _put(torch.randperm(self.n, generator=self.generator), self.order)

    def batch(self, places: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(x (batch, ...), y (batch,))`` at these places in the epoch's order."""
        chosen = self.order[places]
        return self.x[chosen], self.y[chosen]

    def weights(self, places: slice | torch.Tensor) -> torch.Tensor | None:
        """``(batch,)`` how much the examples at these places count; None: all alike."""
        return None if self.weight is None else self.weight[self.order[places]]


class ShiftedBatches(TableBatches):
    """Batches of signals, each shifted in time by up to an eighth of its length; what comes in is the mean."""

    def __init__(self, data: Data, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        super().__init__(data, batch_size, device, generator)
        self.times = torch.arange(data.input_shape[1], device=device)
        self.pad = data.input_shape[1] // 8
        self.first = torch.empty(self.n, dtype=torch.int64, device=device)

    def shuffle(self) -> None:
        """Draw the order of the next epoch, and the shift of each signal."""
        super().shuffle()
        _put(torch.randint(0, 2 * self.pad + 1, (self.n,), generator=self.generator), self.first)

    def batch(self, places: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`TableBatches.batch`."""
        x, y = super().batch(places)
        times = (self.first[places][:, None] + self.times)[:, None].expand(x.shape)
        return functional.pad(x, (self.pad, self.pad)).gather(2, times), y


class TrainBatches:
    """Batches of the train part of images, epoch after epoch; their content is determined by the seed alone.

    Args:
        data: its train part is put on the device once for all trainings, padded by the largest shift.
        batch_size: an epoch drops the incomplete last batch; data smaller than a batch are one batch.
        generator: draws order, shifts and flips on the CPU, so that they are the same for every device.
        augment: in place of the data's own; see :class:`~searchkit.data.data.Data`.
    """

    def __init__(
        self,
        data: Data,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator,
        augment: Augment | None = None,
    ) -> None:
        self.n = len(data.train)
        self.batch_size = min(batch_size, self.n)
        self.n_batches = self.n // self.batch_size
        self.generator = generator
        self.normalise = Normaliser(data, device)
        self.pad = _padding(data, augment)
        self.flip = (augment or data.augment) in ("crop-flip", "flip")
        self.strong = (augment or data.augment) == "randaugment"
        self.range = _range(data, device) if self.strong else (0.0, 0.0)
        self.transform = data.transform
        self.pairs = self.transform is not None and n_taken(self.transform) == 2
        stored = put_on_device(data, device, augment)
        self.x, self.y, self.weight = stored.x, stored.y, stored.weight
        self.padded, self.moves = stored.padded, stored.moves
        self._buffer: torch.Tensor | None = None
        self.rows, self.columns = (torch.arange(size, device=device) for size in data.input_shape[1:])
        # Of the current epoch. New draws overwrite these tensors, because a recorded step reads from them.
        self.order, self.top, self.left = (torch.empty(self.n, dtype=torch.int64, device=device) for _ in range(3))
        self.mirrored = torch.empty(self.n, dtype=torch.bool, device=device)
        self.drawn = torch.empty((self.n, DRAWN) if self.strong else 0, device=device)

    def shuffle(self) -> None:
        """Draw the next epoch: its order, and the shift and flip of each image."""
        _put(torch.randperm(self.n, generator=self.generator), self.order)
        for offsets in (self.top, self.left):
            _put(torch.randint(0, 2 * self.pad + 1, (self.n, 1), generator=self.generator)[:, 0], offsets)
        if self.flip:
            _put(torch.rand(self.n, generator=self.generator) < 0.5, self.mirrored)
        if self.strong:
            _put(draw(self.n, self.generator), self.drawn)

    def batch(self, places: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(x (batch, c, h, w) float32, y (batch, ...))`` at these places in the epoch's order.

        Masks and maps are moved with their images. Where images are read from a file as they are used, x is overwritten
        by the next call.
        """
        chosen = self.order[places]
        still = not self.pad and not self.flip
        if still and self.padded:
            return self._finished(self.x[chosen].permute(0, 3, 1, 2), self._targets(chosen), places)
        rows = self.top[places][:, None] + self.rows
        columns = self.left[places][:, None] + self.columns
        if self.flip:
            columns = torch.where(self.mirrored[places][:, None], columns.flip(1), columns)
        moved = chosen[:, None, None], rows[:, :, None], columns[:, None, :]
        y = self._targets(moved if self.moves and not still else chosen)
        if not self.padded:
            return self._finished(self._cropped(chosen, places), y, places, own=True)
        return self._finished(self.x[moved].permute(0, 3, 1, 2), y, places)

    def _finished(
        self, x: torch.Tensor, y: torch.Tensor, places: slice | torch.Tensor, own: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Strong changes, the user's own and normalisation of what was gathered; ``own`` images may be overwritten."""
        if self.strong:
            moving = y if self.moves else None
            x, moving = changed(placed(x, x.device).float(), self.drawn[places], moving, *self.range)
            y = y if moving is None else moving
        if self.transform is not None:
            x, y = transformed(self.transform, x, y, self.pairs)
        return (self.normalise.in_place(x) if own else self.normalise(x)), y

    def _targets(self, places: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
        found = self.y[places]
        return found.permute(0, 3, 1, 2) if self.moves and found.ndim == 4 else found

    def _cropped(self, chosen: torch.Tensor, places: slice | torch.Tensor) -> torch.Tensor:
        """``(batch, c, h, w)`` float32 of images that are not padded, each copied from its place in the file.

        Every batch is made in the same memory: large ones take longer to be given memory than to be read.
        """
        height, width = self.x.shape[2:]
        if self._buffer is None:
            shape = (self.batch_size, *self.x.shape[1:])
            self._buffer = torch.empty(shape).contiguous(memory_format=memory_format(self.x.device))
        made = self._buffer[: len(chosen)]
        if self.pad:
            made.zero_()
        tops, lefts = (of[places].tolist() if self.pad else [0] * len(chosen) for of in (self.top, self.left))
        mirrored = self.mirrored[places].tolist() if self.flip else [False] * len(chosen)
        for i, (row, top, left) in enumerate(zip(chosen.tolist(), tops, lefts, strict=True)):
            down, right = top - self.pad, left - self.pad  # where the crop begins in the image
            there = self.x[row, :, max(0, down) : height + down, max(0, right) : width + right]
            if mirrored[i]:
                there, right = there.flip(-1), -right
            made[i, :, max(0, -down) : height - down, max(0, -right) : width - right].copy_(there)
        return made

    def weights(self, places: slice | torch.Tensor) -> torch.Tensor | None:
        """See :meth:`TableBatches.weights`."""
        return None if self.weight is None else self.weight[self.order[places]]


@dataclass(frozen=True)
class Stored:
    """The train part on a device: images ``(n, h, w, c)``, padded and not normalised; tables standardised.

    With channels last, a single gather crops every image of a batch at its own position. The padding is 0 before
    normalisation: black, or the mean if the user has normalised the images already. Weights are 1 on average.
    Images that are read from a file as they are used stay there on the CPU, with channels first, and not ``padded``.
    Where y ``moves`` with the images, masks ``(n, h, w)`` and maps ``(n, h, w, c)`` are padded as these, with pixels
    that are left out.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None = None
    padded: bool = True
    moves: bool = False


_stored: WeakKeyDictionary[Data, dict[tuple[torch.device, int], Stored]] = WeakKeyDictionary()


def put_on_device(data: Data, device: torch.device, augment: Augment | None = None) -> Stored:
    """The train part on a device; it is put there once for all trainings that shift alike, and freed with the data."""
    copies, pad = _stored.setdefault(data, {}), _padding(data, augment)
    padded = data.train.mapped is None or device.type != "cpu"
    if (device, pad) not in copies:
        if data.kind != "images":
            x = Normaliser(data, device)(data.train.x.to(device))
        else:
            x = data.train.x.to(device)
            if padded:
                x = functional.pad(x.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad)).contiguous()
        weight = None if data.train.weight is None else averaging_one(data.train.weight).to(device)
        y = targets(data, data.train.y).to(device)
        moves = data.dense and y.shape[-2:] == data.train.x.shape[-2:]
        copies[device, pad] = Stored(x, _around(y, pad) if moves else y, weight, padded, moves)
        if device.type == "cuda":  # trainings on other streams read it
            torch.cuda.current_stream(device).synchronize()
    return copies[device, pad]


def _around(y: torch.Tensor, pad: int) -> torch.Tensor:
    """Masks ``(n, h, w)`` or maps ``(n, c, h, w)``, then with channels last, and pixels around that are left out."""
    if y.ndim == 3:
        return functional.pad(y, (pad, pad, pad, pad), value=IGNORED)
    return functional.pad(y.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad), value=math.nan).contiguous()


def _range(data: Data, device: torch.device) -> tuple[float, float]:
    """Least and largest value of the training images; of bytes those that they may have."""
    if data.train.x.dtype == torch.uint8:
        return 0.0, 255.0
    if device.type == "meta" or data.train.x.device.type == "meta" or not len(data.train):
        return 0.0, 1.0
    return float(data.train.x.min()), float(data.train.x.max())


def _padding(data: Data, augment: Augment | None = None) -> int:
    """Pixels of the largest shift of images, an eighth of the shorter side."""
    shifts = data.kind == "images" and (augment or data.augment) in ("shift", "crop-flip")
    return min(data.input_shape[1:]) // 8 if shifts else 0


def _put(drawn: torch.Tensor, there: torch.Tensor) -> None:
    """Queue a copy to a device: it is made after the work queued before, which may still use the former content."""
    there.copy_(drawn.pin_memory() if there.is_cuda else drawn, non_blocking=True)


def in_order(
    split: Split, batch_size: int, normalise: Normaliser, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All examples of a part in order, in batches of which the last may be smaller."""
    for start in range(0, len(split), batch_size):
        chosen = slice(start, start + batch_size)
        yield normalise(split.x[chosen].to(device)), split.y[chosen].to(device)
