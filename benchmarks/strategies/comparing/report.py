"""The report: tables in markdown, and plots, of what the cache has."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common.machine import describe
from benchmarks.strategies.comparing.methods import listed
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.problems import listed as listed_problems
from benchmarks.strategies.comparing.results import Results, collect
from searchkit.types import Floats

NEAR = 0.1  # accuracy points from the optimum that are counted as near it
OBSERVED = (10, 50, 100, 300)


def report(given: argparse.Namespace) -> None:
    """Print the tables of every problem that has results, and make its plot where a folder is given."""
    print(f"{describe()}\n")
    print(
        "Cells are medians over seeds, with quartiles in brackets. Repeated candidates count as evaluations. Searches"
    )
    print("that their time limit ended count up to there.")
    for problem in listed_problems(given.problems):
        budget = given.budget or problem.budget
        found = collect(problem, listed(given.methods), budget, given.seeds)
        if not found:
            continue
        print(f"\n## {problem.title}: {budget} evaluations\n")
        steps = [n for n in problem.checkpoints if n <= budget] or [budget]
        good = [results for results in found if results.runs]
        (_several if len(problem.load().objectives) > 1 else _one)(problem, good, steps)
        _costs(good, budget)
        for results in found:
            for error in sorted(set(results.errors)):
                print(f"\n{results.method.name}: {results.errors.count(error)} searches raised {error[:300]}")
        if given.plots and good:
            from benchmarks.strategies.comparing.plots import plot

            print(f"\n![{problem.title}]({plot(problem, good, budget, Path(given.plots)).name})")


def _one(problem: Problem, found: Sequence[Results], steps: Sequence[int]) -> None:
    """Regret, the optimum, test accuracies, failures."""
    benchmark = problem.load()
    objective = next(iter(benchmark.objectives))
    print(f"Regret: distance of the best {objective} so far to {benchmark.optimum:g}, the best there is.\n")
    _quantiles(found, steps, lambda results: results.curve, "regret at {}")
    print(f"\nEvaluations until the optimum, and until a regret of {NEAR}; the seed at the 50th and 90th percentile.\n")
    rows = []
    for results in found:
        first, near = results.first_at_optimum, results.evaluations_until(NEAR)
        counts = [_count(np.percentile(of, q, method="higher")) for of in (first, near) for q in (50, 90)]
        rows.append([results.method.name, f"{np.isfinite(first).mean():.0%}", *counts])
    _table(["", "have the optimum", "optimum, 50 %", "90 %", f"within {NEAR}, 50 %", "90 %"], rows)
    if benchmark.tested:
        codes = benchmark.space.enumerate()
        best = float(benchmark.test(codes)[benchmark.losses(codes)[:, 0].argmin()])
        print(f"\nTest accuracy of the network that is chosen by validation; {best:.3f} for the optimum.\n")
        _quantiles(found, steps, lambda results: results.test, "test at {}", digits=2)
    if any(results.failed[:, -1].max() > 0 for results in found):
        print("\nFailed candidates so far.\n")
        _quantiles(found, steps, lambda results: results.failed, "failed at {}", digits=0)


def _several(problem: Problem, found: Sequence[Results], steps: Sequence[int]) -> None:
    """Hypervolume."""
    benchmark = problem.load()
    names = ", ".join(benchmark.objectives)
    whole = "the whole front is 1" if benchmark.front is not None else "the front is not known; 1 is the box"
    print(f"Hypervolume of {names}: {whole}.\n")
    _quantiles(found, steps, lambda results: results.curve, "at {}")


def _quantiles(
    found: Sequence[Results],
    steps: Sequence[int],
    of: Callable[[Results], Floats | None],
    heading: str,
    digits: int = 3,
) -> None:
    rows = []
    for results in found:
        values = of(results)
        assert values is not None
        cells = [_middle(values[:, n - 1], digits) for n in steps]
        rows.append([results.method.name, str(len(results.runs)), *cells])
    _table(["", "seeds", *(heading.format(n) for n in steps)], rows)


def _costs(found: Sequence[Results], budget: int) -> None:
    """Time, memory, repeats, and which code it was."""
    steps = [n for n in OBSERVED if n <= budget]
    print("\nSeconds per suggestion with so many observations, of a whole search, and memory.\n")
    rows = []
    for results in found:
        seconds = [f"{np.nanmedian(results.seconds_at(n)):.2g}" if _some(results.seconds_at(n)) else "" for n in steps]
        scored = [run.extra["scored"] for run in results.runs if "scored" in run.extra]
        cut = sum(bool(run.ended) for run in results.runs)
        notes = [results.key]
        if scored:
            notes.append(f"{np.median(scored):.0f} cells scored")
        if cut:
            notes.append(f"{cut} ended early")
        rows.append([
            results.method.name,
            *seconds,
            f"{np.median([run.wall for run in results.runs]):.1f}",
            f"{np.median([run.peak_mb for run in results.runs]):.0f}",
            f"{np.median(results.distinct):.0f}",
            ", ".join(notes),
        ])  # fmt: skip
    _table(["", *(f"s at {n}" for n in steps), "s in all", "peak MB", "distinct", "what was run"], rows)


def _some(values: Floats) -> bool:
    return bool(np.isfinite(values).any())


def _middle(values: Floats, digits: int) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    low, middle, high = np.percentile(known, [25, 50, 75], method="linear" if np.isfinite(known).all() else "higher")
    cell = f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    return cell if len(known) == len(values) else f"{cell}, {len(known)} seeds"


def _count(evaluations: float) -> str:
    return f"{evaluations:.0f}" if np.isfinite(evaluations) else "more"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")
