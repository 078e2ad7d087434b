"""How searchkit's own work grows: with the options of a choice, with observations, and with recorded candidates.

    python -m benchmarks.overhead.sizes [--repeats 3]

Everything runs in one process with one thread. Read the ratios: twice as much of anything should cost twice the time,
and a step of a search the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import searchkit
from benchmarks.common.machine import describe
from searchkit import Choice, Space, plugins
from searchkit.integrations.optuna import write_study
from searchkit.integrations.sklearn.grid import read_grid
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.trial import State, Trial
from searchkit.proxy_layer import Screen, Signals
from searchkit.results.result import Result

OPTIONS = (5_000, 10_000, 20_000)
OBSERVED = (100, 400, 800)
CANDIDATES = (5_000, 10_000, 20_000)
WRITTEN = 1_000  # candidates of the journal whose lines make the larger ones; writing takes milliseconds a candidate
ASKED = ("bo", "exact", "evolution", "nsga2", "tpe")
SPACE = Space([Choice(f"c{j}", range(6)) for j in range(20)])
WEIGHTS = np.random.default_rng(0).normal(size=(2, 20, 6))


def losses(codes: np.ndarray) -> np.ndarray:
    """``(n, 2)``: each decision adds its own weight, one table per objective."""
    return np.stack([table[np.arange(20), codes].sum(axis=1) for table in WEIGHTS], axis=1)


def seconds(work: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The median time of a piece of work."""
    taken = []
    for _ in range(repeats):
        start = clock()
        work()
        taken.append(clock() - start)
    return statistics.median(taken)


def row(name: str, times: list[float]) -> str:
    """A line of a table: the first time, and the others relative to it."""
    ratios = " | ".join(f"{t / times[0]:.1f}" for t in times[1:])
    return f"| {name} | {times[0] * 1000:,.1f} ms | {ratios} |"


def head(what: str, sizes: tuple[int, ...]) -> str:
    columns = [what, f"{sizes[0]:,}", *(f"{n:,}, relative" for n in sizes[1:])]
    return f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def by_options(repeats: int) -> None:
    """A choice, its codes, a grid; and a step of each strategy, with 25 candidates evaluated."""
    print(head("options of a choice", OPTIONS))
    made = {n: Space([Choice("a", range(n)), Choice("b", ("x", "y"))]) for n in OPTIONS}
    some = {n: made[n].decode(made[n].sample(1000, np.random.default_rng(0))) for n in OPTIONS}
    print(row("the choice is made", [seconds(lambda n=n: Choice("a", range(n)), repeats) for n in OPTIONS]))
    print(row("1,000 candidates encoded", [seconds(lambda n=n: made[n].encode(some[n]), repeats) for n in OPTIONS]))
    print(row("grid of SearchkitCV", [seconds(lambda n=n: read_grid({"a": range(n)}), repeats) for n in OPTIONS]))
    for name in ASKED:
        print(row(f"a step of {name}", [seconds(step(name, made[n]), repeats) for n in OPTIONS]), flush=True)


def step(name: str, space: Space) -> Callable[[], Any]:
    strategy = plugins.resolve("strategy", name)(Problem(space, 1, budget=30))
    codes = strategy.ask(25, np.random.default_rng(0), space.sample(0, np.random.default_rng(0)))
    strategy.tell(Observations(codes, np.sin(codes[:, :1] / 99.0), np.empty((len(codes), 0))))
    return lambda: strategy.ask(1, np.random.default_rng(1), codes[:0])


