"""How busy workers are kept: durations that vary tenfold, and a thousand candidates of ten milliseconds on Ray.

    python -m benchmarks.overhead.asynchronous [--part varied|quick|both] [--repeats 3]

Candidates sleep, so that four workers fit on two cores. *Busy* is the time that candidates took, summed, over the
workers' time from the first candidate's beginning to the last one's end. Batches that wait for their slowest are the
reference in the first part; the same tasks sent to Ray by hand, two at a time, in the second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import searchkit
from searchkit import Choice, Space

SPACE = Space([Choice(f"c{j}", range(10)) for j in range(6)], name="six")
OBJECTIVES = {"loss": "min", "cost": "min"}


def varied(choices: dict[str, int]) -> dict[str, float]:
    """Takes 0.1 s to 1 s, whatever its losses are: log-uniform in the last two digits."""
    began = time.time()
    time.sleep(0.1 * 10 ** ((choices["c4"] * 10 + choices["c5"]) / 99))
    return outcome(choices, began)


def quick(choices: dict[str, int]) -> dict[str, float]:
    """Takes 10 ms."""
    began = time.time()
    time.sleep(0.01)
    return outcome(choices, began)


def outcome(choices: dict[str, int], began: float) -> dict[str, float]:
    """Two losses, and when it began and ended."""
    loss, cost = sum(choices.values()), sum((v - 5) ** 2 for v in choices.values())
    return {"loss": float(loss), "cost": float(cost), "began": began, "ended": time.time()}


def busy(function: Callable[..., Any], n: int, n_workers: int, **given: Any) -> tuple[float, float]:
    """Share of the workers' time that candidates took, and the milliseconds that each took beside its evaluation."""
    result = searchkit.run(space=SPACE, evaluate=function, objectives=OBJECTIVES, budget=n, progress=False, **given)
    history = result.history
    assert len(history) == n
    assert (history.state == "scored").all()
    return shares(history.began.to_numpy(), history.ended.to_numpy(), n_workers)


def shares(began: Any, ended: Any, n_workers: int) -> tuple[float, float]:
    """The two figures of :func:`busy`."""
    available, taken = n_workers * (ended.max() - began.min()), (ended - began).sum()
    return taken / available, 1000 * (available - taken) / len(began)


def part_varied(repeats: int) -> None:
    """Batches against workers that free, on four processes."""
    print("| strategy | busy, batches of 4 | busy, as workers free |\n|---|---|---|")
    for strategy in ("random", "nsga2", "tpe", "bo"):
        rows = []
        for batch in (4, None):
            given: dict[str, Any] = {"strategy": strategy, "executor": 4, "batch": batch, "storage": "memory"}
            rows.append([busy(varied, 120, 4, seed=seed, **given)[0] for seed in range(repeats)])
        print(f"| {strategy} | " + " | ".join(spread(row, "{:.0%}") for row in rows) + " |", flush=True)


def part_quick(repeats: int) -> None:
    """A thousand candidates of ten milliseconds on two workers."""
    from searchkit.integrations.ray import RayExecutor

    executor = RayExecutor()
    warm = {"strategy": "random", "executor": executor, "workers": 2, "storage": "memory"}
    busy(quick, 50, 2, **warm)
    print("| executor | record | strategy | busy | ms a candidate |\n|---|---|---|---|---|")
    by_hand = [plain_ray() for _ in range(repeats)]
    print(f"| Ray by hand | none | | {spread([b for b, _ in by_hand], '{:.0%}')} | "
          f"{spread([ms for _, ms in by_hand], '{:.1f}')} |")  # fmt: skip
    for name, pool in (("Ray", executor), ("2 processes", 2)):
        for storage in ("memory", "journal file"):
            for strategy in ("random", "nsga2"):
                rows = []
                for seed in range(repeats):
                    with tempfile.TemporaryDirectory() as folder:
                        given = {"strategy": strategy, "storage": "memory" if storage == "memory" else folder}
                        given |= {"executor": pool} | ({"workers": 2} if pool is executor else {})
                        rows.append(busy(quick, 1000, 2, seed=seed, **given))
                shown = spread([b for b, _ in rows], "{:.0%}"), spread([ms for _, ms in rows], "{:.1f}")
                print(f"| {name} | {storage} | {strategy} | {' | '.join(shown)} |", flush=True)
    executor.shutdown()


def plain_ray() -> tuple[float, float]:
    """The same thousand candidates in a loop over ``ray.wait``, two at a time."""
    import ray

    task = ray.remote(quick)
    rng = np.random.default_rng(0)
    candidates = iter(SPACE.decode(SPACE.sample(1000, rng)))
    running, outcomes = [task.remote(next(candidates)) for _ in range(2)], []
    while running:
        done, running = ray.wait(running)
        outcomes += ray.get(done)
        running += [task.remote(choices) for choices, _ in zip(candidates, done, strict=False)]
    began, ended = (np.array([outcome[name] for outcome in outcomes]) for name in ("began", "ended"))
    return shares(began, ended, 2)


def spread(values: list[float], shown: str) -> str:
    """Median and range."""
    low, middle, high = (shown.format(v) for v in (min(values), float(np.median(values)), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("varied", "quick", "both"), default="both")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.part != "quick":
        part_varied(given.repeats)
    if given.part != "varied":
        part_quick(given.repeats)


if __name__ == "__main__":
    main()
