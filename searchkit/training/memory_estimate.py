"""Estimate of a training's peak memory before it begins, so that several trainings fit on one card.

One training step (batch, forward, loss, backward) and one batch of the scoring are run as in
:mod:`searchkit.training.train`, but on torch's meta device, where tensors have sizes and nothing is computed. The
optimiser's state is computed by a formula.

**Included:** weights, gradients and the optimiser's state in float32; buffers; what autograd stores for a batch; other
tensors that exist at the same time, such as gradients of activations and bfloat16 copies of the weights; a batch, from
the gather to the normalised images; an epoch's order and shifts. Attention is counted as separate matrix products,
though a card may have a kernel that needs less.

**Not included:** the data, which all trainings on a device share (:func:`data_bytes`); what the allocator adds by
rounding and caching; scratch memory of kernels, cuDNN and cuBLAS; recorded steps; the CUDA context. A
:class:`searchkit.execution.interleaved.MemoryBudget` learns their share.
"""

from __future__ import annotations

import contextlib
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
from searchkit.costs.meta_tensors import no_gradients, on_meta, shape_only
from searchkit.data.data import Data
from searchkit.data.loader import TableBatches, TrainBatches, in_order, train_batches
from searchkit.data.normalising import Normaliser
from searchkit.data.splits import Split
from searchkit.runtime.copies import copied
from searchkit.space import NetworkSpace
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.training.scores import score_batch

_META, _CPU = torch.device("meta"), torch.device("cpu")
_SMALL = (2, 4)  # sizes of the batches that are run on the CPU where meta tensors are not enough


def training_bytes(network: nn.Module, data: Data, recipe: Recipe, *, autocast: bool) -> int:
    """Peak bytes of :func:`searchkit.training.train.train` with these arguments, besides the data on the device.

    A network that cannot run on meta tensors (because it reads values of its activations) is run on the CPU with two
    small batches. At each moment of the step, memory is linear in the batch size; the largest extrapolation counts.

    Args:
        network: on any device; not changed.
        autocast: use bfloat16 where torch.autocast does on a card; otherwise everything is float32.

    Raises:
        Exception: whatever the network raises in a step.
    """
    return _bytes(lambda: shape_only(network), lambda: copied(network).to(_CPU), data, recipe, autocast)


def candidate_training_bytes(
    space: NetworkSpace, code: npt.ArrayLike, data: Data, recipe: Recipe, *, autocast: bool
) -> int:
    """The same for a candidate that is not built yet; it is built on the meta device if its builder allows that."""
    return _bytes(lambda: space.build(code), lambda: space.build(code), data, recipe, autocast)


def data_bytes(data: Data) -> int:
    """Bytes of the train part on a device: images padded by the largest shift, tables in float32, and labels."""
    batches = train_batches(_bare(data), 2, _META, torch.Generator())
    return _total([batches.x, batches.y, *([] if batches.weight is None else [batches.weight])])


_Build = Callable[[], nn.Module]


def _bytes(bare: _Build, real: _Build, data: Data, recipe: Recipe, autocast: bool) -> int:
    def by_shape() -> int:
        network = bare()
        return _peak_by_shape(network, _bare(data), recipe, autocast) + _state_bytes(network, recipe)

    def by_small_batches() -> int:
        network = real()
        return _peak_by_small_batches(network, data, recipe, autocast) + _state_bytes(network, recipe)

    return on_meta(by_shape, by_small_batches) + _epoch_bytes(data, recipe)


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
    """Bytes after each allocation in a step that begins with earlier gradients, without the batches' own tensors."""
    batches = train_batches(data, recipe.batch_size, device, torch.Generator().manual_seed(0), recipe.augment)
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
            loss = loss_function(network(x), y, batches.weights(slice(0, batches.batch_size)))
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
    apart = _total(own)
    history: list[int] = [live - apart for live in memory.history]
    return history


def _scoring(
    network: nn.Module, data: Data, size: int, device: torch.device, precision: AbstractContextManager[Any] | None
) -> list[int]:
    """Bytes after each allocation while a validation batch is scored; with a precision as on a card, channels last."""
    network.eval()
    normalise = Normaliser(data, device)
    with LiveMemory(_held(network)) as memory, no_gradients(), precision or contextlib.nullcontext():
        x, _ = next(in_order(data.val, size, normalise, device))
        on_card = precision is not None and x.ndim == 4
        network(x.contiguous(memory_format=torch.channels_last) if on_card else x)
    history: list[int] = memory.history
    return history


def _held(network: nn.Module) -> list[torch.Tensor]:
    parameters = list(network.parameters())
    return [*parameters, *network.buffers(), *(p.grad for p in parameters if p.grad is not None)]


def _extrapolated(profiles: list[list[int]], batch_size: int) -> int:
    """The peak at a batch size, extrapolated moment by moment from the profiles of two smaller ones."""
    small, large = profiles
    if len(small) != len(large):  # the number of operations depends on the images
        small, large = [max(small)], [max(large)]
    further = (batch_size - _SMALL[1]) / (_SMALL[1] - _SMALL[0])
    return max(math.ceil(b + (b - a) * further) for a, b in zip(small, large, strict=True))


def _state_bytes(network: nn.Module, recipe: Recipe) -> int:
    """Bytes of the optimiser's state: two moments and a counter per weight tensor (AdamW), or the momentum (SGD)."""
    sizes = [p.numel() * p.element_size() for p in network.parameters() if p.requires_grad]
    if recipe.optimiser == "adamw":
        return 2 * sum(sizes) + 4 * len(sizes)
    return sum(sizes) if recipe.momentum > 0 else 0


def _epoch_bytes(data: Data, recipe: Recipe) -> int:
    """Bytes that a training keeps on the device to make its batches, besides the shared data: order, shifts, flips."""
    return _total(_own(train_batches(_bare(data), recipe.batch_size, _META, torch.Generator(), recipe.augment)))


def _own(batches: TrainBatches | TableBatches) -> list[torch.Tensor]:
    tensors = (value for name, value in vars(batches).items() if name not in ("x", "y", "weight"))
    return [value for value in tensors if isinstance(value, torch.Tensor)]


def _total(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def _bare(data: Data) -> Data:
    """The same data on the meta device: shapes without values."""
    train, val = (_bare_split(part) for part in (data.train, data.val))
    return replace(data, train=train, val=val)


def _bare_split(split: Split) -> Split:
    return Split(split.x.to(_META), split.y.to(_META), None if split.weight is None else split.weight.to(_META))


def _first(split: Split, n: int) -> Split:
    return split.rows(torch.arange(n) % len(split))