def by_observations(repeats: int) -> None:
    """A pick of the proxy layer after n observations; hyperparameters that are due are fitted within the first."""
    print(head("observations", OBSERVED))
    picks, fits = [], []
    for n in OBSERVED:
        signals = Signals(SPACE, ("a",), lambda codes: -losses(codes)[:, 1:], Goals((Objective("loss"),)))
        screen = Screen(Problem(SPACE, 1, budget=n), signals, 16, 0)
        for code in SPACE.sample(n, np.random.default_rng(0)):
            screen.tell(Observations(code[None], losses(code[None])[:, :1], np.empty((1, 0))))
        none = SPACE.sample(0, np.random.default_rng(0))

        def pick(screen: Screen = screen, none: np.ndarray = none) -> None:
            rng = np.random.default_rng(1)
            screen.pick(SPACE.sample(9, rng), 1, set(), rng, none)

        fits.append(seconds(pick, 1))
        picks.append(seconds(pick, repeats))
    print(row("a pick of the proxy layer", picks))
    print(row("the same with a fit", fits))


def by_candidates(repeats: int) -> None:
    """Tables and page of n candidates of two objectives."""
    print(head("candidates", CANDIDATES))
    results = {n: result(n) for n in CANDIDATES}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        histories = [seconds(lambda n=n: fresh(results[n]).history, repeats) for n in CANDIDATES]
        pages = [seconds(lambda n=n: fresh(results[n]).report(page), repeats) for n in CANDIDATES]
        print(row("history", histories))
        print(row("report", pages))
    ratio = pages[-1] / histories[-1]
    print(f"\nThe report of {CANDIDATES[-1]:,} candidates takes {ratio:.1f} times the time of their history.")


def by_records(repeats: int) -> None:
    """CPU time to read a journal file as a result, for a list, and by Optuna, which has just trials then."""
    print(head("recorded candidates", CANDIDATES))
    ways: dict[str, Callable[[Path], Any]] = {
        "load": lambda file: searchkit.load("n", file.parent),
        "list": lambda file: searchkit.list_studies(file.parent),
        "Optuna: load_study(...).trials": with_optuna,
        "each line read by json.loads": lambda file: [json.loads(line) for line in file.read_bytes().splitlines()],
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [journal(Path(folder), n) for n in CANDIDATES]
        times = {
            way: [seconds(lambda f=file, r=read: r(f), repeats, time.process_time) for file in files]
            for way, read in ways.items()
        }
    for way in ways:
        print(row(way, times[way]))
    theirs = times["Optuna: load_study(...).trials"][-1]
    for way in ("load", "list"):
        print(f"\nOptuna takes {theirs / times[way][-1]:.1f} times as long as {way} for {CANDIDATES[-1]:,} candidates.")


def with_optuna(file: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(file)))
    return optuna.load_study(study_name="n", storage=storage).trials


def journal(folder: Path, n: int) -> Path:
    """A journal file of n candidates, of which many are alike; each is one line."""
    source = folder / "n.journal"
    if not source.exists():
        write_study(result(WRITTEN), folder, "n")
    lines = source.read_bytes().splitlines(keepends=True)
    trials = [line for line in lines if line.startswith(b'{"op_code":4,')]
    file = folder / str(n) / "n.journal"
    file.parent.mkdir()
    others = [line for line in lines if not line.startswith(b'{"op_code":4,')]
    file.write_bytes(b"".join(others + trials * (n // WRITTEN)))
    return file


def fresh(made: Result) -> Result:
    """The same result, with nothing computed yet."""
    return Result(made.space, made.goals, made.trials, made.name, made.stopped, made.context)


def result(n: int) -> Result:
    codes = SPACE.sample(n, np.random.default_rng(0))
    trials = [
        Trial(i, i, 1, code, State.SCORED, {"a": float(a), "b": float(b)}, seconds=0.1, elapsed=0.1 * i)
        for i, (code, (a, b)) in enumerate(zip(codes, losses(codes), strict=True))
    ]
    return Result(SPACE, Goals((Objective("a"), Objective("b"))), trials, f"n{n}", "done", {"chosen": "random"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(describe())
    by_options(repeats)
    by_observations(repeats)
    by_candidates(repeats)
    by_records(repeats)


if __name__ == "__main__":
    main()
