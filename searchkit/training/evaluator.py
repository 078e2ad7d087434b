"""Evaluation of a candidate network by training it, in full or at a rung of a fidelity ladder."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from searchkit.costs.metrics import Metric
from searchkit.data.data import Data
from searchkit.data.loader import put_on_device
from searchkit.data.splits import Split, split_rows
from searchkit.errors import PASSED_ON, CandidateError, message_of
from searchkit.problem.numbers import number_of
from searchkit.random_state import untouched
from searchkit.runtime.copies import own_copy
from searchkit.space import NetworkSpace
from searchkit.space.recipe_space import settings_of
from searchkit.training.evaluation import Evaluation
from searchkit.training.fidelity import Rung
from searchkit.training.memory_estimate import candidate_training_bytes
from searchkit.training.normalised import normalised
from searchkit.training.own_recipe import NOTHING, OwnRecipe
from searchkit.training.recalibration import as_it_is, best_of
from searchkit.training.recipe import Recipe
from searchkit.training.reduced import narrower
from searchkit.training.starts import WEIGHTS_TAKEN, Start, begin_with, share_of
from searchkit.training.train import build_seeded, course, score
from searchkit.training.turns import Course, finish
from searchkit.training.weights import check_names, final_path, load_weights, own_state, save_weights, weights_path
from searchkit.types import Codes

FEWEST_STEPS = 15  # of a training within a time; where its beginning tells that it makes fewer, it has failed
LEAST_SHARE = 0.5  # of the time of a training that its steps have, however long they take to begin
BEFORE = "_before"  # ends the names of scores before the training, of networks of trained blocks
AT_ONCE = 256  # images that are resized at a time
STEPS_MADE = "steps"  # among the values of a training that has a time

_with_validation: WeakKeyDictionary[Data, Data] = WeakKeyDictionary()


@dataclass(frozen=True)
class Training(Evaluation):
    """Trains one candidate and scores it on the validation part; picklable.

    Attributes:
        data: without its test part; the search never sees that.
        recipe: of candidates that choose nothing of it; see :meth:`recipe_of`.
        metrics: functions of the trained network, beside its scores.
        folder: receives the trained weights, in one safetensors file per candidate.
        limit: seconds that a training may take; None: no limit.
        rungs: the cheap trainings of a fidelity ladder; see :func:`at_rung`.
        keep: whether trained weights are saved; those of a cheap training are not.
        scored: names of the scores on the validation part to return.
        exclusive: one thread of a process trains at a time, since weights and dropout draw from torch's generator, of
            which a process has only one; otherwise results would depend on the order in which threads draw.
        own: the user's settings, which hold in every recipe.
        start: weights that networks begin with; None: random ones.
    """

    exclusive: ClassVar[bool] = True
    takes_turns: ClassVar[bool] = True

    space: NetworkSpace
    data: Data
    recipe: Recipe
    device: str
    metrics: tuple[Metric, ...]
    folder: Path
    limit: float | None = None
    rungs: tuple[Training, ...] = ()
    keep: bool = True
    scored: tuple[str, ...] = ("accuracy",)
    own: OwnRecipe = NOTHING
    start: Start | None = None

    def __call__(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> dict[str, float]:
        """Train, and return ``{"accuracy": ..., ...}``: the scores and the metrics; an exception fails the candidate.

        Args:
            rung: the number of the ladder's rung to train at; None: the full training.
            within: seconds within which the training should end; then ``"steps"`` is among the values, the number that
                was made.
            final: the recipe of a final training, which is on the validation part as well, so that its scores tell
                only whether the training worked.
        """
        return finish(self.in_turns(code, seed, rung, within, final))

    def in_turns(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> Course[dict[str, float]]:
        """The same in turns, for several on one device (:mod:`searchkit.execution.interleaved`)."""
        if rung is not None:
            return (yield from self.rungs[rung].in_turns(code, seed))
        began = time.perf_counter()
        (network, taken), recipe = self.begun(code, seed), self.recipe_of(code, final)
        names = list(network.state_dict())
        before: dict[str, float] = {}
        start: nn.Module | None = None
        if self.space.teacher is not None:  # the network has weights that were learned
            network, found = as_it_is(network, self.data, self.scored[0])
            before = {f"{name}{BEFORE}": found[name] for name in self.scored}
            network.requires_grad_(self.space.fine_tuned(code))
            start = own_copy(network) if self.space.fine_tuned(code) and final is None else None
        teacher = self.space.teacher if recipe.distillation else None
        if within is not None:  # a new worker loads libraries until here, which takes seconds on a busy machine
            within = max(within - (time.perf_counter() - began), LEAST_SHARE * within)
        trained = yield from course(
            network,
            self.data if final is None else self._every_example,
            recipe=recipe,
            seed=seed,
            device=self.device,
            time_limit=self.limit,
            within=within,
            least=FEWEST_STEPS if final is None else 0,
            teacher=None if teacher is None else own_copy(teacher),
        )
        reached: Mapping[str, float] = trained.scores
        if start is not None:
            network, reached = best_of(network, reached, start, found, self.data, self.scored[0])
        values = {name: reached[name] for name in self.scored} | before | taken
        check_names(names, network)
        state = own_state(network) if self.keep else None
        values |= {
            metric.name: metric_value(metric, normalised(own_copy(network), self.data)) for metric in self.metrics
        }
        if within is not None:
            values.setdefault(STEPS_MADE, trained.steps)
        if state is not None:
            save_weights(state, self.written(code, final is not None))
        return values

    def built(self, code: Codes, seed: int) -> nn.Module:
        """The network of a candidate ``(d,)`` as its training begins."""
        return self.begun(code, seed)[0]

    def begun(self, code: Codes, seed: int) -> tuple[nn.Module, dict[str, float]]:
        """The same, and the share of its parameters that begin with given weights, where there are any."""
        network = build_seeded(self.space, code, seed)
        if self.start is None:
            return network, {}
        taken = begin_with(network, self.start.start(self.space.check_one(code)))
        return network, {WEIGHTS_TAKEN: share_of(network, taken)}

    def recipe_of(self, code: Codes, final: Recipe | None = None) -> Recipe:
        """The recipe of a candidate ``(d,)``, with the settings that it has chosen.

        Args:
            final: the recipe of a final training, which says how long that is; None: the training of the search.
        """
        n = len(self.data.train) + (0 if final is None else len(self.data.val))
        chosen = settings_of(self.space, code)
        return self.own.applied(final or self.recipe, self.data.kind, n, chosen, length=final is None)

    @property
    def _every_example(self) -> Data:
        """The data with the validation part in the train part as well; made once in a process."""
        if self.data not in _with_validation:
            _with_validation[self.data] = self.data.with_validation_in_train()
        return _with_validation[self.data]

    @property
    def device_name(self) -> str:
        """See :class:`~searchkit.training.evaluation.Evaluation`."""
        return self.device

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """Put the data on the device; if they do not fit, the training will fail with the reason."""
        training = self if rung is None else self.rungs[rung]
        with contextlib.suppress(Exception):
            put_on_device(training.data, torch.device(self.device), training.recipe_of(code).augment)

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """Bytes that a candidate is expected to need on the device, besides the data.

        0 if the network cannot be built or run; its training will fail with the reason.
        """
        if rung is not None:
            return self.rungs[rung].memory(code, seed)
        on_card = self.device.startswith("cuda")
        try:
            return candidate_training_bytes(self.space, code, self.data, self.recipe_of(code), autocast=on_card)
        except Exception:
            return 0

    def on(self, device: str) -> Training:
        """The same training on another device."""
        return replace(self, device=device, rungs=tuple(rung.on(device) for rung in self.rungs))

    def written(self, code: Codes, final: bool = False) -> Path:
        """The file that the full training of a candidate, or its final training, leaves."""
        return final_path(self.folder, code) if final else weights_path(self.folder, code)


def score_kept(space: NetworkSpace, code: Codes, path: Path, data: Data, device: str) -> float:
    """Score on the test part of a candidate with the weights of a file; see :func:`searchkit.training.train.score`."""
    network = space.build(code)
    load_weights(network, path)
    return score(network, data.test, data, device)


def at_rung(training: Training, rung: Rung, seed: int) -> Training:
    """The training at a rung of a fidelity ladder; it keeps no weights.

    Args:
        seed: of the part of the data; a smaller part is within a larger one.

    Raises:
        SpaceError: the rung sets a width, which the space does not have.
    """
    space, data = training.space, training.data
    if rung.width is not None:
        space = narrower(space, rung.width)
    if rung.data is not None and rung.data < 1:
        rows = torch.from_numpy(split_rows(data.train.y.numpy(), (rung.data,), np.random.default_rng(seed))[1])
        data = replace(data, train=data.train.rows(rows))
    if rung.resolution is not None:
        data = replace(data, train=_resized(data.train, rung.resolution), val=_resized(data.val, rung.resolution))
        space = space.for_data(data.input_shape, data.output_shape)
    recipe = replace(training.recipe, epochs=rung.epochs or training.recipe.epochs)
    return replace(training, space=space, data=data, recipe=recipe, keep=False)


def _resized(split: Split, side: int) -> Split:
    """Images whose shorter side has ``side`` pixels; bytes stay bytes."""
    height, width = split.x.shape[2:]
    size = [max(1, round(n * side / min(height, width))) for n in (height, width)]
    x = torch.cat([_of_size(part, size) for part in torch.split(split.x, AT_ONCE)])
    return replace(split, x=x, mapped=None)


def _of_size(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    made = functional.interpolate(x.float(), size=size, mode="bilinear", antialias=True)
    return made.round().clamp(0, 255).to(torch.uint8) if x.dtype == torch.uint8 else made


def metric_value(metric: Metric, network: nn.Module) -> float:
    """The value of a metric's function for a network; anything but a finite number fails the candidate.

    Args:
        network: takes raw inputs, see :func:`searchkit.training.normalised.normalised`.
    """
    assert metric.function is not None
    try:
        with untouched():
            returned = metric.function(network)
    except PASSED_ON:
        raise
    except BaseException as error:
        raise CandidateError(f"metric '{metric.name}' raised {type(error).__name__}: {message_of(error)}") from error
    try:
        value = number_of(returned)
    except ValueError as error:
        raise CandidateError(f"metric '{metric.name}' is {error}") from None
    if not math.isfinite(value):
        raise CandidateError(f"metric '{metric.name}' is {value}")
    return value
