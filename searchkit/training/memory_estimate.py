"""Bytes that a training holds at its worst moment, known before it begins: what several trainings need on one card.

One step (the batch, forward, loss, backward) and one batch of the scoring run on torch's meta device, where storages
have sizes and nothing is computed, as :mod:`searchkit.training.train` runs them; the optimiser's part is a formula.

**In it:** weights, gradients and the optimiser's state in float32; buffers; what autograd keeps of a batch; whatever
else is alive meanwhile, such as the gradients of activations and bfloat16 copies of the weights; the batch from the
gather to the normalised images; an epoch's order and shifts. Attention is counted as the matrix products that it is,
though a card may have a kernel that holds less.

**Not in it:** the data, which all trainings on a device share (:func:`data_bytes`); what the allocator rounds up and
keeps in reserve; scratch memory inside kernels, of cuDNN and cuBLAS; recorded steps themselves; the CUDA context. A
:class:`searchkit.execution.interleaved.Room` learns their share.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.autocast import HalfPrecision
from searchkit.costs.memory_tracker import LiveMemory
from searchkit.costs.meta_tensors import no_gradients, shape_only
from searchkit.data.data import Data
from searchkit.data.loader import Normaliser, TableBatches, TrainBatches, in_order, train_batches
from searchkit.data.splits import Split
from searchkit.space import NetworkSpace
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.training.scores import score_batch

_META, _CPU = torch.device("meta"), torch.device("cpu")
_SMALL = (2, 4)  # batches that are run where shapes do not do


def training_bytes(network: nn.Module, data: Data, recipe: Recipe, *, autocast: bool) -> int:
    """Peak bytes of :func:`searchkit.training.train.train` with the same arguments, on a device that has the data
    already.

    A network that meta tensors cannot run (one that reads values of its activations) is run on the CPU with two small
    batches: every moment of the step is a line in the batch size, and the highest line counts.

    Args:
        network: left as it is, wherever it lives.
        autocast: as on a card, in bfloat16 where torch.autocast takes that; otherwise all in float32.

    Raises:
        Exception: whatever the network raises in a step.
    """
    return _bytes(lambda: shape_only(network), lambda: copy.deepcopy(network).to(_CPU), data, recipe, autocast)


def candidate_training_bytes(
    space: NetworkSpace, code: npt.ArrayLike, data: Data, recipe: Recipe, *, autocast: bool
) -> int:
    """The same of a candidate, built on the meta device where its builder can be; for one that is not built yet."""
    return _bytes(lambda: space.build(code), lambda: space.build(code), data, recipe, autocast)


def data_bytes(data: Data) -> int:
    """Bytes of the train part as it lies on a device: images padded by the largest shift, tables in float32; labels."""
    batches = train_batches(_bare(data), 2, _META, torch.Generator())
    return _total([batches.x, batches.y])


_Build = Callable[[], nn.Module]


def _bytes(bare: _Build, real: _Build, data: Data, recipe: Recipe, autocast: bool) -> int:
    with torch.random.fork_rng(devices=[]):  # whoever seeded torch keeps that draw
        try:
            with _META:
                network = bare()
                peak = _peak_by_shape(network, _bare(data), recipe, autocast)
        except (NotImplementedError, RuntimeError):
            network = real()
            peak = _peak_by_small_batches(network, data, recipe, autocast)
    return peak + _state_bytes(network, recipe) + _epoch_bytes(data, recipe)


def _peak_by_shape(network: nn.Module, data: Data, recipe: Recipe, autocast: bool) -> int:
    step = _step(network, data, recipe, _META, HalfPrecision() if autocast else contextlib.nullcontext())
    if not len(data.val):
        return max(step)
    size = min(score_batch(data), len(data.val))
    return max(*step, *_scoring(network, data, size, _META, HalfPrecision() if autocast else None))


def _peak_by_small_batches(network: nn.Module, data: Data, recipe: Recipe, autocast: bool) -> int:
    def precision() -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16, enabled=autocast)

    few = [replace(data, train=_first(data.train, n), val=_first(data.train, n)) for n in _SMALL]
    steps = [_step(network, part, replace(recipe, batch_size=len(part.train)), _CPU, precision()) for part in few]
    peak = _extrapolated(steps, min(recipe.batch_size, len(data.train)))
    if len(data.val):
        scorings = [_scoring(network, part, len(part.val), _CPU, precision() if autocast else None) for part in few]
        peak = max(peak, _extrapolated(scorings, min(score_batch(data), len(data.val))))
    return peak


def _step(
    network: nn.Module, data: Data, recipe: Recipe, device: torch.device, precision: AbstractContextManager[Any]
) -> list[int]:
    """Bytes alive in the second step of a training, which begins with the gradients of the first; less batches' own."""
    batches = train_batches(data, recipe.batch_size, device, torch.Generator().manual_seed(0))
    if device != _META:
        batches.shuffle()
    loss_function = loss_of(data, recipe, device)
    network.train()
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    own = _own(batches)
    with LiveMemory([*_held(network), *own]) as memory:
        x, y = batches.batch(slice(0, batches.batch_size))
        with precision:
            loss = loss_function(network(x), y)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
    apart = _total(own)
    course: list[int] = [live - apart for live in memory.history]
    return course


