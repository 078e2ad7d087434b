"""DNA++: blocks rated without a teacher and without labels; each path has to predict the average of all paths.

Wang et al., DNA Family, 2024 (arXiv 2403.01326); after BossNAS, Li et al., ICCV 2021 (arXiv 2103.12424). A block has an
online and a target supernet, the moving average of the online one. They are given two views of an image; from its own,
an online path predicts the average projection of some target paths at every place of the map. Blocks are trained in
order: the input of each is the output of the best path of the one before.

**Two departures**, each measured on NAS-Bench-Macro. Maps are compared at every place, not averaged over places, and
channels of the projection are decorrelated: every path learns to predict averages, so that these tell nothing about it.
And since the predictor that all paths share suits those of middle size best, a path is rated with a linear predictor of
its own, in closed form. The rating is the noise-to-signal ratio of that prediction, unexplained over explained variance
of the average projection; these ratios add up over a sequence of noisy parts.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import ProxyError
from searchkit.proxies.block_ratings import BlockRatings, Rated
from searchkit.proxies.dna_block import Shown, n_rated, n_stored
from searchkit.proxies.dna_rating import Pair, rating, recalibrated, walk
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_training import train_block
from searchkit.proxies.dna_views import two_views
from searchkit.proxies.supernet import Part, Supernet, supernet
from searchkit.random_state import seeded
from searchkit.runtime.devices import format_of, resolve_device
from searchkit.runtime.threads import one_thread
from searchkit.runtime.torch_compat import lerp_all
from searchkit.types import Codes

TARGETS = 2  # paths whose projections a step averages
COLLAPSED = 0.1  # spread, relative to that of independent directions, below which outputs are nearly equal
RIDGE = 1e-2  # penalty of a path's own predictor, relative to its number of examples
LEAST = 1e-3  # lower bound on the share of variance that a path explains


class DNASelf(BlockRatings):
    """Self-supervised ratings of all networks of a space; a proxy, higher is better.

    Args:
        space, data, given: see :class:`~searchkit.proxies.block_ratings.BlockRatings`. Labels are not used. Blocks are
            trained one after another, each on the output of the one before, so an executor is not used.

    Raises:
        ProxyError: the space has no nodes, or none that are modules.
    """

    name = "dna++"

    def _rated(self) -> list[Rated]:
        """Blocks in depth order.

        Raises:
            ProxyError: a block diverged, or collapsed: its outputs are the same for all images.
        """
        device, folder = resolve_device(self.device), self._own_folder()
        images = Shown(self.data, device, self.setting, self.parts)
        before: list[tuple[Supernet, Codes]] = []
        found: list[Rated] = []
        with one_thread():
            for number, part in enumerate(self.parts):
                twins = self._trained(number, part, before, images, folder)
                n_seen, n_new = n_stored(part, self.setting), n_rated(part, self.setting)
                pair = _through(before, images.train[:n_seen]), _through(before, images.val[:n_new])
                found.append((_ratings(twins, part, pair), 1.0))
                best = part.taken[int(np.argmin(found[-1][0]))]
                _settle(twins.target, best, pair)
                before.append((twins.target, best))
        return found

    def _trained(
        self, number: int, part: Part, before: list[tuple[Supernet, Codes]], images: Shown, folder: Path | None
    ) -> Twins:
        """The two supernets of a block, trained."""
        fed = None if number == 0 else tuple(_through(before, images.train[:2]).shape[1:])
        dimension = self.setting.dimension

        def projector(channels: int) -> nn.Module:
            return _perceptron(channels, dimension)

        net = supernet(self.space, self.blocks, part, fed, projector, self.seed + number)
        twins = Twins(net, dimension, self.seed + number)
        twins.to(images.device, memory_format=format_of(twins, images.device))  # type: ignore[call-overload]
        shift = max(1, round(self.space.input_shape[1] / part.nodes[0].input_shape[1]))  # one pixel of what it is fed
        flip = self.data.augment == "crop-flip"

        def loss(rows: Tensor, path: Codes) -> Tensor:
            views = two_views(images.train[rows], shift, flip=flip)
            mine, other = (_through(before, view) for view in views)
            targets = part.taken[torch.randint(len(part.taken), (TARGETS,)).numpy()]
            return twins.loss(mine, other, path, targets, self.setting)

        path = None if folder is None else folder / f"{part.name}.pt"
        train_block(
            twins, loss, len(images.train), part, self.setting, self.seed, path,
            after=lambda: twins.follow(self.setting.momentum), on_epoch=self.on_epoch,
        )  # fmt: skip
        return twins


class Twins(nn.Module):
    """The online supernet, its moving average, and the predictor of the average's projections from the online one's."""

    def __init__(self, online: Supernet, dimension: int, seed: int) -> None:
        super().__init__()
        self.online, self.target = online, copy.deepcopy(online).requires_grad_(False)
        with seeded(seed):
            self.predictor = _perceptron(dimension, dimension)

    def loss(self, mine: Tensor, other: Tensor, path: Codes, targets: Codes, setting: DNASetting) -> Tensor:
        """Squared distance of the prediction from the average at every place, and the penalties against a collapse."""
        with torch.no_grad():
            average = functional.normalize(sum(_direction(self.target(other, t)) for t in targets), dim=1)  # type: ignore[arg-type]
        projected = self.online(mine, path)
        prediction = _direction(self.predictor(projected))
        # Li et al. (BossNAS): squared distance of normalised projections, online path to average of target paths
        distance = (2 - 2 * (prediction * average).sum(dim=1)).mean()
        spread = functional.relu(1 - _spread(_direction(projected))).mean()
        return distance + setting.variance * spread + setting.decorrelation * _redundancy(projected)

    def follow(self, momentum: float) -> None:
        """Move the target towards the online supernet."""
        with torch.no_grad():
            lerp_all(list(self.target.parameters()), list(self.online.parameters()), 1 - momentum)


def _perceptron(n_in: int, n_out: int) -> nn.Sequential:
    """Two 1x1 convolutions: one perceptron for every place."""
    return nn.Sequential(
        nn.Conv2d(n_in, 2 * n_out, 1), nn.BatchNorm2d(2 * n_out), nn.ReLU(), nn.Conv2d(2 * n_out, n_out, 1)
    )


def _direction(x: Tensor) -> Tensor:
    return functional.normalize(x, dim=1)


def _spread(directions: Tensor) -> Tensor:
    """``(c,)`` deviation of each channel over images and places; 1 where directions are independent."""
    spread: Tensor = directions.std(dim=(0, 2, 3)) * directions.shape[1] ** 0.5
    return spread


def _redundancy(projected: Tensor) -> Tensor:
    """Mean over channels of the sum of squared correlations with the others."""
    rows = projected.permute(0, 2, 3, 1).reshape(-1, projected.shape[1])
    rows = (rows - rows.mean(dim=0)) / (rows.std(dim=0) + 1e-4)
    correlations = rows.T @ rows / len(rows)
    return (correlations.square().sum() - correlations.diagonal().square().sum()) / len(correlations)


def _through(before: list[tuple[Supernet, Codes]], images: Tensor) -> Tensor:
    """The input of a block: images after the chosen paths of the blocks before."""
    with torch.no_grad():
        for net, path in before:
            images = net.along(images, path)
    return images


def _settle(net: Supernet, path: Codes, pair: Pair) -> None:
    """Set the batch norms of one path to its own statistics; from now on the supernet runs along this path only."""
    with torch.no_grad(), rating(net):
        pair = recalibrated(net.before, pair)
        for j, alternative in enumerate(path):
            pair = recalibrated(net.module(j, alternative), pair)
    net.eval()


def _ratings(twins: Twins, part: Part, pair: Pair) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """``(a,)`` unexplained over explained variance of the average projection for each path, on unseen images.

    Raises:
        ProxyError: the average projection is nearly constant.
    """
    missed: dict[int, Tensor] = {}
    with torch.no_grad(), rating(twins.target), rating(twins.online):
        stored, shown = _average(twins.target, part, pair)
        spread = float(shown.std(dim=0).mean()) * shown.shape[1] ** 0.5  # over images, at every place
        if not spread > COLLAPSED:
            raise ProxyError(
                f"block '{part.name}' collapsed: what its paths project varies by {spread:.2g} where independent "
                "outputs vary by 1; ratings would say nothing. Give more images, a lower lr, or a higher variance="
            )
        for path, features in walk(twins.online, part.taken, pair):
            missed[path] = _unexplained(features, (stored, shown))
    ratings = np.full(len(part.taken), np.nan)
    for path, share in zip(missed, torch.stack(list(missed.values())).tolist(), strict=True):
        ratings[path] = share / max(1 - share, LEAST)  # noise-to-signal ratio, see the module
    return ratings


def _average(net: Supernet, part: Part, pair: Pair) -> Pair:
    """The average direction of all paths' projections, for the stored and the rated images."""
    totals: list[Tensor] = []
    for _, features in walk(net, part.taken, pair):
        directions = [_direction(x) for x in recalibrated(net.ending(features[1]), features)]
        totals = [a + b for a, b in zip(totals, directions, strict=True)] if totals else directions
    return _direction(totals[0]), _direction(totals[1])


def _unexplained(features: Pair, wanted: Pair) -> Tensor:
    """``()``: share of variance that the path's best linear predictor, fitted on stored images, leaves on others."""
    x, x_new = (_rows(part) for part in features)
    y, y_new = (_rows(part) for part in wanted)
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-4
    x, x_new = (x - mean) / deviation, (x_new - mean) / deviation
    centre = y.mean(dim=0)
    penalty = RIDGE * len(x) * torch.eye(x.shape[1], device=x.device)
    weights, _ = torch.linalg.solve_ex(x.T @ x + penalty, x.T @ (y - centre))  # the penalty keeps it solvable
    left: Tensor = (x_new @ weights + centre - y_new).square().mean()
    return left / y_new.var(dim=0).mean()


def _rows(x: Tensor) -> Tensor:
    """``(n h w, c)``."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
