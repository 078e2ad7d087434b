"""What the cache has of one problem, as curves: how good each search was after every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.strategies.comparing.methods import Method
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.store import Run, runs
from searchkit.benchmarks import Benchmark
from searchkit.problem.pareto import non_dominated
from searchkit.space import keys
from searchkit.types import Floats

WINDOW = 20  # suggestions over which seconds are averaged: the first one of a batch, or of a generation, has them all


@dataclass(frozen=True)
class Results:
    """The searches of one method on one problem, made by one version of its code; s of them, b evaluations each.

    Attributes:
        curve: ``(s, b)`` after every evaluation: regret (one objective, lower is better) or hypervolume (several,
            higher is better); NaN where a search was ended by its time limit.
        test: ``(s, b)`` test accuracy in percent of the network that is best by then; None where there is none.
        failed: ``(s, b)`` how many candidates had failed.
        seconds: ``(s, b)`` of each suggestion.
        distinct: ``(s,)`` different candidates, equal networks counted once.
        errors: of searches that raised.
    """

    method: Method
    key: str
    runs: tuple[Run, ...]
    curve: Floats
    test: Floats | None
    failed: Floats
    seconds: Floats
    distinct: Floats
    errors: tuple[str, ...]

    @property
    def first_at_optimum(self) -> Floats:
        """``(s,)`` evaluations until the optimum was evaluated; infinite where it was not."""
        return self.evaluations_until(1e-9)

    def evaluations_until(self, regret: float) -> Floats:
        """``(s,)`` evaluations until the regret was at most so much; infinite where it never was."""
        there = self.curve <= regret
        return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)

    def seconds_at(self, n: int) -> Floats:
        """``(s,)`` seconds of a suggestion with n observations, averaged over some before and after."""
        start = max(1, min(n - WINDOW // 2, self.seconds.shape[1] - WINDOW))  # the first has what is made once
        seconds: Floats = self.seconds[:, start : start + WINDOW].mean(axis=1)
        return seconds


def collect(problem: Problem, methods: Sequence[Method], budget: int, seeds: int | None = None) -> list[Results]:
    """The results of every method that has some, of each the latest version that was run."""
    benchmark = problem.load()
    found = []
    for method in methods:
        known = [run for run in runs(problem.name, method.name) if run.budget == budget]
        if not known:
            continue
        key = max(known, key=lambda run: run.when).key
        latest = {run.seed: run for run in known if run.key == key and (seeds is None or run.seed < seeds)}
        good = tuple(run for _, run in sorted(latest.items()) if not run.error and run.codes)
        errors = tuple(run.error for run in latest.values() if run.error)
        if good or errors:
            found.append(_results(benchmark, method, key, good, errors, budget))
    return found


def _results(
    benchmark: Benchmark, method: Method, key: str, good: tuple[Run, ...], errors: tuple[str, ...], budget: int
) -> Results:
    several = len(benchmark.objectives) > 1
    curve, failed, seconds = (np.full((len(good), budget), np.nan) for _ in range(3))
    test = np.full((len(good), budget), np.nan) if benchmark.tested and not several else None
    distinct = np.zeros(len(good))
    for i, run in enumerate(good):
        codes = np.array(run.codes)[:budget]
        n = len(codes)
        losses = benchmark.losses(codes)
        # what proposed nothing more stays where it is; what ran out of time is not known
        end = n if "time" in run.ended else budget
        curve[i, :end] = _padded(_hypervolumes(benchmark, losses) if several else _regrets(benchmark, losses), end)
        failed[i, :end] = _padded(np.cumsum(~np.isfinite(losses).all(axis=1)), end)
        seconds[i, :n] = run.seconds[:budget]
        distinct[i] = len(set(keys(benchmark.space.check(codes))))
        if test is not None:
            best = np.minimum.accumulate(np.nan_to_num(losses[:, 0], nan=np.inf))
            first = np.array([int(np.argmax(losses[:, 0] == value)) for value in best])
            test[i, :end] = _padded(benchmark.test(codes)[first], end)
    return Results(method, key, good, curve, test, failed, seconds, distinct, errors)


def _padded(values: Floats, n: int) -> Floats:
    return np.concatenate([values, np.full(n - len(values), values[-1])])


def _regrets(benchmark: Benchmark, losses: Floats) -> Floats:
    """Of the best so far; infinite while all have failed."""
    best: Floats = np.minimum.accumulate(np.nan_to_num(losses[:, 0], nan=np.inf)) - benchmark.ideal[0]
    return best


def _hypervolumes(benchmark: Benchmark, losses: Floats) -> Floats:
    """Of all so far; computed anew only where the front has changed."""
    front = losses[:0]
    found: list[float] = []
    for row in losses:
        if np.isfinite(row).all() and not (front <= row).all(axis=1).any():
            front = np.concatenate([front, row[None]])
            front = front[non_dominated(front)]
            found.append(benchmark.hypervolume(front))
        else:
            found.append(found[-1] if found else 0.0)
    return np.array(found)
