"""NAS-Bench-201: a cell of six edges with five operations each, 15,625 networks.

Dong and Yang, NAS-Bench-201, ICLR 2020 (arXiv 2001.00326); Dong et al., NATS-Bench, 2021 (arXiv 2009.00437).

A cell has four nodes; node 0 is its input, node 3 its output, a node's value is the sum over its incoming
edges. The stem is a 3x3 convolution, then come three stages of ``cells`` cells with ``width``, ``2 width`` and
``4 width`` channels, a residual block of stride 2 between them, and batch norm, ReLU, pooling and a linear layer.

**What differs from the published networks.** An edge that carries no signal from node 0 to node 3 is removed before the
network is built: it can only cost memory and time. (A published convolution whose input is zero still adds
the shift of its batch norm, one constant per channel; that constant is dropped.)
:func:`searchkit.costs.counts.space_counts` therefore counts what is built, and :func:`published_params` counts every
edge, as the published table does.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from searchkit.space import Choice, NetworkSpace, Node
from searchkit.space.roles import Role
from searchkit.spaces.cell_form import EDGES, OPERATIONS, canonical, live_edges
from searchkit.spaces.cell_graph import PATHS, cell_graph
from searchkit.spaces.skeleton import StagedSpace, halved, image_shape, outputs, resize_to, whole, working_size
from searchkit.types import Bools, Codes, Floats

_NAME = "nas-bench-201"
ROLES: tuple[Role | None, ...] = (
    {"kind": "none"},
    {"kind": "skip"},
    {"kind": "conv", "kernel": 1, "params": 1},
    {"kind": "conv", "kernel": 3, "params": 9},
    {"kind": "pool", "kernel": 3},
)
EDGE_NAMES = tuple(f"edge_{a}_to_{b}" for a, b in EDGES)
_N_EDGES = len(EDGES)


def nas_bench_201(
    *,
    width: int | Sequence[int] = 16,
    cells: int = 5,
    resolution: int | None = None,
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int = 10,
) -> NetworkSpace:
    """NAS-Bench-201: stacks of one cell of four nodes with an operation on each edge, 15,625 networks.

    It is as published by default, and scaled down by its options.

    Column order is the digit order of the tables' architecture string, 1<-0 | 2<-0, 2<-1 | 3<-0, 3<-1, 3<-2,
    and option order is the official one: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3.

    Args:
        width: channels of the first stage; the others have twice and four times as many. Published: 16. Several
            widths make it a seventh, ordered choice, "width", for a front over a wider range of sizes.
        cells: cells per stage. Published: 5.
        resolution: side in pixels to which the network resizes its input first; None keeps the image's own.
        input_shape: ``(channels, height, width)`` of the images; any size, 8x8 still leaves 2x2 in the last stage.
        n_classes: number of logits.

    Raises:
        SpaceError: an option that is no whole number of at least 1.
    """
    widths = [whole(_NAME, "width", w) for w in width] if isinstance(width, Sequence) else None
    options: dict[str, Any] = {
        "width": whole(_NAME, "width", width) if widths is None else widths,
        "cells": whole(_NAME, "cells", cells),
        "resolution": None if resolution is None else whole(_NAME, "resolution", resolution),
    }
    choices = [Choice(name, OPERATIONS, roles=ROLES) for name in EDGE_NAMES]
    return StagedSpace(
        choices if widths is None else [*choices, Choice("width", widths, ordered=True)],
        functools.partial(_build, **options),
        name=_NAME,
        canonical=_canonical,
        input_shape=image_shape(_NAME, input_shape),
        n_classes=whole(_NAME, "n_classes", n_classes),
        options=options,
        count=count,
        nodes=_nodes,
        graph=cell_graph,
        times=_times,
        ways=[[EDGE_NAMES[j] for j in path] for path in PATHS],
    )


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)`` of the networks that :meth:`NetworkSpace.build` makes.

    MACs are at batch 1, of convolutions and the linear layer; biases, batch norm and pooling are not counted.
    """
    return _count(space, codes, live_edges(codes[:, :_N_EDGES]))


def published_params(space: NetworkSpace, codes: npt.ArrayLike) -> Floats:
    """Parameters ``(n,)`` as the published table counts them: with the convolutions of dead edges.

    Takes codes as in the table, not canonical ones (of ``space.check``), from which dead edges are removed.
    """
    rows = np.atleast_2d(np.asarray(codes, dtype=np.int64))
    return _count(space, rows, np.ones((len(rows), _N_EDGES), dtype=np.bool_))["params"]


