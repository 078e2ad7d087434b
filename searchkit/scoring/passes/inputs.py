"""Batches on which proxies run networks: noise, images and augmented images, drawn once for all networks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.normalising import Normaliser, targets
from searchkit.errors import CandidateError
from searchkit.runtime.devices import placed
from searchkit.space.inputs import as_output_shape, as_shape, noise
from searchkit.types import Task


class ProxyInputs:
    """Batches that depend on the seed and their own arguments alone; each is drawn once and kept.

    Args:
        data: its train part is what :meth:`images` draws from. Without data, images are standard normal noise and
            labels are random.
        input_shape, output_shape: of the networks; a number of classes is an output_shape, too.
        device: of the batches.
        seed: of every draw.
    """

    def __init__(
        self,
        data: Data | None,
        input_shape: Sequence[int],
        output_shape: int | Sequence[int],
        device: torch.device,
        seed: int,
    ) -> None:
        self.data = data
        self.input_shape = as_shape(input_shape)
        self.output_shape = as_output_shape(output_shape)
        self.device = device
        self.seed = seed
        self._kept: dict[tuple[str, int, int], tuple[Tensor, Tensor]] = {}
        self._made: dict[Hashable, Tensor] = {}

    @property
    def n_classes(self) -> int:
        """The first number of ``output_shape``."""
        return self.output_shape[0]

    @property
    def task(self) -> Task:
        """Of the data; without data, or with noise, the labels are classes."""
        return "classification" if self.data is None else self.data.task

    def noise(self, batch: int, index: int = 0) -> tuple[Tensor, Tensor]:
        """Standard normal ``(batch, c, h, w)`` and random labels ``(batch,)``; another ``index`` is another draw."""
        return self._keep("noise", batch, index)

    def images(self, batch: int, index: int = 0) -> tuple[Tensor, Tensor]:
        """Normalised training images ``(batch, c, h, w)`` and their labels; different indices share no image.

        Raises:
            CandidateError: there are fewer training images than that.
        """
        return self._keep("images" if self.data else "noise", batch, index)

    def augmented(self, batch: int) -> Tensor:
        """Training images, each shifted by up to an eighth of the side, and mirrored where the data allow that."""
        return self._keep("augmented" if self.data else "noise", batch, 0)[0]

    def signs(self, shape: tuple[int, ...]) -> Tensor:
        """Random +1 and -1, kept, since drawing them anew takes longer than the pass that uses them."""

        def draw() -> Tensor:
            return torch.randint(0, 2, shape, generator=self.generator(*shape)).mul_(2).sub_(1).to(torch.float32)

        return self.once(("signs", shape), draw)

    def once(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """A tensor on the device that is the same for every network, made on first use."""
        if key not in self._made:
            self._made[key] = placed(make(), self.device)
        return self._made[key]

    def generator(self, *stream: int) -> torch.Generator:
        """Random numbers from the seed and the numbers of the stream, on the CPU."""
        return torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, *stream]).generate_state(1)[0]))

    def _keep(self, kind: str, batch: int, index: int) -> tuple[Tensor, Tensor]:
        key = (kind, batch, index)
        if key not in self._kept:
            x, y = self._draw(*key)
            self._kept[key] = (placed(x, self.device), y.to(self.device))
        return self._kept[key]

    def _draw(self, kind: str, batch: int, index: int) -> tuple[Tensor, Tensor]:
        generator = self.generator(index)
        if kind == "noise" or self.data is None:
            return noise(batch, self.input_shape, generator), self._random_targets(batch, generator)
        split = self.data.train
        if len(split) < (index + 1) * batch:
            raise CandidateError(f"it needs {(index + 1) * batch} training images and the data have {len(split)}")
        order = np.random.default_rng([self.seed, 1]).permutation(len(split))
        rows = torch.from_numpy(order[index * batch : (index + 1) * batch])
        normalise = Normaliser(self.data, torch.device("cpu"))
        x, y = normalise(split.x[rows]), targets(self.data, split.y[rows])
        return (_augmented(x, self.data, generator) if kind == "augmented" else x), y

    def _random_targets(self, batch: int, generator: torch.Generator) -> Tensor:
        k, pixels = self.n_classes, self.output_shape[1:]
        if self.task == "regression":
            return torch.randn(*([batch] if k == 1 else [batch, k]), generator=generator)
        if self.task == "maps":
            return torch.randn(batch, k, *pixels, generator=generator)
        if self.task == "multilabel":
            return torch.randint(0, 2, (batch, k), generator=generator)
        return torch.randint(0, k, (batch, *pixels), generator=generator)


def _augmented(x: Tensor, data: Data, generator: torch.Generator) -> Tensor:
    if data.augment == "none" or data.kind != "images":
        return x
    height, width = x.shape[2:]
    pad = min(height, width) // 8  # 4 of 32 pixels, as published
    padded = functional.pad(x, (pad, pad, pad, pad))
    images = []
    for image in padded:
        top, left, flip = torch.randint(0, 2 * pad + 1, (3,), generator=generator).tolist()
        cut = image[:, top : top + height, left : left + width]
        images.append(cut.flip(2) if data.augment == "crop-flip" and flip % 2 else cut)
    return torch.stack(images)
