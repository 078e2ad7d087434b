"""Trains and scores one network: a short one-cycle run from given weights, the same for the same seed.

On a CPU in float32 with one thread, bitwise repeatable; on a GPU in bfloat16, channels last.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import nn

from searchkit.batches import train_batches
from searchkit.cards import give_way, key_of
from searchkit.data import Data, Split
from searchkit.devices import device_errors, one_thread, resolve_device
from searchkit.errors import CandidateError, DataError, OutOfMemoryError, TimeLimitError
from searchkit.losses import loss_of
from searchkit.quality import scores
from searchkit.recipe import Recipe
from searchkit.space import NetworkSpace

__all__ = ["Recipe", "Trained", "build_seeded", "resolve_device", "score", "train"]


@dataclass(frozen=True)
class Trained:
    """What a training run was worth: scores on the validation part, last epoch's mean loss, seconds."""

    scores: dict[str, float]
    train_loss: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """0 to 1; NaN in regression."""
        return self.scores.get("accuracy", math.nan)


def build_seeded(space: NetworkSpace, code: npt.ArrayLike, seed: int) -> nn.Module:
    """The candidate's network with weights that the seed fixes; the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return space.build(code)


def train(
    network: nn.Module,
    data: Data,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    time_limit: float | None = None,
) -> Trained:
    """Train a network in place on ``data.train`` and score it on ``data.val``; it comes back on the CPU, in eval mode.

    Args:
        seed: of order, augmentation and dropout; the weights are as given.
        time_limit: seconds; checked after every step.

    Raises:
        CandidateError: the loss is no longer finite.
        OutOfMemoryError: the device has run out of memory.
        TimeLimitError: the limit is over.
        DeviceGoneError: the device is lost, or another process has it for itself; no fault of the network.
    """
    started = time.perf_counter()
    recipe = recipe or Recipe()
    where = resolve_device(device)
    with ExitStack() as stack:
        stack.enter_context(device_errors(where))
        stack.callback(_bring_home, network)
        if where.type == "cpu":
            stack.enter_context(one_thread())
        _fork_and_seed(stack, where, seed)
        fits = True
        try:
            _place(network, where)
            train_loss = _fit(network, data, recipe, where, seed, started, time_limit)
            found = _scores(network, data.val, data, where)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            fits = False
        if not fits:  # out here, where the error no longer keeps the tensors of its frames alive
            raise OutOfMemoryError(f"out of memory on {where} with batches of {recipe.batch_size}")
    return Trained(found, train_loss, time.perf_counter() - started)


def score(network: nn.Module, split: Split, data: Data, device: str | torch.device = "auto") -> float:
    """Accuracy (0 to 1) on a part of the data, R^2 in regression; the network comes back on the CPU, in eval mode."""
    if not len(split):
        raise DataError(f"the part of data '{data.name}' to score on is empty")
    where = resolve_device(device)
    with ExitStack() as stack:
        stack.enter_context(device_errors(where))
        stack.callback(_bring_home, network)
        if where.type == "cpu":
            stack.enter_context(one_thread())
        _place(network, where)
        return _scores(network, split, data, where)["accuracy" if data.task == "classification" else "r2"]


def _scores(network: nn.Module, split: Split, data: Data, device: torch.device) -> dict[str, float]:
    network.eval()
    return scores(network, split, data, device, _memory_format(device))


def _fit(
    network: nn.Module,
    data: Data,
    recipe: Recipe,
    device: torch.device,
    seed: int,
    started: float,
    time_limit: float | None,
) -> float:
    """All epochs; the mean loss of the last one."""
    batches = train_batches(data, recipe.batch_size, device, torch.Generator().manual_seed(seed))
    loss_function = loss_of(data, recipe, device)
    optimiser = _optimiser(network, recipe)
    card = key_of(device) if device.type == "cuda" else None
    n_steps, step, mean_loss = recipe.epochs * batches.n_batches, 0, math.nan
    network.train()
    for epoch in range(1, recipe.epochs + 1):
        total = torch.zeros((), device=device)
        for x, y in batches.epoch():
            if card is not None:
                give_way(card)  # to whoever measures there
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * one_cycle(step / n_steps, recipe.warm_up)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = loss_function(network(x), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.detach()
            step += 1
            if time_limit is not None and time.perf_counter() - started > time_limit:
                raise TimeLimitError(f"over its limit of {time_limit:g} s at epoch {epoch} of {recipe.epochs}")
        mean_loss = total.item() / batches.n_batches  # the only wait for the device: once an epoch
        if not math.isfinite(mean_loss):
            raise CandidateError(f"diverged: loss {mean_loss} at epoch {epoch}")
    return mean_loss


def one_cycle(progress: float, warm_up: float) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1): a straight rise, then half a cosine down to 0."""
    if progress < warm_up:
        return 0.1 + 0.9 * progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW in one fused step; weight decay on matrices and kernels only."""
    learned = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


def _out_of_memory(error: Exception) -> bool:
    """A GPU's kind of error, Python's, or the sentence of torch's CPU allocator, which has no kind of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _memory_format(device: torch.device) -> torch.memory_format:
    # On a CPU the layout did not matter: 42.8 and 40.3 ms a step for six 3x3 edges, 16 channels, 8x8, batch 128;
    # 29.2 and 29.9 for two; 0.13 s and 0.13 s a step at 32x32 (torch 2.13, one thread of an EPYC).
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def _place(network: nn.Module, device: torch.device) -> None:
    network.to(device, memory_format=_memory_format(device))  # type: ignore[call-overload]


def _fork_and_seed(stack: ExitStack, device: torch.device, seed: int) -> None:
    """Dropout and the like draw from the global generators: seeded here, as they were after."""
    if device.type == "cuda":
        stack.enter_context(torch.random.fork_rng(devices=[device]))
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    else:
        stack.enter_context(torch.random.fork_rng(devices=[]))
    torch.default_generator.manual_seed(seed)


def _bring_home(network: nn.Module) -> None:
    """Back to the CPU in the usual layout, in eval mode, without gradients; the device's memory is free again."""
    on_gpu = any(p.is_cuda for p in network.parameters())
    network.zero_grad(set_to_none=True)
    network.eval()
    _place(network, torch.device("cpu"))
    if on_gpu:
        torch.cuda.empty_cache()
