"""Training and scoring of one network, from given weights, with a one-cycle learning rate.

On a CPU, training uses one thread, and is bitwise reproducible for a seed on one kind of CPU. It uses bfloat16 autocast
where that is quicker (``Recipe.precision``): on a GPU, and for images on a CPU with AMX.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.task_scores import SCORES
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.errors import CandidateError, DataError, OutOfMemoryError, is_out_of_memory
from searchkit.random_state import seeded, untouched
from searchkit.runtime.cuda_graphs import Capture, captured
from searchkit.runtime.devices import device_errors, format_of, resolve_device
from searchkit.runtime.threads import one_thread
from searchkit.space import NetworkSpace
from searchkit.training.card_layers import card_layers
from searchkit.training.optimisation import Steps, one_cycle
from searchkit.training.pace import Clock
from searchkit.training.recipe import Recipe
from searchkit.training.scores import Tally, answers, scores, scoring_time
from searchkit.training.turns import Course, Turns, finish

__all__ = ["Recipe", "Trained", "build_seeded", "course", "one_cycle", "resolve_device", "score", "train"]


@dataclass(frozen=True)
class Trained:
    """Result of a training: scores on the validation part, mean training loss of the last epoch, and seconds.

    The loss is NaN for a network without parameters to train, which is scored as it is.

    Attributes:
        steps: training steps made.
        planned: steps of the recipe; more than were made where the time did not suffice.
    """

    scores: dict[str, float]
    train_loss: float
    seconds: float
    steps: int = 0
    planned: int = 0

    @property
    def accuracy(self) -> float:
        """Accuracy from 0 to 1; NaN in other tasks than classification."""
        return self.scores.get("accuracy", math.nan)


def build_seeded(space: NetworkSpace, code: npt.ArrayLike, seed: int) -> nn.Module:
    """Build the candidate's network with weights drawn from the seed; the caller's random state is not changed."""
    with seeded(seed):
        return space.build(code)


def train(
    network: nn.Module,
    data: Data,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    time_limit: float | None = None,
    within: float | None = None,
) -> Trained:
    """Train a network in place on ``data.train`` and score it on ``data.val``; it ends on the CPU, in eval mode.

    Args:
        seed: of order, augmentation and dropout; training starts from the network's weights.
        time_limit: in seconds, checked after every step; on a card, steps are queued ahead of their execution.
        within: seconds that training and scoring should take at most. Where the steps of the recipe would take longer,
            fewer are made, and the learning rate falls to its end within them (:mod:`searchkit.training.pace`).

    Raises:
        CandidateError: the loss, or an output in validation, is not finite.
        OutOfMemoryError: the device has run out of memory.
        TimeLimitError: the training took longer than the limit.
        DeviceGoneError: the device is lost, or another process has exclusive use of it; not the fault of the network.
    """
    return finish(course(network, data, recipe=recipe, seed=seed, device=device, time_limit=time_limit, within=within))


def course(
    network: nn.Module,
    data: Data,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    time_limit: float | None = None,
    within: float | None = None,
    least: int = 0,
    capture: Capture | None = None,
    teacher: nn.Module | None = None,
) -> Course[Trained]:
    """:func:`train` as a generator that makes one turn at a time, so that a device can run several trainings at once.

    The result does not depend on the other trainings, but ``time_limit``, ``within`` and ``Trained.seconds`` include
    their turns.

    Args:
        least: see :class:`~searchkit.training.pace.Clock`.
        capture: records a step. None: a CUDA graph on a card, and no recording on a CPU.
        teacher: see :class:`~searchkit.training.optimisation.Steps`; it ends on the CPU, as it was.
    """
    started = time.perf_counter()
    recipe = recipe or Recipe()
    where = resolve_device(device)
    turns = Turns(where, seed)
    if capture is None and where.type == "cuda":
        capture = captured
    fits = True
    try:
        try:
            clock = Clock(started, time_limit, within, least)
            trained = yield from _trained(network, data, recipe, turns, seed, clock, capture, teacher)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        if not fits:  # outside of the handler, where the error no longer keeps tensors alive
            raise OutOfMemoryError(f"out of memory on {where} with batches of {recipe.batch_size}")
    finally:
        with turns.turn():
            _bring_home(network)
            if teacher is not None:
                teacher.to("cpu")
    turns.close()
    return replace(trained, seconds=time.perf_counter() - started)


def score(network: nn.Module, split: Split, data: Data, device: str | torch.device = "auto") -> float:
    """The first score of the task on a part of the data, such as accuracy from 0 to 1, or R^2 in regression.

    It leaves the network on the CPU in eval mode.
    """
    if not len(split):
        raise DataError(f"the part of data '{data.name}' to score on is empty")
    where = resolve_device(device)
    with ExitStack() as stack:
        stack.enter_context(device_errors(where))
        stack.enter_context(untouched())
        stack.callback(_bring_home, network)
        if where.type == "cpu":
            stack.enter_context(one_thread())
        place(network, where)
        network.eval()
        return scores(network, split, data, where)[SCORES[data.task][0]]


def _trained(
    network: nn.Module,
    data: Data,
    recipe: Recipe,
    turns: Turns,
    seed: int,
    clock: Clock,
    capture: Capture | None,
    teacher: nn.Module | None,
) -> Course[Trained]:
    """Train and score in turns."""
    mean_loss, taken, planned = math.nan, 0, 0
    learns = any(parameter.requires_grad for parameter in network.parameters())  # else it is scored as it is
    try:
        with card_layers(network, turns.device):
            with turns.turn():
                place(network, turns.device)
                if teacher is not None:
                    place(teacher.eval(), turns.device)
            if learns:
                with turns.turn():
                    network.train()
                    steps = Steps(network, data, recipe, turns.device, seed, capture, teacher)
                with turns.turn():
                    scoring = scoring_time(network, data, turns.device) * len(data.val) if clock.timed else 0.0
                clock.begin(steps, scoring)
                while steps.left:
                    mean_loss = yield from _epoch(steps, turns, clock)
                taken, planned = steps.taken, steps.planned
                clock.end()
                del steps  # frees its memory on the device, so that scoring needs no more than training
        return Trained((yield from _scored(network, data, turns)), mean_loss, 0.0, taken, planned)
    finally:
        turns.wait()


def _epoch(steps: Steps, turns: Turns, clock: Clock) -> Course[float]:
    """Train one epoch in turns, and return its mean loss; on a card, a turn is queued while the one before it runs."""
    last, before, ended = steps.taken + steps.n_batches, None, False
    while not ended:
        turns.follow(before)
        with turns.turn():
            began, n = time.perf_counter(), 0
            while not ended and not (n and turns.over(n, began)):
                steps.take()
                n += 1
                clock.check()
                ended = not steps.left or steps.taken == last
            if ended:
                steps.tell()
            queued = turns.mark()
        yield queued if ended else before
        before = queued
    mean_loss = steps.mean_loss()
    if not math.isfinite(mean_loss):
        raise CandidateError(f"diverged: loss {mean_loss} at epoch {steps.epoch}")
    return mean_loss


def _scored(network: nn.Module, data: Data, turns: Turns) -> Course[dict[str, float]]:
    """Scores on the validation part; each batch is a turn, since other trainings wait while Python launches it."""
    network.eval()
    parts = answers(network, data.val, data, turns.device)
    tally = Tally(data)
    while True:
        with turns.turn():
            part = next(parts, None)
            if part is None:
                return tally.scores(data.val.weight)
            tally.add(*part)
        yield None


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in the memory format of trainings there."""
    network.to(device, memory_format=format_of(network, device))  # type: ignore[call-overload]


def _bring_home(network: nn.Module) -> None:
    """Move to the CPU in the contiguous format, in eval mode without gradients, and free the device's memory."""
    on_gpu = any(p.is_cuda for p in network.parameters())
    network.zero_grad(set_to_none=True)
    network.eval()
    network.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if on_gpu:
        torch.cuda.empty_cache()
