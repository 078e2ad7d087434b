"""Runs what is missing in the cache: a block of seeds of one method in a process of its own.

BoTorch's multi-objective acquisition, which peers use, compiles C++ at its first use, half a minute. A process that
was killed meanwhile leaves a lock that every later one would wait for (pytorch issue 189245), so that the compiled code
lies in a folder of this cache, and a lock that is stale is removed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from types import FrameType

from benchmarks.strategies.comparing.methods import Method, all_methods, listed
from benchmarks.strategies.comparing.problems import PROBLEMS, Problem
from benchmarks.strategies.comparing.problems import listed as listed_problems
from benchmarks.strategies.comparing.recorder import Recorder, Spent
from benchmarks.strategies.comparing.signals import count
from benchmarks.strategies.comparing.store import FOLDER, Run, keep, runs

SCRIPT = "benchmarks.strategies.compare"  # run from the same folder as this process, so that it is found
EXTENSIONS, STALE = FOLDER / "torch-extensions", 600  # seconds after which a lock is nobody's
BLOCK = 10  # seeds of one method in a process
CHANGED = 75  # exit status: the sources are not those that the run was asked for
GRACE = 1.2  # times the limit, after which a suggestion that does not end is interrupted


def run_all(given: argparse.Namespace) -> None:
    """Everything that was asked for and is not in the cache yet; seeds in blocks, so that all methods come on alike."""
    part, parts = (int(number) for number in given.part.split("/"))
    seeds = [seed for seed in range(given.first_seed, given.first_seed + given.seeds) if seed % parts == part - 1]
    methods = listed(given.methods)
    for method in methods:
        if method.missing:
            print(f"{method.name}: skipped, {method.missing}", file=sys.stderr)
    problems = listed_problems(given.problems)
    if any(method.scored and method.fits(problem) for method in methods for problem in problems):
        print(
            f"{count()} cells have scores in the cache; others take a second each, of a search's time", file=sys.stderr
        )
    for start in range(0, len(seeds), BLOCK):
        for problem in problems:
            for method in methods:
                if not method.missing and method.fits(problem):
                    budget = given.budget or problem.budget
                    run_block(problem, method, seeds[start : start + BLOCK], budget, given.limit, given.retry)


def run_block(problem: Problem, method: Method, seeds: Sequence[int], budget: int, limit: float, retry: bool) -> None:
    """The seeds that are missing, in one process; what does not come back is recorded as an error."""
    key = method.key
    left = missing(problem, method, key, seeds, budget, retry)
    if not left:
        return
    n_before = len(list(runs(problem.name, method.name)))
    start = time.perf_counter()
    command = [
        sys.executable, "-m", SCRIPT, "work", "--problem", problem.name, "--method", method.name, "--seeds",
        ",".join(map(str, left)), "--budget", str(budget), "--limit", str(limit), "--key", key,
    ]  # fmt: skip
    for lock in EXTENSIONS.rglob("lock"):
        if time.time() - lock.stat().st_mtime > STALE:
            lock.unlink(missing_ok=True)
    settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    settings["TORCH_EXTENSIONS_DIR"] = str(EXTENSIONS)
    ended = subprocess.run(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if ended.returncode == CHANGED:
        print(f"{problem.name:16} {method.name:20} the sources have changed meanwhile; run again", flush=True)
        return
    after = missing(problem, method, key, left, budget, retry=False)
    if after and ended.returncode:
        why = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        error = f"ended with {ended.returncode}: {why}"
        keep(Run(problem.name, method.name, after[0], budget, key, error=error, when=_now()))
    seconds = time.perf_counter() - start
    errors = {run.error for run in list(runs(problem.name, method.name))[n_before:] if run.error}
    print(
        f"{problem.name:16} {method.name:20} seeds {','.join(map(str, left))}: {seconds:.1f} s"
        + "".join(f"; {error[:200]}" for error in errors),
        flush=True,
    )


def missing(problem: Problem, method: Method, key: str, seeds: Sequence[int], budget: int, retry: bool) -> list[int]:
    """The seeds without a run of this budget and this code; with ``retry``, those too that ended in an error."""
    done = {
        run.seed
        for run in runs(problem.name, method.name)
        if run.key == key and run.budget == budget and not (retry and run.error)
    }
    return [seed for seed in seeds if seed not in done]


def work(given: argparse.Namespace) -> None:
    """The process that runs one block."""
    import torch

    torch.set_num_threads(1)
    problem, method = PROBLEMS[given.problem], all_methods()[given.method]
    search = method.make()
    if method.key != given.key:  # sources were edited between the start and these imports
        sys.exit(CHANGED)
    benchmark = problem.load()
    for seed in map(int, given.seeds.split(",")):
        recorder, ended, error = Recorder(benchmark, given.budget, given.limit), "", ""
        try:
            signal.signal(signal.SIGALRM, _interrupt)
            signal.setitimer(signal.ITIMER_REAL, GRACE * given.limit)
            search(problem, recorder, seed)
            ended = "it proposed nothing more"
        except Spent:
            ended = "over its time"
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"[:500]
            traceback.print_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if len(recorder.codes) == given.budget:
            ended = error = ""
        keep(
            Run(
                problem.name, method.name, seed, given.budget, given.key, recorder.codes, recorder.seconds,
                round(recorder.wall, 3), round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1), ended,
                error, _now(), _versions(method),
                recorder.extra,
            )
        )  # fmt: skip


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Spent


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _versions(method: Method) -> dict[str, str]:
    names = [*(name for name, _ in method.packages), "numpy", "torch", "scikit-learn", "botorch", "optuna"]
    found = {name: importlib.metadata.version(name) for name in dict.fromkeys(names)}
    return {"python": platform.python_version()} | found
