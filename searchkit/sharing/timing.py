"""The plan of a training of shared weights with a time, by a few steps that are made and measured before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from searchkit.errors import ProxyError
from searchkit.random_state import seeded
from searchkit.runtime.pooling import right_pooling
from searchkit.sharing.bank import Bank
from searchkit.sharing.fitting import Fitting
from searchkit.sharing.log import say_planned
from searchkit.sharing.pace import Pace, most_steps
from searchkit.sharing.policies.protocol import Reward
from searchkit.types import Codes

AT_ONCE, MOST = 2, 10  # steps between two looks at the clock, and such looks
SHARE = 0.1  # of the time in which steps are measured, after the first; and of what is left, in which probes are judged


class _Listed:
    """A policy that takes some paths in turn."""

    reward: Reward = "none"
    together = 1
    share = 1.0

    def __init__(self, codes: Codes) -> None:
        self._codes, self._next = codes, 0

    def begin(self, steps: int) -> None:
        """Nothing depends on the number of steps."""

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """See :class:`~searchkit.sharing.policies.protocol.Policy`."""
        self._next += 1
        code: Codes = self._codes[(self._next - 1) % len(self._codes)]
        return code, 1

    def tell(self, code: Codes, value: float) -> None:
        """Nothing depends on it."""

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def _measured(scratch: Fitting, seconds: float) -> tuple[float, float]:
    """Seconds of a step, and of the judgement of a network, told by a training that is not used otherwise.

    Args:
        seconds: after which no further steps are made, if there were some.
    """
    device, rng = scratch.bank.device, np.random.default_rng(scratch.seed)
    with seeded(scratch.seed, device), right_pooling(device):
        scratch.advance(1, rng)  # the first step loads libraries
        began, each = time.perf_counter(), list[float]()
        while len(each) < MOST and (not each or time.perf_counter() - began < seconds):
            before = time.perf_counter()
            done = scratch.advance(AT_ONCE, rng)
            each.append((time.perf_counter() - before) / done)
        step = float(np.median(each[len(each) // 2 :]))  # the first steps of a network take longer than later ones
        began = time.perf_counter()
        scratch.judged.loss_if_trained(scratch.bank, scratch.probes[0])
        return step, time.perf_counter() - began


def planned(fitting: Fitting, until: float) -> Pace:
    """As many steps of a training that has not begun as end in time, at most those that it has.

    Its probes become fewer where judging them would take long. What is measured (steps of a few networks, each built
    anew, and the judgement of one) is of a bank of its own, so that the weights are those of a training of so many
    steps.

    Args:
        until: by :func:`time.perf_counter`.
    """
    bank = fitting.bank
    scratch = Fitting(
        Bank(bank.space, bank.keys.share, bank.device, bank.seed), fitting.data, _Listed(fitting.probes),
        fitting.recipe, fitting.epochs, fitting.judged, fitting.seed, fitting.probes,
    )  # fmt: skip
    given = until - time.perf_counter()
    try:
        step, judge = _measured(scratch, SHARE * given)
    except ProxyError:  # these few networks cannot be trained, which need not be so of all
        return Pace(until, fitting.steps, 0.0)
    judged = fitting.policy.reward == "validation"
    paths = getattr(fitting.policy, "n_paths", fitting.steps)
    left = until - time.perf_counter()
    fitting.probes = fitting.probes[: max(1, int(SHARE * left / max(judge, 1e-9)))]  # fewer where the time is short
    ending = len(fitting.probes) * judge

    def cost(steps: int) -> float:
        return steps * step + fitting.rounds(steps) * ending + (judge * min(steps, paths) if judged else 0.0)

    pace = Pace(until, most_steps(fitting.steps, fitting.policy.together, left, cost), ending)
    say_planned(pace.steps, fitting.steps, fitting.per_epoch, given)
    return pace
