"""Feature pyramids: maps of several sizes that are brought to one width and exchange what they hold.

The ways between levels are those of Liang et al., OPANAS: One-Shot Path Aggregation Network Architecture Search for
Object Detection, CVPR 2021 (arXiv 2103.04507), section 3.1: top-down, bottom-up, scale-equalising and
fusing-splitting, beside a plain skip and none. Convolutions here are depthwise-separable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from searchkit.types import Codes, Floats

WAYS = ("none", "skip", "top-down", "bottom-up", "scale-equalising", "fusing-splitting")
NONE, SKIP = 0, 1


def path_names(steps: int) -> list[tuple[int, int, str]]:
    """``(to, from, name)`` of every way between the pyramids 0 to ``steps``, of which 0 is the encoder's."""
    return [(to, at, f"path_{to}_{at}") for to in range(1, steps + 1) for at in range(to)]


def canonical_paths(codes: Codes, steps: int) -> Codes:
    """``(n, ways)`` codes of paths in the order of :func:`path_names`, without ways that change nothing.

    A way from or to a pyramid that the last one does not depend on is none, a pyramid that is a copy of another is
    passed by, and the encoder's own pyramid comes to the last one by a skip.
    """
    places = {(to, at): i for i, (to, at, _) in enumerate(path_names(steps))}
    rows, which = np.unique(codes, axis=0, return_inverse=True)
    found = np.array([_canonical(row, steps, places) for row in rows], dtype=np.int64).reshape(rows.shape)
    made: Codes = found[which.reshape(-1)]
    return made


def pyramid_costs(levels: Sequence[tuple[int, int, int]], width: int, ways: Mapping[str, Codes], n_out: int) -> Floats:
    """``(n, 2)`` parameters and MACs of pyramids over levels ``(channels, height, width)``, finest first, and a head.

    Args:
        width: channels of the pyramids.
        ways: by kind, ``(n,)`` how many ways are of it. Resizing multiplies nothing that is counted.
        n_out: channels of the 1x1 convolution at the end.
    """
    pixels = [height * columns for _, height, columns in levels]
    channels = sum(level[0] for level in levels)
    weights = 9 * width + width**2  # of a separable convolution, which has a batch norm
    single = ways["fusing-splitting"]
    every = sum(ways[kind] for kind in ("top-down", "bottom-up", "scale-equalising"))
    params = (every * len(levels) + single + 1) * (weights + 2 * width)
    params = params + channels * width + 2 * width * len(levels) + width * n_out + n_out
    macs = (every * sum(pixels) + single * pixels[len(levels) // 2] + pixels[0]) * weights
    macs = macs + sum(level[0] * n for level, n in zip(levels, pixels, strict=True)) * width + width * n_out * pixels[0]
    return np.column_stack([params, macs]).astype(np.float64)


def _canonical(row: Codes, steps: int, places: Mapping[tuple[int, int], int]) -> Codes:
    row = row.copy()
    while True:
        made, used = {0}, {steps}
        for to in range(1, steps + 1):
            if any(row[places[to, at]] != NONE and at in made for at in range(to)):
                made.add(to)
        for to in range(steps, 0, -1):
            if to in used:
                used |= {at for at in range(to) if row[places[to, at]] != NONE and at in made}
        for (to, at), place in places.items():
            if not (to in used and to in made and at in made):
                row[place] = NONE
        if not _passed_by(row, steps, places):
            break
    if (row == NONE).all():
        row[places[steps, 0]] = SKIP
    return row


def _passed_by(row: Codes, steps: int, places: Mapping[tuple[int, int], int]) -> bool:
    """Lead a way past a pyramid that is a copy of another; False where there is none to lead."""
    for copy in range(1, steps):
        sources = [at for at in range(copy) if row[places[copy, at]] != NONE]
        if len(sources) != 1 or row[places[copy, sources[0]]] != SKIP:
            continue
        for to in range(copy + 1, steps + 1):
            if row[places[to, copy]] != NONE and row[places[to, sources[0]]] == NONE:
                row[places[to, sources[0]]], row[places[to, copy]] = row[places[to, copy]], NONE
                return True
    return False


def separable(width: int) -> nn.Sequential:
    """A depthwise 3x3 and a 1x1 convolution, batch normalisation and ReLU; the shape stays."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def resized(x: Tensor, like: Tensor) -> Tensor:
    """A map in the size of another: averaged where it gets smaller, bilinear where it gets larger."""
    size = (like.shape[2], like.shape[3])
    if (x.shape[2], x.shape[3]) == size:
        return x
    if x.shape[2] >= size[0] and x.shape[3] >= size[1]:
        return functional.adaptive_avg_pool2d(x, size)
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


class Way(nn.Module):
    """Levels ``[(batch, width, h, w), ...]``, finest first, to levels of the same shapes."""

    def __init__(self, kind: str, width: int, levels: int) -> None:
        super().__init__()
        self.kind = kind
        n = {"skip": 0, "fusing-splitting": 1}.get(kind, levels)
        self.convolutions = nn.ModuleList(separable(width) for _ in range(n))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        if self.kind == "skip":
            return levels
        if self.kind == "fusing-splitting":
            middle = levels[len(levels) // 2]
            fused = self.convolutions[0](sum(resized(level, middle) for level in levels))
            return [level + resized(fused, level) for level in levels]
        if self.kind == "scale-equalising":
            return [
                convolution(sum(resized(one, level) for one in levels[max(0, i - 1) : i + 2]))
                for i, (level, convolution) in enumerate(zip(levels, self.convolutions, strict=True))
            ]
        order = range(len(levels)) if self.kind == "bottom-up" else range(len(levels) - 1, -1, -1)
        found: dict[int, Tensor] = {}
        before: Tensor | None = None
        for i in order:
            x = levels[i] if before is None else levels[i] + resized(before, levels[i])
            before = found[i] = self.convolutions[i](x)
        return [found[i] for i in range(len(levels))]


class Pyramid(nn.Module):
    """Features of an encoder ``[(batch, c, h, w), ...]``, finest first, to one map ``(batch, width, h, w)``.

    Args:
        channels: of each level.
        ways: by ``(to, from)``, those that are not none.
        steps: number of the last pyramid.
    """

    def __init__(self, channels: Sequence[int], width: int, ways: Mapping[tuple[int, int], str], steps: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width)) for c in channels
        )
        self.steps, self.places = steps, list(ways)
        self.ways = nn.ModuleList(Way(kind, width, len(channels)) for kind in ways.values())

    def forward(self, features: list[Tensor]) -> Tensor:
        made = {0: [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]}
        for to in range(1, self.steps + 1):
            arriving = [
                way(made[at]) for (end, at), way in zip(self.places, self.ways, strict=True) if end == to and at in made
            ]
            if arriving:
                made[to] = [sum(levels[1:], levels[0]) for levels in zip(*arriving, strict=True)]
        last = made.get(self.steps, made[0])  # where nothing arrives, the encoder's own
        y: Tensor = sum((resized(level, last[0]) for level in last[1:]), last[0])
        return y
