"""The steps of one training: batch, loss, backward pass, update; on a card, a step is recorded once and repeated."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.data.loader import train_batches
from searchkit.runtime.cuda_graphs import Capture, Work, draws_on_host, recorded
from searchkit.runtime.devices import bfloat16_is_quicker
from searchkit.runtime.torch_compat import make_step, spare_compiler
from searchkit.training.recipe import Recipe
from searchkit.training.tasks.losses import Loss, Weights, distance, task_loss
from searchkit.training.tasks.outputs import check_outputs


def loss_of(data: Data, recipe: Recipe, device: torch.device) -> Loss:
    """The loss ``(outputs, y, weights) -> scalar``, see :func:`~searchkit.training.tasks.losses.task_loss`.

    It raises CandidateError where outputs have another shape than the data's ``output_shape``.
    """
    loss = task_loss(data, recipe.loss, recipe.label_smoothing, device)

    def checked(outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None) -> torch.Tensor:
        check_outputs(outputs, len(y), data.output_shape)
        return loss(outputs.float() if outputs.dtype is torch.bfloat16 else outputs, y, weights)

    return checked


def half_precision(recipe: Recipe, data: Data, device: torch.device) -> bool:
    """Whether a recipe trains in bfloat16 on a device."""
    if recipe.precision == "auto":
        return device.type == "cuda" or (data.kind == "images" and bfloat16_is_quicker(device))
    return recipe.precision == "bfloat16"


WARM_UP = 3  # steps made from Python before one is recorded: libraries and the optimiser's state are initialised
WORTH_IT = 8  # remaining steps from which recording one saves time


class Steps:
    """Trains a network in place, one step at a time.

    With ``capture``, the values that change between steps (the position in the epoch, the learning rate) are stored on
    the device, so that one recorded step can be repeated for all. A network that cannot be recorded is trained from
    Python, with the same result. This is one that waits for a value, that draws from Python's or numpy's random
    generators, or that has the attribute ``recordable = False``. A network should have this attribute if its forward
    pass depends on how often it was called.

    Args:
        network: on the device.
        seed: of order and augmentation.
        capture: records a step, see :func:`searchkit.runtime.cuda_graphs.captured`. None: no step is recorded.
        teacher: on the device, in eval mode; its answers are learned from as far as the recipe's distillation says.
    """

    def __init__(
        self,
        network: nn.Module,
        data: Data,
        recipe: Recipe,
        device: torch.device,
        seed: int,
        capture: Capture | None,
        teacher: nn.Module | None = None,
    ) -> None:
        self._network, self._recipe, self._device = network, recipe, device
        self._teacher = teacher if recipe.distillation else None
        self._task = data.task
        self._batches = train_batches(
            data, recipe.batch_size, device, torch.Generator().manual_seed(seed), recipe.augment
        )
        self._loss = loss_of(data, recipe, device)
        self.n_batches, self.batch_size = self._batches.n_batches, self._batches.batch_size
        self.left = self.planned = recipe.steps_over(len(data.train))
        self._rates = [recipe.lr * one_cycle(step / self.left, recipe.warm_up) for step in range(self.left)]
        self._since, self._from = 0, 0.0  # the step since which the schedule is as it is, and its progress there
        self._total = torch.zeros((), device=device)
        self._told = torch.zeros((), pin_memory=device.type == "cuda")
        self.half = half_precision(recipe, data, device)
        recordable = getattr(network, "recordable", True) and data.transform is None
        self._capture = capture if recordable else None
        self._shares = torch.ones(self.n_batches, device=device)  # of the examples themselves, batch by batch
        self._seed = seed
        self._static = capture is not None
        self._repeat: Work | None = None
        if self._static:
            self._rate = torch.full((1,), recipe.lr, device=device)
            self._all_rates = torch.tensor(self._rates, device=device)
            self._number, self._first = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))
            self._offsets = torch.arange(self._batches.batch_size, device=device)
        self._optimiser = optimiser_of(network.parameters(), recipe, self._rate if self._static else recipe.lr)
        self.taken = 0

    @property
    def epoch(self) -> int:
        """Number of the epoch of the last step, from 1."""
        return max(1, -(-self.taken // self.n_batches))

    @property
    def epochs(self) -> int:
        """Number of epochs in all; the last one may be incomplete."""
        return -(-(self.taken + self.left) // self.n_batches)

    def take(self) -> None:
        """Make the next step; on a card, only queue it."""
        if self.taken % self.n_batches == 0:
            self._begin_epoch()
        if self._repeat is None and self._capture is not None and self.taken >= WARM_UP and self.left >= WORTH_IT:
            self._repeat, self._capture = self._recorded(self._capture), None
        if self._repeat is not None:
            self._repeat()
        elif self._capture is None:
            self._step() if self._static else self._from_python()
        elif draws_on_host(self._step, self._device):
            self._capture = None
        self.taken += 1
        self.left -= 1

    @property
    def _progress(self) -> float:
        """Progress in the schedule, from 0 to 1."""
        done = self.taken - self._since
        return self._from + (1 - self._from) * done / max(1, done + self.left)

    @property
    def wanted(self) -> int:
        """Steps that are left of the schedule at the recipe's pace."""
        return min(round((1 - self._progress) * self.planned), self.planned - self.taken)

    def rest_in(self, left: int) -> None:
        """Go through the rest of the schedule in ``left`` more steps; the learning rate falls to its end in them."""
        progress = self._progress
        rates = [
            self._recipe.lr * one_cycle(progress + (1 - progress) * step / left, self._recipe.warm_up)
            for step in range(left)
        ]
        self._rates[self.taken :] = rates
        if self._static and rates:
            self._all_rates[self.taken : self.taken + left].copy_(torch.tensor(rates))
        self._since, self._from, self.left = self.taken, progress, left

    def tell(self) -> None:
        """Queue a copy of the epoch's sum of losses to the host, which :meth:`mean_loss` reads."""
        self._told.copy_(self._total, non_blocking=True)

    def mean_loss(self) -> float:
        """Mean loss of the epoch, once the copy that :meth:`tell` queued is done."""
        return self._told.item() / ((self.taken - 1) % self.n_batches + 1)

    def _begin_epoch(self) -> None:
        """Shuffle, and start a new sum of losses."""
        self._batches.shuffle()
        self._total.zero_()
        if self._recipe.mixup:
            rng = np.random.default_rng([self._seed, self.taken])
            drawn = rng.beta(self._recipe.mixup, self._recipe.mixup, self.n_batches)
            self._shares.copy_(torch.from_numpy(drawn))
        if self._static:
            self._first.zero_()

    def _from_python(self) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._rates[self.taken]
        start = self.taken % self.n_batches * self._batches.batch_size
        self._learn(slice(start, start + self._batches.batch_size))

    def _step(self) -> None:
        """One step that is the same each time, because all that changes is stored in tensors."""
        torch.index_select(self._all_rates, 0, self._number, out=self._rate)
        self._learn(self._first + self._offsets)
        self._number += 1
        self._first += self._batches.batch_size

    def _learn(self, places: slice | torch.Tensor) -> None:
        x, y = self._batches.batch(places)
        weights = self._batches.weights(places)
        share = self._share(places) if self._recipe.mixup else None
        if share is not None:
            x = share * x + (1 - share) * x.roll(1, 0)
        try:
            loss = self._gradients(x, y, weights, share)
        except Exception:
            if self.taken or not self.half or self._device.type != "cpu":
                raise
            self.half = False  # some operations have no bfloat16 on CPUs; an error in float32 is the candidate's own
            loss = self._gradients(x, y, weights, share)
        make_step(self._optimiser)
        self._total += loss.detach()

    def _share(self, places: slice | torch.Tensor) -> torch.Tensor:
        """``(1,)`` how much of each example of a batch is its own."""
        first = torch.tensor([places.start]) if isinstance(places, slice) else self._first
        return self._shares[first // self.batch_size]

    def _gradients(self, x: torch.Tensor, y: torch.Tensor, weights: Weights, share: Weights) -> torch.Tensor:
        """The loss of a batch, whose gradients are then in the network.

        Args:
            share: ``(1,)`` how much of each example is its own, where it is mixed with the one before it.
        """
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.half):
            outputs = self._network(x)
            loss = self._loss(outputs, y, weights)
            if share is not None:
                others = None if weights is None else weights.roll(1, 0)
                loss = (share * loss + (1 - share) * self._loss(outputs, y.roll(1, 0), others)).squeeze()
            if self._teacher is not None:
                learned, wanted = self._recipe.distillation, self._answers(self._teacher, x)
                loss = (1 - learned) * loss + learned * distance(outputs.float(), wanted, self._task)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    @staticmethod
    def _answers(teacher: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            answers: torch.Tensor = teacher(x).float()
        return answers

    def _recorded(self, capture: Capture) -> Work | None:
        """A function that repeats a step, or None where it cannot be recorded; then nothing has changed."""
        adam = [group for group in self._optimiser.param_groups if "capturable" in group]
        for group in adam:
            group["capturable"] = True  # required only while recording; the fused step is the same with and without
        self._optimiser.zero_grad(set_to_none=True)
        if self._device.type == "cuda":  # a recording has its own memory pool, and cannot use that of earlier steps
            torch.cuda.empty_cache()
        repeat = recorded(self._step, capture)
        if repeat is None:
            for group in adam:
                group["capturable"] = False
        return repeat


def one_cycle(progress: float, warm_up: float) -> float:
    """Fraction of the peak learning rate at ``progress`` in [0, 1): a linear rise, then half a cosine down to 0."""
    if progress < warm_up:
        return 0.1 + 0.9 * progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))


def groups_of(learned: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters with weight decay, of two or more dimensions, and those without."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in learned:
        (matrices if parameter.ndim > 1 else vectors).append(parameter)
    return matrices, vectors


def optimiser_of(parameters: Iterable[nn.Parameter], recipe: Recipe, lr: float | torch.Tensor) -> torch.optim.Optimizer:
    """SGD or AdamW, with fused steps where torch has them; the :func:`groups_of` the parameters are its two groups."""
    learned = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": each, "weight_decay": decay}
        for each, decay in zip(groups_of(learned), (recipe.weight_decay, 0.0), strict=True)
    ]
    spare_compiler()
    fused = all(p.is_floating_point() for p in learned)  # there are no fused steps for complex numbers
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=lr, fused=fused)
    return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)
