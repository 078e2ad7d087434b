"""Searches under the latency of a slow device: every candidate measured, beside ten networks first and what may win.

    python -m benchmarks.costs.first_ten [--devices raspi4,edgegpu] [--strategies random,nsga2] [--seeds 3]

Accuracies and latencies are those published for NAS-Bench-201. The device that is left out answers from its table, as a
target of a search; the other devices' tables are what is known. Hypervolumes are of the measured front, beside the same
search whose candidates are all measured, as a share of the whole space's front.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common.machine import describe
from benchmarks.common.tables import DATA, table
from searchkit.benchmarks import load
from searchkit.benchmarks.tables import CELLS, COSTS, DEVICES, LATENCIES
from searchkit.costs.counts import space_counts
from searchkit.costs.targets.target import Target
from searchkit.execution.executors import InProcess
from searchkit.plugins import strategy_factory
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.pareto import hypervolume
from searchkit.problem.problem import Problem
from searchkit.problem.trial import Trial, observe, pareto_front
from searchkit.search.known_costs import with_known
from searchkit.search.loop import Search
from searchkit.search.slow_targets import SlowTarget
from searchkit.search.target_costs import Late, TargetCosts
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.storage.record import Memory
from searchkit.types import Codes, Floats

NAME, COLUMN = "board", "latency_ms@board"
LATENCY = [name.removesuffix("_latency_ms") for name in COSTS if name.endswith("_latency_ms")]
SPACE = nas_bench_201()


class FromTable:
    """The costs of a search whose target is a device of the table; the file of a candidate holds its code."""

    def __init__(self, latency: Callable[[Codes], Floats], target: Target, bounds: Sequence[Bound]) -> None:
        self.asked = 0
        self.latency = latency
        target = with_known({NAME: Target(self._answer, first=target.first, known=target.known)}, SPACE)[NAME]
        slow = {NAME: SlowTarget(NAME, target, SPACE)} if target.first else {}
        self.on_targets = TargetCosts({NAME: target}, ["accuracy", COLUMN], bounds, slow)
        for one in slow.values():
            one.prepare(lambda codes: space_counts(SPACE, codes), True, bounds)
            chosen = one.choose(target.first or 0, [], np.empty((0, SPACE.n_choices), dtype=np.int64))
            for code in chosen:
                with self._file(code) as path:
                    self.on_targets.check(path, code, self._counts(code))

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """See :class:`~searchkit.search.accounting.Costs`."""
        counts = self._counts(code)
        with self._file(code) as path:
            values, methods = self.on_targets(code, counts, path)
        return counts | values, methods

    def go_on(self, trials: Sequence[Trial]) -> None:
        """Nothing is continued here."""

    def late(self, trials: Sequence[Trial], goals: Goals, ending: bool) -> Late:
        """See :class:`~searchkit.search.accounting.Costs`."""
        return self.on_targets.late(trials, goals, ending, self._file)

    def _answer(self, path: Path) -> float:
        self.asked += 1
        return float(self.latency(np.array([[int(i) for i in path.read_text().split()]]))[0])

    @contextlib.contextmanager
    def _file(self, code: Codes) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cell"
            path.write_text(" ".join(map(str, code)))
            yield path

    @staticmethod
    def _counts(code: Codes) -> dict[str, float]:
        return {name: float(values[0]) for name, values in space_counts(SPACE, code[None]).items()}


def devices() -> dict[str, Callable[[Codes], Floats]]:
    """Device -> the published latencies ``(n,)`` of codes ``(n, d)``."""
    for path in (CELLS, DEVICES, LATENCIES):
        table(path)
    names = [f"{name}_latency_ms" for name in LATENCY if name != "edgetpu"]  # which a third of the cells do not run on
    source = load("nas-bench-201", objectives=("accuracy", *names), folder=DATA).source

    def of(column: str) -> Callable[[Codes], Floats]:
        return lambda codes: np.asarray(source(SPACE.check(codes), [column])[column], dtype=np.float64)

    return {"accuracy": of("accuracy")} | {name.removesuffix("_latency_ms"): of(name) for name in names}


def search(
    strategy: str, seed: int, tables: dict[str, Callable[[Codes], Floats]], device: str, first: int | None, budget: int
) -> tuple[int, list[Trial], Goals]:
    """The number of measured networks, and the candidates of one search."""
    goals = Goals((Objective("accuracy", "max"), Objective(COLUMN)))
    others = {name: values for name, values in tables.items() if name not in ("accuracy", device)}

    def known(values: Callable[[Codes], Floats]) -> Callable[[dict[str, object]], float]:
        return lambda choices: float(values(SPACE.encode(choices))[0])

    given = {name: known(values) for name, values in others.items()} if first else {}
    costs = FromTable(tables[device], Target(lambda path: 1.0, first=first, known=given), goals.bounds)

    def evaluate(code: Codes, seed: int) -> dict[str, float]:
        return {"accuracy": float(tables["accuracy"](code[None])[0])}

    problem = Problem(SPACE, n_objectives=2, budget=budget)
    record = Memory()
    Search(
        problem, strategy_factory(strategy)(problem), goals, costs, InProcess(evaluate, ("accuracy",), None), record,
        Budget(evaluations=budget), 1, seed,
    ).run()  # fmt: skip
    return costs.asked, record.trials, goals


def main(names: list[str], strategies: list[str], seeds: int, first: int, budget: int) -> None:
    """Print a row for every device and strategy."""
    tables = devices()
    everything = SPACE.enumerate()
    print(f"{describe()}. {budget} candidates, {seeds} seeds each: means.\n")
    print(
        "| device left out | strategy | measured: all | measured: ten first | hypervolume: all | ten first | "
        "of the front | seconds: all | ten first |\n" + "|---" * 9 + "|"
    )
    for device in names:
        losses = np.stack([-tables["accuracy"](everything), tables[device](everything)], axis=1)
        reference = np.percentile(losses, 90, axis=0)
        best = hypervolume(losses, reference)
        for strategy in strategies:
            rows = []
            for seed in range(seeds):
                row: list[float] = []
                for number in (None, first):
                    began = time.perf_counter()
                    asked, trials, goals = search(strategy, seed, tables, device, number, budget)
                    seconds = time.perf_counter() - began
                    front = pareto_front(trials, goals)
                    assert all(COLUMN + "_predicted" not in trial.values for trial in front)
                    row += [asked, hypervolume(observe(front, goals).losses, reference) / best, seconds]
                    kept = [trial.code for trial in front]
                whole = pareto_front([_true(trial, tables[device]) for trial in trials], goals)
                found = {code.tobytes() for code in kept} & {trial.code.tobytes() for trial in whole}
                rows.append([*row, len(found) / len(whole)])
            a, h, s, b, g, t, share = np.mean(rows, axis=0)
            print(
                f"| {device} | {strategy} | {a:.1f} | {b:.1f} | {h:.3f} | {g:.3f} | {share:.0%} | {s:.1f} | {t:.1f} |",
                flush=True,
            )


def _true(trial: Trial, latency: Callable[[Codes], Floats]) -> Trial:
    values = {"accuracy": trial.values["accuracy"], COLUMN: float(latency(trial.code[None])[0])}
    return Trial(trial.number, trial.batch, trial.batch_size, trial.code, trial.state, values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", default="raspi4,edgegpu,eyeriss", help="left out in turn (raspi4,edgegpu,eyeriss)")
    parser.add_argument("--strategies", default="random,nsga2", help="(random,nsga2)")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each (3)")
    parser.add_argument("--first", type=int, default=10, help="networks that are measured first (10)")
    parser.add_argument("--budget", type=int, default=60, help="candidates of a search (60)")
    given = parser.parse_args()
    main(given.devices.split(","), given.strategies.split(","), given.seeds, given.first, given.budget)
