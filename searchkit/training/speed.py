"""How long a training step takes here: measured for a few networks of a space before a search is planned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from searchkit.costs.counts import space_counts
from searchkit.errors import PASSED_ON, CandidateError, SearchkitError
from searchkit.problem.problem import Problem
from searchkit.random_state import untouched
from searchkit.runtime.threads import one_thread
from searchkit.space import NetworkSpace
from searchkit.training.evaluator import Training
from searchkit.training.optimisation import Steps
from searchkit.training.scores import scoring_time
from searchkit.training.train import build_seeded, place
from searchkit.types import Codes

SAMPLED = 64  # random candidates of a space without designs to begin with, among which the sizes are looked for
STEPS = 6  # of each network; the first two initialise libraries
SECONDS = 0.6  # after which no further step is made, but for the second one


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step of one network.

    Attributes:
        code: the network, ``(d,)``.
        step: seconds of a step.
        batch_size: examples of a step.
        scored: seconds that scoring takes for an example.
    """

    code: Codes
    step: float
    batch_size: int
    scored: float = 0.0

    @property
    def example(self) -> float:
        """Seconds of an example."""
        return self.step / self.batch_size


@dataclass(frozen=True)
class Within:
    """The bounds of a search on what is known without training: networks that break them are never trained.

    Attributes:
        problem: has the bounds on what is counted.
        meets: whether a candidate ``(d,)`` meets the bounds on what is measured; None: no such bounds.
        measured: the names of the metrics that have those bounds.
    """

    problem: Problem
    meets: Callable[[Codes], bool] | None = None
    measured: tuple[str, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether there are bounds."""
        return self.meets is not None or self.problem.known is not None


def sizes(space: NetworkSpace, within: Within | None = None, seconds: float = math.inf) -> Codes:
    """``(3, d)``: the smallest, a middle and the largest network by MACs, of the space's own designs or of a sample.

    Args:
        within: bounds that all three meet, where any network does. What is measured is assumed to grow with the MACs,
            so that few are measured.
        seconds: after which no more is measured; of what is not known then, the smaller half is taken.

    Raises:
        SearchkitError: none of them can be built.
    """
    within = within or Within(Problem(space))
    codes = space.reference
    codes = codes[within.problem.allowed(codes)] if len(codes) else codes
    if len(codes) < 3:
        drawn = within.problem.sample(SAMPLED, np.random.default_rng(0))  # none where no network meets the bounds
        codes = drawn if len(drawn) else space.sample(SAMPLED, np.random.default_rng(0))
        codes = space.canonical(codes)
    macs = np.full(len(codes), np.nan)
    for i, code in enumerate(codes):
        try:
            macs[i] = space_counts(space, code[None])["macs"][0]
        except PASSED_ON:
            raise
        except Exception:
            continue
    order = np.argsort(macs)[: int(np.isfinite(macs).sum())]
    if not len(order):
        raise SearchkitError(f"no network of space '{space.name}' could be built to measure how long a training takes")
    if within.meets is not None:
        order = order[: max(1, _how_many_meet(codes[order], within.meets, seconds))]
    chosen: Codes = codes[order[[0, len(order) // 2, -1]]]
    return chosen


def _how_many_meet(codes: Codes, meets: Callable[[Codes], bool], seconds: float) -> int:
    """Of candidates in the order of what is bounded, the number before the first that does not meet the bounds."""
    low, high, until = 0, len(codes), time.perf_counter() + seconds
    while low < high:
        middle = (low + high) // 2
        if time.perf_counter() > until:
            return middle
        if meets(codes[middle]):
            low = middle + 1
        else:
            high = middle
    return low


def measure(training: Training, codes: Codes) -> list[Speed]:
    """The speeds of candidates ``(n, d)``, the quickest first; those that cannot be trained are left out.

    Raises:
        CandidateError: none can be trained; the message is that of the last one.
    """
    found: list[Speed] = []
    failure: BaseException | None = None
    for code in codes:
        try:
            found.append(_speed(training, code))
        except PASSED_ON:
            raise
        except BaseException as error:
            failure = error
    if not found:
        raise CandidateError(f"no network could be trained to measure how long that takes: {failure}") from failure
    return sorted(found, key=lambda speed: speed.step)


def _speed(training: Training, code: Codes) -> Speed:
    device = torch.device(training.device)
    with untouched(), one_thread():
        network = build_seeded(training.space, code, 0).train()
        place(network, device)
        steps = Steps(network, training.data, training.recipe_of(code), device, 0, None)
        step = step_seconds(steps, device)
        scored = scoring_time(network, training.data, device)
    return Speed(code, step, steps.batch_size, scored)


def step_seconds(steps: Steps, device: torch.device) -> float:
    """Seconds of a training step; a few are made."""
    seconds: list[float] = []
    began = time.perf_counter()
    while steps.left and (len(seconds) < 2 or (len(seconds) < STEPS and time.perf_counter() - began < SECONDS)):
        before = time.perf_counter()
        steps.take()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - before)
    return typical(seconds)


def typical(seconds: Sequence[float]) -> float:
    """The median of the later steps, of which a neighbour may disturb a few; the first ones initialise libraries."""
    return float(np.median(seconds[min(2, len(seconds) - 1) :]))
