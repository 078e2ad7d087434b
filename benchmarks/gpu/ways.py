"""The part of ``python -m benchmarks.gpu`` that compares ways to train several networks on one card.

Every way trains the same networks by searchkit's own step and the same recipe in bfloat16, channels last; what differs
is who launches the kernels, and how many networks are at it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.setting import Setting, wait
from benchmarks.gpu.stacked_training import stacked_training
from searchkit.errors import OutOfMemoryError
from searchkit.execution.executors import Pool, as_they_finish, open_executor
from searchkit.execution.interleaved import Interleaved, Place
from searchkit.execution.outcome import Job
from searchkit.runtime.cuda_graphs import captured
from searchkit.training.evaluation import Evaluation
from searchkit.training.evaluator import Training
from searchkit.training.recipe import Recipe, recipe_for
from searchkit.training.train import build_seeded, course
from searchkit.training.turns import Course, finish
from searchkit.types import Codes, Floats

Way = Callable[[Codes], Floats]  # networks (n, d) -> accuracies (n,)


def ways_part(setting: Setting) -> None:
    """Print networks an hour of each way; one that fails says so and leaves the others their turn."""
    recipe = recipe_for("images", len(setting.data.train), setting.epochs)
    codes = setting.codes(setting.networks)
    print(
        f"N = {len(codes)} networks of width {setting.width} and {setting.cells} cells a stage, {recipe.epochs} epochs "
        f"of {len(setting.data.train):,} images ({setting.data.name}), batches of {recipe.batch_size}. Beside each "
        "other: how many at a time. Stacked are the first network's copies under several seeds, which no search has.\n"
    )
    print(
        "| way | beside each other | seconds | networks an hour | mean accuracy | GiB reserved at most |\n"
        "|---|---|---|---|---|---|"
    )
    for name, n, way in _ways(setting, recipe):
        _row(setting, name, n, way, codes)


def _row(setting: Setting, name: str, n: int, way: Way, codes: Codes) -> None:
    on_card = setting.device.type == "cuda"
    try:
        way(codes[:1])  # warm: libraries are loaded, processes are there
        wait(setting.device)
        if on_card:
            torch.cuda.reset_peak_memory_stats(setting.device)
        start = time.perf_counter()
        found = way(codes)
        wait(setting.device)
        taken = time.perf_counter() - start
    except (RuntimeError, OutOfMemoryError):
        print(f"| {name} | {n} | failed: {traceback.format_exc().strip().splitlines()[-1]} | | | |", flush=True)
        return
    here = on_card and "processes" not in name  # what others reserve is not known here
    reserved = torch.cuda.max_memory_reserved(setting.device) / 2**30 if here else float("nan")
    print(
        f"| {name} | {n} | {taken:.1f} | {3600 * len(found) / taken:.1f} | {100 * np.nanmean(found):.2f} % "
        f"| {reserved:.2f} |",
        flush=True,
    )


def _ways(setting: Setting, recipe: Recipe) -> list[tuple[str, int, Way]]:
    several = (2, 4, 8, 16) if setting.device.type == "cuda" else (2,)
    ways: list[tuple[str, int, Way]] = [
        ("steps from Python", 1, lambda codes: _one_by_one(setting, recipe, codes, _refused)),
        ("recorded steps", 1, lambda codes: _one_by_one(setting, recipe, codes, None)),
    ]
    ways += [
        ("recorded steps on streams (executor='interleaved')", n, _in_turns(setting, recipe, n, None)) for n in several
    ]
    ways += [
        (f"worker processes, recorded steps (executor={n})", n, _in_processes(setting, recipe, n)) for n in several
    ]
    for n in several[-2:]:
        ways += [
            ("steps from Python on streams", n, _in_turns(setting, recipe, n, _refused)),
            ("stacked, recorded", n, lambda codes, n=n: _stacked(setting, recipe, codes, n)),
        ]
    return ways


def _refused(work: Callable[[], None]) -> Callable[[], None]:
    """Records nothing, so that every step is made from Python."""
    raise RuntimeError("not wanted")


class _Steps(Evaluation):
    """A training in turns, by steps that are recorded or not."""

    takes_turns = True

    def __init__(self, setting: Setting, recipe: Recipe, capture: Any) -> None:
        self._setting, self._recipe, self._capture = setting, recipe, capture

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        """The accuracy of one network."""
        return finish(self.in_turns(code, seed, rung))

    def in_turns(self, code: Codes, seed: int, rung: int | None = None) -> Course[dict[str, float]]:
        """The same in turns."""
        setting = self._setting
        trained = yield from course(
            build_seeded(setting.space, code, seed), setting.data, recipe=self._recipe, seed=seed,
            device=setting.device, capture=self._capture,
        )  # fmt: skip
        return {"accuracy": trained.accuracy}


def _one_by_one(setting: Setting, recipe: Recipe, codes: Codes, capture: Any) -> Floats:
    steps = _Steps(setting, recipe, capture)
    return np.array([steps(code, i)["accuracy"] for i, code in enumerate(codes)])


def _in_turns(setting: Setting, recipe: Recipe, n: int, capture: Any) -> Way:
    pool = Interleaved([Place(_Steps(setting, recipe, capture))], ("accuracy",), None, n)
    return lambda codes: _accuracies(pool, codes)


def _in_processes(setting: Setting, recipe: Recipe, n: int) -> Way:
    """The processes are started and warm with the first call, and end with the second."""
    pools: list[Pool] = []

    def way(codes: Codes) -> Floats:
        if not pools:
            training = Training(
                setting.space, setting.data, recipe, str(setting.device), (), Path(), keep=False
            )  # fmt: skip
            pools.append(open_executor(n, training, ("accuracy",)))
            return _accuracies(pools[0], np.repeat(codes, n, axis=0))
        try:
            return _accuracies(pools[0], codes)
        finally:
            pools.pop().close()

    return way


def _accuracies(pool: Pool, codes: Codes) -> Floats:
    found = np.full(len(codes), np.nan)
    for i, outcome in as_they_finish(pool, [Job(code, i) for i, code in enumerate(codes)]):
        if outcome.reason is not None:
            raise RuntimeError(outcome.reason)
        found[i] = outcome.values["accuracy"]
    return found


def _stacked(setting: Setting, recipe: Recipe, codes: Codes, n: int) -> Floats:
    """As many trainings as there are codes, rounded up to whole stacks."""
    found: list[float] = []
    while len(found) < len(codes):
        seeds: Sequence[int] = range(len(found), len(found) + n)
        networks = [build_seeded(setting.space, codes[0], seed) for seed in seeds]
        capture = captured if setting.device.type == "cuda" else None
        found += stacked_training(networks, setting.data, recipe, setting.device, seeds, capture).tolist()
    return np.array(found)