class Cell(nn.Module):
    """One cell: ``(batch, channels, h, w)`` to the same shape. ``operations`` are option indices, one per edge."""

    def __init__(self, operations: Sequence[int], channels: int) -> None:
        super().__init__()
        live = live_edges(np.array([operations], dtype=np.int64))[0]
        self.edges = nn.ModuleDict(
            {name: _edge(op, channels) for name, op, on in zip(EDGE_NAMES, operations, live, strict=True) if on}
        )

    def forward(self, x: Tensor) -> Tensor:
        values: list[Tensor | None] = [x, None, None, None]
        for (source, target), name in zip(EDGES, EDGE_NAMES, strict=True):
            if name not in self.edges:
                continue
            term = self.edges[name](values[source])
            so_far = values[target]
            values[target] = term if so_far is None else so_far + term
        # Times zero and not zeros: gradients of what comes before are then zero and not missing.
        output: Tensor = x * 0.0 if values[3] is None else values[3]
        return output


class Reduction(nn.Module):
    """The residual block between stages: channels times two, height and width by two (rounded up)."""

    def __init__(self, channels: int, odd: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, 2 * channels, 3, stride=2), _conv(2 * channels, 2 * channels, 3))
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2, ceil_mode=odd, count_include_pad=False),
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.body(x)
        return y


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, n_classes)`` logits."""

    def __init__(
        self,
        operations: Sequence[int],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        width: int,
        cells: int,
        resolution: int | None,
    ) -> None:
        super().__init__()
        size = working_size(input_shape, resolution)
        self.stem = nn.Sequential(
            resize_to(input_shape, resolution),
            nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.stages = nn.ModuleList()
        channels = width
        for stage in range(3):
            blocks: list[nn.Module] = []
            if stage > 0:
                blocks.append(Reduction(channels, odd=size[0] % 2 == 1 or size[1] % 2 == 1))
                size, channels = halved(size), 2 * channels
            blocks.extend(Cell(operations, channels) for _ in range(cells))
            self.stages.append(nn.Sequential(*blocks))
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the three stages, in depth order."""
        return outputs(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.last(self.features(x)[-1]).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits


def _build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, **options: Any) -> nn.Module:
    operations = [OPERATIONS.index(choices[name]) for name in EDGE_NAMES]
    width = choices.get("width", options["width"])
    return Network(operations, input_shape, n_classes, **(options | {"width": width}))


def _canonical(codes: Codes) -> Codes:
    """The cell's canonical form; a width stays as it is."""
    return np.concatenate([canonical(codes[:, :_N_EDGES]), codes[:, _N_EDGES:]], axis=1)


def _times(codes: Codes) -> Floats:
    """1 for edges that carry a signal from the cell's input to its output, else 0."""
    return live_edges(codes[:, :_N_EDGES]).astype(np.float64)


def _edge(operation: int, channels: int) -> nn.Module:
    """The module of one live edge."""
    if OPERATIONS[operation] == "skip_connect":
        return nn.Identity()
    if OPERATIONS[operation] == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _conv(channels, channels, 1 if OPERATIONS[operation] == "nor_conv_1x1" else 3)


def _conv(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
    )


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """One node per edge: an edge is decided once for all cells. The shapes are those of the (widest) first stage."""
    width = int(np.max(space.options["width"]))
    shape = (width, *working_size(space.input_shape, space.options["resolution"]))
    return tuple(Node(name, (name,), shape, shape, module=f"stages.*.*.edges.{name}") for name in EDGE_NAMES)


def _count(space: NetworkSpace, codes: Codes, counted: Bools) -> dict[str, Floats]:
    """Counts with the edges marked in ``counted`` ``(n, 6)``."""
    cells, codes, wide = int(space.options["cells"]), codes[:, :_N_EDGES], codes[:, _N_EDGES:]
    widths = np.array(space.options["width"], dtype=np.float64)
    width = widths[wide[:, 0]] if wide.shape[1] else np.full(len(codes), widths)
    n_1x1 = ((codes == OPERATIONS.index("nor_conv_1x1")) & counted).sum(axis=1)
    n_3x3 = ((codes == OPERATIONS.index("nor_conv_3x3")) & counted).sum(axis=1)
    size = working_size(space.input_shape, space.options["resolution"])
    weights = 9 * space.input_shape[0] * width
    params = weights + 2 * width
    macs = weights * size[0] * size[1]
    channels = width
    for stage in range(3):
        if stage > 0:
            before, channels, size = channels, 2 * channels, halved(size)
            weights = 9 * before * channels + 9 * channels**2 + before * channels
            params = params + weights + 4 * channels
            macs = macs + weights * size[0] * size[1]
        per_cell = (n_1x1 + 9 * n_3x3) * channels**2
        params = params + cells * (per_cell + (n_1x1 + n_3x3) * 2 * channels)
        macs = macs + cells * per_cell * size[0] * size[1]
    params = params + 2 * channels + (channels + 1) * space.n_classes
    macs = macs + channels * space.n_classes
    return {"params": params, "macs": macs}
