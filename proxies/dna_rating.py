"""Ratings of all paths of a block, prefix by prefix.

Paths with a common prefix share its computation: they are traversed depth first, each module runs once for all paths
with the same prefix, and batch norms take their statistics from a stored batch on the way, as if the path ran alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.proxies.supernet import Supernet
from searchkit.runtime.torch_compat import BatchNorm
from searchkit.types import Codes, Floats

Pair = tuple[Tensor, Tensor]  # a stored batch for the statistics of batch norms, and the rated images


def walk(supernet: Supernet, taken: Codes, batch: Pair) -> Iterator[tuple[int, Pair]]:
    """Every path's number and its output before the ending, for paths ``(a, q)``; depth first."""
    yield from _below(supernet, taken, np.arange(len(taken)), 0, recalibrated(supernet.before, batch))


def rate(supernet: Supernet, taken: Codes, batch: Pair, error: Callable[[Tensor], Tensor]) -> Floats:
    """``(a,)`` the error of every path's output.

    Args:
        error: output of a path for the rated images -> ``()``; lower is better.
    """
    errors: dict[int, Tensor] = {}  # read together, since each read waits for a GPU
    with torch.no_grad(), rating(supernet):
        for path, pair in walk(supernet, taken, batch):
            errors[path] = error(finished(supernet.ending(pair[1]), pair))
    ratings = np.full(len(taken), np.nan)
    ratings[list(errors)] = torch.stack(list(errors.values())).tolist()
    return ratings


def relative_error(wanted: Tensor) -> Callable[[Tensor], Tensor]:
    """DNA's rating: mean absolute error over the standard deviation of the target."""
    deviation = wanted.std()
    return lambda y: (y - wanted).abs().mean() / deviation  # Li et al. (DNA): relative L1 loss


def recalibrated(module: nn.Module, pair: Pair) -> Pair:
    """Both batches through a module in evaluation mode, whose batch norms take the first one's statistics."""
    norms = _norms(module)
    for norm in norms:
        norm.training, norm.momentum = True, 1.0
    stored = module(pair[0])
    for norm in norms:
        norm.training = False
    return stored, module(pair[1])


def finished(module: nn.Module, pair: Pair) -> Tensor:
    """Output of the last module for the rated images; the stored batch runs through it only if it has batch norms."""
    y: Tensor = recalibrated(module, pair)[1] if _norms(module) else module(pair[1])
    return y


@functools.lru_cache(maxsize=4096)  # search each module once: there are a thousand times as many paths
def _norms(module: nn.Module) -> tuple[BatchNorm, ...]:
    return tuple(m for m in module.modules() if isinstance(m, BatchNorm))


@contextmanager
def rating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards the batch norms' momenta are restored."""
    momenta = {m: m.momentum for m in module.modules() if isinstance(m, BatchNorm)}
    before = module.training
    module.eval()
    try:
        yield
    finally:
        _norms.cache_clear()  # it would keep the supernet alive
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        module.train(before)


def _below(supernet: Supernet, taken: Codes, paths: Codes, node: int, pair: Pair) -> Iterator[tuple[int, Pair]]:
    if node == taken.shape[1]:
        for path in paths:
            yield int(path), pair
        return
    for alternative in np.unique(taken[paths, node]):
        through = paths[taken[paths, node] == alternative]
        module = supernet.module(node, int(alternative))
        yield from _below(supernet, taken, through, node + 1, recalibrated(module, pair))
