"""Alternatives of a trained network's blocks learn, each alone, to give the block's output from the block's input.

The block-wise lesson of DNA (Li et al., CVPR 2020, arXiv 1911.13053): labels are not needed, and one pass of the
trained network serves all alternatives of all blocks. After a part of the training, an alternative that is neither
better nor cheaper than another one of its block is dropped, since the order within a block hardly changes later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.compression.quality import Key, watched
from searchkit.errors import SearchkitError
from searchkit.random_state import seeded
from searchkit.runtime.copies import copied
from searchkit.runtime.devices import bfloat16_is_quicker, placed
from searchkit.runtime.torch_compat import make_step, spare_compiler
from searchkit.runtime.whole_files import whole_file
from searchkit.training.optimisation import one_cycle
from searchkit.training.train import place

WARM_UP = 0.1  # share of the steps in which the learning rate rises
SEGMENTS = 8  # after each of which what was learned is written; the alternatives are compared after some of them

OnSegment = Callable[[int, int, float], None]  # segments done, those in all, mean relative error


@dataclass(frozen=True)
class LearningSetting:
    """How alternatives learn.

    Attributes:
        passes: over the examples.
        least: steps that are made at least, however few the examples are.
        batch_size: examples of a step.
        lr: peak of the learning rate of Adam.
        drop_after: share of the steps after which dominated alternatives are dropped; 1: none is.
        rated: examples that are kept back, on which the errors are measured: at most so many, and a fifth of all.
    """

    passes: float = 2.0
    least: int = 240
    batch_size: int = 64
    lr: float = 6e-3
    drop_after: float = 0.25
    rated: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.passes < math.inf or not 0 < self.lr < math.inf or not 0 < self.drop_after <= 1:
            raise SearchkitError(f"passes and lr are above 0, and drop_after is in (0, 1]: {self}")
        if self.batch_size < 2 or self.rated < 2 or self.least < 1:
            raise SearchkitError(f"batch_size and rated are at least 2, and least is at least 1: {self}")

    def parted(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Examples to learn from and those that are kept back, of ``(n, ...)``; few examples are in both."""
        n = min(self.rated, len(x) // 5)
        return (x[n:], x[:n]) if n >= self.batch_size // 2 else (x, x)

    def steps(self, n: int) -> int:
        """Steps over n examples."""
        return max(self.least, math.ceil(self.passes * n / min(self.batch_size, n)))


@dataclass
class Learner:
    """One alternative while it learns.

    Attributes:
        module: the alternative, whose weights change.
        costs: none of which may be higher than that of another alternative that drops this one.
        error: mean of the relative errors of the last segment.
    """

    module: nn.Module
    costs: tuple[float, ...]
    optimiser: torch.optim.Optimizer = field(init=False)
    error: float = math.inf
    dropped: bool = False

    def __post_init__(self) -> None:
        learned = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        spare_compiler()
        self.optimiser = torch.optim.Adam(learned or [torch.nn.Parameter(torch.zeros(1))], lr=1e-3, foreach=True)
        self.learns = bool(learned)


class Lessons:
    """The alternatives of some nodes, taught together.

    Args:
        model: the trained network, in eval mode; not changed.
        places: node -> dotted name of its module.
        library: node -> alternative -> its module; copies learn.
        costs: (node, alternative) -> its costs.
        x: ``(n, ...)`` examples, as the network takes them.
        path: of a file with what was learned so far; None: none is written.
    """

    def __init__(
        self,
        model: nn.Module,
        places: Mapping[str, str],
        library: Mapping[str, Mapping[str, nn.Module]],
        costs: Mapping[Key, Sequence[float]],
        x: Tensor,
        setting: LearningSetting,
        seed: int,
        path: Path | None = None,
    ) -> None:
        self.model, self.places, self.setting, self.seed, self.path = model, places, setting, seed, path
        device = torch.device("cpu")
        self.half = x.ndim == 4 and bfloat16_is_quicker(device)
        place(model, device)
        self.learned, self.rated = setting.parted(placed(x, device))
        self.learners = {
            (node, label): Learner(_placed_copy(module), tuple(map(float, costs.get((node, label), ()))))
            for node, alternatives in library.items()
            for label, module in alternatives.items()
        }
        self.scales: dict[str, float] = {}  # of each node, the variance of its output

    def learn(self, seconds: float | None = None, on_segment: OnSegment | None = None) -> None:
        """Teach all alternatives; goes on where it was stopped, with the same result.

        Args:
            seconds: after which it ends early; the steps that are left fit into them.
            on_segment: called after each segment.
        """
        n, batch = len(self.learned), min(self.setting.batch_size, len(self.learned))
        total, done, deadline = (
            self.setting.steps(n),
            self._resume(),
            None if seconds is None else time.monotonic() + seconds,
        )
        ends = [round(total * (i + 1) / SEGMENTS) for i in range(SEGMENTS)]
        for segment in range(done, SEGMENTS):
            start = ends[segment - 1] if segment else 0
            rng = np.random.default_rng([self.seed, segment])
            with seeded(int(rng.integers(2**31))):
                self._segment(rng, start, ends[segment], total, batch, deadline)
            if (segment + 1) / SEGMENTS >= self.setting.drop_after and segment + 1 < SEGMENTS:
                self._drop()
            self._keep(segment + 1)
            if on_segment is not None:
                alive = [one.error for one in self.learners.values() if not one.dropped]
                on_segment(segment + 1, SEGMENTS, float(np.mean(alive)) if alive else 0.0)
            if deadline is not None and time.monotonic() > deadline:
                break

    def _segment(
        self, rng: np.random.Generator, start: int, end: int, total: int, batch: int, deadline: float | None
    ) -> None:
        """Steps ``start`` to ``end``."""
        n = len(self.learned)
        order = np.concatenate([rng.permutation(n) for _ in range(-(-(end - start) * batch // n) + 1)])
        alive = {key: one for key, one in self.learners.items() if not one.dropped}
        sums = dict.fromkeys(alive, 0.0)
        for one in alive.values():
            one.module.train()
        with watched(self.model, self.places) as seen:
            for i in range(start, end):
                if deadline is not None and time.monotonic() > deadline:
                    end = max(i, start + 1)
                    break
                places = order[(i - start) * batch : (i - start + 1) * batch]
                with torch.no_grad(), self._precision():
                    self.model(self.learned[places])
                rate = self.setting.lr * one_cycle(i / total, WARM_UP)
                for (node, label), one in alive.items():
                    sums[node, label] += self._step(node, one, *seen[node], rate)
        for key, one in alive.items():
            one.error = sums[key] / max(1, end - start)

    def _step(self, node: str, one: Learner, x: Tensor, wanted: Tensor, rate: float) -> float:
        """One step of one alternative; returns its relative squared error."""
        if node not in self.scales:
            self.scales[node] = max(float(wanted.float().var()), 1e-12)
        for group in one.optimiser.param_groups:
            group["lr"] = rate
        with self._precision(), torch.set_grad_enabled(one.learns):
            found = one.module(x)
        loss = (found.float() - wanted.float()).square().mean() / self.scales[node]
        if one.learns:
            one.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            make_step(one.optimiser)
        return float(loss.detach())

    def _precision(self) -> torch.autocast:
        """Bfloat16 where that is quicker, as in other trainings."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.half)

    def _drop(self) -> None:
        """Drop what another alternative of the node dominates, in error and in all costs."""
        for (node, _), one in self.learners.items():
            others = [two for (there, _), two in self.learners.items() if there == node and two is not one]
            if any(_dominates(two, one) for two in others if not two.dropped):
                one.dropped = True

    def modules(self) -> dict[Key, nn.Module]:
        """The alternatives that were not dropped, in eval mode."""
        return {key: one.module.eval() for key, one in self.learners.items() if not one.dropped}

    def _keep(self, segments: int) -> None:
        if self.path is None:
            return
        state = {
            "segments": segments,
            "scales": self.scales,
            "learners": [
                {
                    "module": one.module.state_dict(),
                    "optimiser": one.optimiser.state_dict(),
                    "error": one.error,
                    "dropped": one.dropped,
                }
                for one in self.learners.values()
            ],
        }
        with whole_file(self.path) as partial:
            torch.save(state, partial)

    def _resume(self) -> int:
        """Load what was learned before; the number of segments that are done."""
        if self.path is None or not self.path.exists():
            return 0
        held: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        for one, state in zip(self.learners.values(), held["learners"], strict=True):
            one.module.load_state_dict(state["module"])
            one.optimiser.load_state_dict(state["optimiser"])
            one.error, one.dropped = state["error"], state["dropped"]
        self.scales = held["scales"]
        return int(held["segments"])


def _placed_copy(module: nn.Module) -> nn.Module:
    copy = copied(module)
    place(copy, torch.device("cpu"))
    return copy


def _dominates(one: Learner, other: Learner) -> bool:
    """Whether it has a lower error, and no higher cost in anything; where costs are not known, nothing is better."""
    return (
        bool(one.costs) and one.error < other.error and all(a <= b for a, b in zip(one.costs, other.costs, strict=True))
    )