def _scoring(
    network: nn.Module, data: Data, size: int, device: torch.device, precision: AbstractContextManager[Any] | None
) -> list[int]:
    """Bytes alive as a batch of the validation part goes through; with a precision on a card, channels last."""
    network.eval()
    normalise = Normaliser(data, device)
    with LiveMemory(_held(network)) as memory, no_gradients(), precision or contextlib.nullcontext():
        x, _ = next(in_order(data.val, size, normalise, device))
        on_card = precision is not None and x.ndim == 4
        placed = x.contiguous(memory_format=torch.channels_last) if on_card else x
        network(placed)
    course: list[int] = memory.history
    return course


def _held(network: nn.Module) -> list[torch.Tensor]:
    parameters = list(network.parameters())
    return [*parameters, *network.buffers(), *(p.grad for p in parameters if p.grad is not None)]


def _extrapolated(profiles: list[list[int]], batch_size: int) -> int:
    """The peak at a batch size, from the profiles of two smaller ones; it may come at another moment than theirs."""
    small, large = profiles
    if len(small) != len(large):  # the network does different things with different images
        small, large = [max(small)], [max(large)]
    further = (batch_size - _SMALL[1]) / (_SMALL[1] - _SMALL[0])
    return max(math.ceil(b + (b - a) * further) for a, b in zip(small, large, strict=True))


def _state_bytes(network: nn.Module, recipe: Recipe) -> int:
    """Of the optimiser: AdamW has two moments and a counter for each weight tensor, SGD its momentum if any."""
    sizes = [p.numel() * p.element_size() for p in network.parameters() if p.requires_grad]
    if recipe.optimiser == "adamw":
        return 2 * sum(sizes) + 4 * len(sizes)
    return sum(sizes) if recipe.momentum > 0 else 0


def _epoch_bytes(data: Data, recipe: Recipe) -> int:
    """What a training keeps on the device beside the shared data to draw its batches: order, shifts, flips."""
    return _total(_own(train_batches(_bare(data), recipe.batch_size, _META, torch.Generator())))


def _own(batches: TrainBatches | TableBatches) -> list[torch.Tensor]:
    tensors = (value for name, value in vars(batches).items() if name not in ("x", "y"))
    return [value for value in tensors if isinstance(value, torch.Tensor)]


def _total(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def _bare(data: Data) -> Data:
    """The same data without their content."""
    train, val = (Split(part.x.to(_META), part.y.to(_META)) for part in (data.train, data.val))
    return replace(data, train=train, val=val)


def _first(split: Split, n: int) -> Split:
    rows = torch.arange(n) % len(split)
    return Split(split.x[rows], split.y[rows])
