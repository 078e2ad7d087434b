"""One block of a space: its supernet trained to reproduce the teacher's map, and all its paths rated.

Li et al., DNA (arXiv 1911.13053). The supernet of block b maps the teacher's map b - 1 to its map b, so that blocks
are trained independently, in parallel if the executor allows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.blocks.additive import blocks_of
from searchkit.data.data import Data
from searchkit.data.normalising import Normaliser
from searchkit.proxies.dna_rating import finished, rate, rating, relative_error, walk
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_teacher import TeacherMaps
from searchkit.proxies.dna_training import OnEpoch, train_block
from searchkit.proxies.supernet import Part, Supernet, parts_of, supernet
from searchkit.runtime.devices import format_of, placed, resolve_device
from searchkit.runtime.threads import one_thread
from searchkit.space import NetworkSpace
from searchkit.training.evaluation import Evaluation
from searchkit.types import Codes, Floats

MEMORY = 2**30  # bytes of feature maps of the training images that are kept, for a block's input or output
PATH_IMAGES = 300_000  # paths times images: a block of thousands of paths is rated on fewer images,
FEWEST = 64  # and on no fewer than these
PUT_IN = 24  # paths whose outputs replace the teacher's map when a block's weight is measured


@dataclass(frozen=True)
class BlockTask(Evaluation):
    """Trains and rates one block; picklable.

    Attributes:
        folder: of its checkpoint; None: no checkpoint.
    """

    space: NetworkSpace
    data: Data
    teacher: nn.Module
    setting: DNASetting
    device: str
    seed: int
    folder: Path | None = None
    on_epoch: OnEpoch | None = None

    @property
    def device_name(self) -> str:
        """As of :class:`~searchkit.training.evaluation.Evaluation`."""
        return self.device

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, float]:
        """``{"weight": ..., "0": rating of path 0, ...}`` of the block of number ``code[0]``."""
        with one_thread():
            ratings, weight = self.run(int(code[0]))
        return {"weight": weight} | {str(i): float(value) for i, value in enumerate(ratings)}

    def run(self, number: int) -> tuple[Floats, float]:
        """``(a,)`` the ratings of the block's paths, lower is better, and the block's weight."""
        blocks = blocks_of(self.space)
        parts = parts_of(self.space, blocks)
        part, device = parts[number], resolve_device(self.device)
        lesson = TeacherMaps(copy.deepcopy(self.teacher).to(device), parts, self.space.input_shape)
        fed = None if number == 0 else lesson.shapes[number - 1]
        images = Shown(self.data, device, self.setting, parts)
        x, y = images.maps(lesson, number, images.train)
        positive = bool((y >= 0).all())

        def ending(channels: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(channels, y.shape[1], 1), nn.ReLU() if positive else nn.Identity())

        net = supernet(self.space, blocks, part, fed, ending, self.seed + number)
        net = net.to(device, memory_format=format_of(net, device))  # type: ignore[call-overload]

        def loss(rows: Tensor, path: Codes) -> Tensor:
            return functional.mse_loss(net(x[rows], path), y[rows])  # Li et al. (DNA): loss of block-wise distillation

        checkpoint = None if self.folder is None else self.folder / f"{part.name}.pt"
        train_block(net, loss, len(x), part, self.setting, self.seed, checkpoint, on_epoch=self.on_epoch)
        n = n_rated(part, self.setting)
        val = images.val[:n]
        shown, wanted = images.maps(lesson, number, val)
        batch = x[: n_stored(part, self.setting)], shown
        ratings = rate(net, part.taken, batch, relative_error(wanted))
        return ratings, _weight(lesson, number, net, part, batch, val, wanted)


def n_rated(part: Part, setting: DNASetting) -> int:
    """Number of images on which the paths of a block are rated."""
    return min(setting.rated, max(FEWEST, PATH_IMAGES // len(part.taken)))


def n_stored(part: Part, setting: DNASetting) -> int:
    """Number of images for the statistics of batch norms."""
    return min(setting.recalibrated, n_rated(part, setting))


def _weight(
    lesson: TeacherMaps,
    number: int,
    net: Supernet,
    part: Part,
    batch: tuple[Tensor, Tensor],
    images: Tensor,
    wanted: Tensor,
) -> float:
    """Change of the teacher's output per unit of a block's error: Kullback-Leibler divergence over relative L1.

    Outputs of some paths replace the teacher's own map; labels are not used. Errors early in a network pass through all
    later layers and weigh more than those near the end. 1 where the map cannot be replaced.
    """
    stage = lesson.stage(number, images)
    if stage is None:
        return 1.0
    rows = np.random.default_rng(0).permutation(len(part.taken))[:PUT_IN]
    expected, error = lesson.answers(images), relative_error(wanted)
    divergences, errors = [], []
    with torch.no_grad(), rating(net):
        for _, pair in walk(net, part.taken[np.sort(rows)], batch):
            y = finished(net.ending(pair[1]), pair)
            answers = lesson.answers(images, stage, y)
            divergences.append(functional.kl_div(answers, expected, reduction="batchmean", log_target=True))
            errors.append(error(y))
    # the weight of the block's loss, lambda in eq. (6) of Li et al. (DNA), measured and not set by hand
    return float(np.mean(torch.stack(divergences).tolist()) / np.mean(torch.stack(errors).tolist()))


class Shown:
    """Training images of blocks and the images on which paths are rated, normalised, on the device."""

    def __init__(self, data: Data, device: torch.device, setting: DNASetting, parts: Sequence[Part]) -> None:
        self.device = device
        normalise = Normaliser(data, device)
        rng = np.random.default_rng(0)
        shapes = [
            data.input_shape,
            *(shape for part in parts for n in part.nodes for shape in (n.input_shape, n.output_shape)),
        ]
        most = max(FEWEST, MEMORY // (4 * max(map(math.prod, [data.input_shape, *shapes]))))

        def some(x: Tensor, n: int) -> Tensor:
            rows = torch.from_numpy(rng.permutation(len(x))[: min(n, most)])
            return placed(normalise(x[rows].to(device)), device)

        self.train = some(data.train.x, setting.images)
        self.val = some(data.val.x, setting.rated)

    def maps(self, lesson: TeacherMaps, block: int, images: Tensor) -> tuple[Tensor, Tensor]:
        """Input and target of a block for images ``(n, c, h, w)``."""
        fed, wanted = [], []
        for start in range(0, len(images), 256):
            maps = lesson.maps(images[start : start + 256])
            wanted.append(maps[block])
            fed.append(maps[block - 1])
        x = images if block == 0 else placed(torch.cat(fed), self.device)
        return x, placed(torch.cat(wanted), self.device)
