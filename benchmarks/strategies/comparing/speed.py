"""How long a suggestion takes as observations grow; prints NSGA-II's throughput too."""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.common.machine import describe
from benchmarks.strategies.comparing.methods import Method
from benchmarks.strategies.comparing.methods import listed as listed_methods
from benchmarks.strategies.comparing.problems import PROBLEMS
from benchmarks.strategies.comparing.throughput import nsga2
from searchkit import plugins
from searchkit.benchmarks import Benchmark
from searchkit.errors import UnknownNameError
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.types import Codes, Floats

OBSERVED = (100, 500, 1000)
ONLY = {"ax": (100,), "optuna-gp": (100,)}  # what takes minutes beyond


def speed(given: argparse.Namespace) -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # of peers
    benchmark = PROBLEMS["additive"].load()
    print(f"{describe()}\n\n{benchmark.space.n_choices} choices x {benchmark.space.n_options[0]}, two objectives.\n")
    print(
        "| seconds to learn a result and suggest, with so many observations | " + " | ".join(map(str, OBSERVED)) + " |"
    )
    print("|---|" + "---|" * len(OBSERVED))
    for method in listed_methods(given.methods):
        cells = []
        for n in OBSERVED:
            if method.missing or n not in ONLY.get(method.name, OBSERVED):
                cells.append(method.missing)
                continue
            seconds = [suggestion(method, benchmark, n, seed) for seed in range(given.repeats)]
            cells.append(f"{statistics.median(seconds):.3g}")
        print(f"| {method.name} | " + " | ".join(cells) + " |", flush=True)
    if given.evaluations:
        nsga2(benchmark, given.evaluations, given.repeats)


def suggestion(method: Method, benchmark: Benchmark, n: int, seed: int) -> float:
    """Seconds to learn the n-th result and suggest a candidate; the suggestion before has what is made once."""
    codes = benchmark.space.sample(n, np.random.default_rng(seed))
    losses = benchmark.losses(codes)
    if method.ours:
        step = _ours_told(method.name, benchmark, codes, losses, seed)
    elif method.name == "ax":
        step = _ax_told(benchmark, codes, losses, seed)
    elif method.name.startswith("optuna-"):
        step = _optuna_told(str(method.options[0]), benchmark, codes, losses, seed)
    else:
        raise UnknownNameError.of("method to be timed", method.name, [*plugins.names("strategy"), "optuna-tpe", "ax"])
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


Step = Callable[[], None]
"""Tells a method that has n - 1 observations, and has suggested the n-th, that one's result, and asks it once more."""


def _ours_told(name: str, benchmark: Benchmark, codes: Codes, losses: Floats, seed: int) -> Step:
    strategy = plugins.resolve("strategy", name)(Problem(benchmark.space, losses.shape[1]))
    told = Observations(codes, losses, np.empty((len(codes), 0)))
    strategy.tell(told[:-1])
    strategy.ask(1, np.random.default_rng([seed, 0]), codes[:0])

    def step() -> None:
        strategy.tell(told[-1:])
        strategy.ask(1, np.random.default_rng([seed, 1]), codes[:0])

    return step


def _optuna_told(sampler: str, benchmark: Benchmark, codes: Codes, losses: Floats, seed: int) -> Step:
    import optuna

    from benchmarks.strategies.comparing.peer_optuna import distributions

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = distributions(benchmark.space)
    study = optuna.create_study(
        directions=["minimize"] * losses.shape[1], sampler=getattr(optuna.samplers, sampler)(seed=seed)
    )
    rows = zip(codes[:-1].tolist(), losses[:-1].tolist(), strict=True)
    study.add_trials([
        optuna.trial.create_trial(params=dict(zip(known, code, strict=True)), distributions=known, values=values)
        for code, values in rows
    ])  # fmt: skip
    trial = study.ask(known)

    def step() -> None:
        study.tell(trial, losses[-1].tolist())
        study.ask(known)

    return step


def _ax_told(benchmark: Benchmark, codes: Codes, losses: Floats, seed: int) -> Step:
    from benchmarks.strategies.comparing.peer_ax import client_of

    names = [f"loss_{i + 1}" for i in range(losses.shape[1])]
    client = client_of(benchmark.space, names, seed)
    values = [dict(zip(names, row, strict=True)) for row in losses.tolist()]
    for code, found in zip(codes[:-1].tolist(), values[:-1], strict=True):
        index = client.attach_trial({name: str(i) for name, i in zip(benchmark.space.names, code, strict=True)})
        client.complete_trial(index, raw_data=found)
    (last,) = client.get_next_trials(max_trials=1)

    def step() -> None:
        client.complete_trial(last, raw_data=values[-1])
        client.get_next_trials(max_trials=1)

    return step
