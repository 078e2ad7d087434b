"""The strategy shrink: on tables of networks, in a space of 2e19 networks, and bo in the space that it leaves.

python -m benchmarks.shrink [--parts tables,large,ofa,free] [--seeds 100] [--bo-seeds 20] [--ofa-seeds 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.common.machine import describe
from searchkit import NetworkSpace, benchmarks, plugins
from searchkit.benchmarks.benchmark import Benchmark
from searchkit.blocks.shrinking import Settings, Shrinking, usual_level
from searchkit.costs.counts import space_counts
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.problem.ranks import normal_scores
from searchkit.space import Space, distinct_rows
from searchkit.space.narrower_space import Part, part_of
from searchkit.spaces.mobilenet import mobilenet
from searchkit.strategies.shrink import Shrink
from searchkit.types import Codes, Floats

LOOKS = {  # of levels of 5, 10, 15 and 35, and one network more
    "nas-bench-201": (21, 41, 61, 141),
    "nas-bench-macro": (11, 21, 31, 71),
}
EVALUATIONS = 100  # of the Once-for-All surrogate, in all
FREE = 1000  # of the surrogate at a lower resolution
Losses = Callable[[Codes], Floats]
ALWAYS = "shrink, an option of each choice at each level"


def searched(
    make: Callable[[Problem], Strategy], space: Space, losses: Losses, budget: int, seed: int, batch: int = 1
) -> tuple[Observations, Strategy, float]:
    """What was evaluated, the strategy, and the seconds that it took itself."""
    rows = losses(space.sample(1, np.random.default_rng(0)))
    strategy = make(Problem(space, rows.shape[1], budget=budget))
    told, seconds = Observations.empty(space.n_choices, rows.shape[1]), 0.0
    while len(told) < budget:
        began = time.perf_counter()
        none = np.empty((0, space.n_choices), dtype=np.int64)
        codes = strategy.ask(min(batch, budget - len(told)), np.random.default_rng([seed, len(told)]), none)
        seconds += time.perf_counter() - began
        if not len(codes):
            break
        new = Observations(codes, losses(codes), np.empty((len(codes), 0)))
        began = time.perf_counter()
        strategy.tell(new)
        seconds += time.perf_counter() - began
        told = told + new
    return told, strategy, seconds


def named(name: str, **options: object) -> Callable[[Problem], Strategy]:
    """A strategy by its name, with options."""
    made: Callable[[Problem], Strategy] = partial(plugins.resolve("strategy", name), **options)
    return made


def tables(seeds: int, bo_seeds: int) -> None:
    """The best test accuracy found, which is also what strategies are told: medians over seeds."""
    for name, looks in LOOKS.items():
        problem = benchmarks.load(name)
        n_levels = int(problem.space.n_options.max()) - 1
        losses = partial(_untested, problem)
        print(f"\n**{name}**\n\n| | seeds | {' | '.join(f'at {n}' for n in looks)} |\n|{'---|' * (len(looks) + 2)}")
        for said, method, n_seeds in (
            (ALWAYS, "shrink", seeds), ("shrink", "shrink", seeds), ("random", "random", seeds), ("bo", "bo", bo_seeds)
        ):  # fmt: skip
            found = []
            for n in looks:
                options = {"per_level": (n - 1) // n_levels, "always": True} if said == ALWAYS else {}
                runs = (searched(named(method, **options), problem.space, losses, n, seed) for seed in range(n_seeds))
                found.append([float((-told.losses).max()) for told, _, _ in runs])
            _row(said, n_seeds, found)
        means = [[by_means(problem.space, losses, (n - 1) // n_levels, s) for s in range(seeds)] for n in looks]
        _row("the same by means of options, without a regression", seeds, means)


def by_means(space: Space, losses: Losses, per_level: int, seed: int) -> float:
    """The best value where the option of the worst mean rank falls in each choice, until one network is left."""
    rng, seen = np.random.default_rng(seed), np.empty((0, space.n_choices), dtype=np.int64)
    living = [list(range(n)) for n in space.n_options]
    while any(len(options) > 1 for options in living):
        for _ in range(50):  # times as many are drawn as are needed, where few are new
            drawn = np.column_stack([rng.choice(options, per_level) for options in living])
            new = distinct_rows(np.concatenate([seen, space.canonical(drawn)]))
            if len(new) >= len(seen) + per_level:
                break
        seen = new[: len(seen) + per_level]
        scores = normal_scores(-losses(seen)[:, 0])
        for j, options in enumerate(living):
            if len(options) > 1:
                means = [scores[seen[:, j] == o].mean() if (seen[:, j] == o).any() else np.inf for o in options]
                del options[int(np.argmin(means))]
    last = space.canonical(np.array([[options[0] for options in living]]))
    return float(-losses(np.concatenate([seen, last])).min())


def _row(said: str, seeds: int, found: list[list[float]]) -> None:
    print(f"| {said} | {seeds} | {' | '.join(f'{np.median(one):.2f}' for one in found)} |", flush=True)


def large(seeds: int, budget: int = 1000) -> None:
    """Seconds of the strategy itself in a space of 45 choices, and what it left of it."""
    space = mobilenet()
    print(f"\n**{space}**, a made score of codes and params, {budget} evaluations in batches of 5\n")
    print(
        "| seed | s of the strategy | options left, of "
        + f"{int(space.n_options.sum())} | combinations left |\n|---|---|---|---|"
    )
    for seed in range(seeds):
        _, strategy, seconds = searched(named("shrink"), space, partial(made_score, space), budget, seed, 5)
        assert isinstance(strategy, Shrink)
        living = strategy.shrinking.living
        left = np.prod([float(one.sum()) for one in living])
        print(f"| {seed} | {seconds:.1f} | {sum(int(one.sum()) for one in living)} | {left:.1e} |", flush=True)


def made_score(space: NetworkSpace, codes: Codes) -> Floats:
    """``(n, 2)``: a sum over options with pairs of neighbouring choices, of log params as a score of untrained
    networks is, and params."""
    rng = np.random.default_rng(7)
    worth = [rng.normal(size=n) for n in space.n_options]
    alone = sum(worth[j][codes[:, j]] for j in range(space.n_choices))
    beside = sum(0.3 * worth[j][codes[:, j]] * worth[j + 1][codes[:, j + 1]] for j in range(space.n_choices - 1))
    params = space_counts(space, codes)["params"]
    return np.column_stack([-(alone + beside) - 2 * np.log(params), params])


FIRST: tuple[tuple[str, Callable[[Problem], Strategy], Settings], ...] = (
    ("shrink", named("shrink"), Settings(usual_level(EVALUATIONS // 2))),
    (
        "shrink, an option of each choice at each of two levels",
        named("shrink", per_level=EVALUATIONS // 4, always=True),
        Settings(EVALUATIONS // 4, always=True),
    ),
    ("bo", named("bo"), Settings(usual_level(EVALUATIONS // 2))),
    ("random", named("random"), Settings(EVALUATIONS)),  # nothing falls
)


def ofa(seeds: int) -> None:
    """Hypervolume of accuracy and latency after as many evaluations in all."""
    problem = benchmarks.load("ofa-mobilenet")
    rows: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    for seed in range(seeds):
        for method in ("bo", "shrink", "random"):
            told = searched(named(method), problem.space, problem.losses, EVALUATIONS, seed)[0]
            rows.setdefault(f"{method}, {EVALUATIONS}", []).append(problem.hypervolume(told.losses))
        for said, first, rule in FIRST:
            half = EVALUATIONS // 2
            told = searched(first, problem.space, problem.losses, half, seed)[0]
            shrinking = Shrinking(problem.space, 2, rule)
            shrinking.tell(told)
            kept = shrinking.holding(told.codes[told.losses.argmin(axis=0)])
            left = part_of(problem.space, kept)
            sizes.setdefault(said, []).append(int(left.n_options.sum()))
            inside = partial(_whole, problem, left)
            more = searched(partial(_continued, Part(problem.space, kept), told), left, inside, half, seed)[0]
            both = np.concatenate([told.losses, more.losses])
            rows.setdefault(f"{said}, {half}, then bo in the space left, {half}", []).append(problem.hypervolume(both))
    print(f"\n**Once-for-All surrogate**, {seeds} seeds\n\n| | hypervolume, median | each seed |\n|---|---|---|")
    for said, found in rows.items():
        print(f"| {said} | {np.median(found):.3f} | {', '.join(f'{one:.3f}' for one in found)} |")
    for said, found in sizes.items():
        print(f"\nLeft after {said}: {min(found)} to {max(found)} of {int(problem.space.n_options.sum())} options")


def free(seeds: int) -> None:
    """Options fall by evaluations that count as free, at a lower resolution; bo then searches what is left."""
    problem = benchmarks.load("ofa-mobilenet")
    cheap = benchmarks.load("ofa-mobilenet", resolution=160)
    n_options = int(problem.space.n_options.sum())
    print(f"\n| seed | options left of {n_options} | hypervolume of bo, {EVALUATIONS} |\n|---|---|---|")
    found = []
    for seed in range(seeds):
        told, strategy, _ = searched(named("shrink"), cheap.space, cheap.losses, FREE, seed, 5)
        assert isinstance(strategy, Shrink)
        left = part_of(problem.space, strategy.shrinking.holding(told.codes[told.losses.argmin(axis=0)]))
        more = searched(named("bo"), left, partial(_whole, problem, left), EVALUATIONS, seed)[0]
        found.append(problem.hypervolume(more.losses))
        print(f"| {seed} | {int(left.n_options.sum())} | {found[-1]:.3f} |", flush=True)
    print(f"| median | | {np.median(found):.3f} |")


def _continued(part: Part, told: Observations, problem: Problem) -> Strategy:
    """bo, told of the candidates that are in a part of the space."""
    strategy = named("bo")(problem)
    codes, inside = part.holds(told.codes)
    if inside.any():
        codes = problem.space.canonical(codes[inside])
        strategy.tell(Observations(codes, told.losses[inside], told.violations[inside]))
    return strategy


def _untested(problem: Benchmark, codes: Codes) -> Floats:
    return -problem.test(codes)[:, None]


def _whole(problem: Benchmark, left: Space, codes: Codes) -> Floats:
    return problem.losses(problem.space.encode(left.decode(codes)))


def main() -> None:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="tables,large,ofa,free")
    parser.add_argument("--seeds", type=int, default=100, help="of the tables")
    parser.add_argument("--bo-seeds", type=int, default=20, help="of bo on the tables")
    parser.add_argument("--ofa-seeds", type=int, default=5)
    given = parser.parse_args()
    print(describe())
    for part in given.parts.split(","):
        if part == "tables":
            tables(given.seeds, given.bo_seeds)
        elif part == "large":
            large(3)
        elif part == "ofa":
            ofa(given.ofa_seeds)
        elif part == "free":
            free(given.ofa_seeds)
        else:
            parser.error(f"--parts are tables, large, ofa and free, not {part!r}")


if __name__ == "__main__":
    main()
