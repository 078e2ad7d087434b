"""The problems that methods are compared on."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from benchmarks.common.tables import DATA
from searchkit import benchmarks
from searchkit.benchmarks import Benchmark
from searchkit.errors import UnknownNameError


@dataclass(frozen=True)
class Problem:
    """A benchmark and how long it is searched.

    Attributes:
        title: in words.
        benchmark: its name, and the options it is loaded with.
        budget: evaluations, repeats included, where the command line does not say.
        checkpoints: evaluations at which the report looks.
        scored: the published cells' signals are in the cache, so that methods with proxies run.
    """

    name: str
    title: str
    benchmark: str
    objectives: tuple[str, ...] | None = None
    options: tuple[tuple[str, object], ...] = ()
    budget: int = 100
    checkpoints: tuple[int, ...] = (20, 50, 100)
    scored: bool = False

    def load(self) -> Benchmark:
        """The benchmark; its data come from the shared folder."""
        return _loaded(self.benchmark, self.objectives, self.options)


@functools.cache
def _loaded(name: str, objectives: tuple[str, ...] | None, options: tuple[tuple[str, object], ...]) -> Benchmark:
    return benchmarks.load(name, objectives=objectives, folder=DATA, **dict(options))


_CELLS, _ONE = "nas-bench-201", (20, 25, 40, 50, 60, 100)
PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "nb201", "NAS-Bench-201, validation accuracy", _CELLS, ("accuracy",), checkpoints=_ONE, scored=True
        ),
        Problem(
            "nb201-cifar100", "NAS-Bench-201, validation accuracy on CIFAR-100", _CELLS, ("cifar100_accuracy",),
            checkpoints=_ONE, budget=60,
        ),
        Problem(
            "nb201-raspi4", "NAS-Bench-201, validation accuracy and Raspberry Pi 4 latency", _CELLS,
            ("accuracy", "raspi4_latency_ms"), scored=True,
        ),
        Problem(
            "nb201-edgegpu", "NAS-Bench-201, validation accuracy and edge GPU latency", _CELLS,
            ("accuracy", "edgegpu_latency_ms"), scored=True,
        ),
        Problem(
            "nb201-three", "NAS-Bench-201, validation accuracy, Raspberry Pi 4 latency and edge GPU energy", _CELLS,
            ("accuracy", "raspi4_latency_ms", "edgegpu_energy_mj"), scored=True,
        ),
        Problem(
            "ofa", "Once-for-All MobileNetV3, 45 choices, predicted accuracy and Note 10 latency", "ofa-mobilenet",
            budget=300, checkpoints=(20, 50, 100, 300),
        ),
        Problem("additive", "sums of weights, 20 choices x 6, two objectives", "additive"),
        Problem("hidden-failure", "five choices of (0, 1, 9), sums from 9 on fail", "hidden-failure"),
        Problem(
            "hidden-failure-4", "five choices of (0, 1, 2, 9), sums from 9 on fail", "hidden-failure",
            options=(("values", (0, 1, 2, 9)),),
        ),
    )
}  # fmt: skip


def listed(text: str) -> list[Problem]:
    """Problems from names with commas between them, or "all".

    Raises:
        UnknownNameError: a name that there is not.
    """
    names = list(PROBLEMS) if text == "all" else text.split(",")
    for name in names:
        if name not in PROBLEMS:
            raise UnknownNameError.of("problem", name, PROBLEMS)
    return [PROBLEMS[name] for name in names]
