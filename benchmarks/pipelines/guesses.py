"""What a user's guess is worth: searches with none, with a right one, and with a wrong one.

    python -m benchmarks.pipelines.guesses [--seeds 20] [--strategies evolution,tpe,bo]

Three functions of 4 to 6 numbers whose best place is drawn with the seed. A right guess is 0.07 of the range beside
it (standard deviation), a wrong one 0.45 of the range away, in every number. Losses after 10, 20 and 40 evaluations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.common.machine import describe
from searchkit import Float, Space, plugins
from searchkit.problem.making import made
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.types import Floats

BUDGET = 40
KINDS = ("none", "right", "wrong")
FUNCTIONS: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
    "sphere of 5": (5, lambda away: (away**2).sum(axis=1)),
    "waves of 4": (4, lambda away: (away**2 + 0.05 * (1 - np.cos(12 * np.pi * away))).sum(axis=1)),
    "unequal of 6": (6, lambda away: (away**2 * np.array([10, 5, 2, 1, 0.1, 0.1])).sum(axis=1)),
}


def losses(strategy: str, name: str, kind: str, confidence: float, seed: int) -> Floats:
    """``(BUDGET,)`` the best loss after each evaluation."""
    d, function = FUNCTIONS[name]
    rng = np.random.default_rng(1000 + seed)
    best = rng.uniform(0.1, 0.9, d)
    right = np.clip(best + rng.normal(size=d) * 0.07, 0, 1)
    guess = right if kind == "right" else best + np.where(best < 0.5, 0.45, -0.45)
    space = Space([
        Float(f"x{i}", 0, 1, prior=None if kind == "none" else (float(guess[i]), confidence)) for i in range(d)
    ])  # fmt: skip
    problem = Problem(space, 1, budget=BUDGET)
    searcher = made(plugins.resolve("strategy", strategy), problem)
    found = []
    for step in range(BUDGET):
        codes = searcher.ask(1, np.random.default_rng([seed, step]), np.empty((0, d), dtype=np.int64))
        value = function(space.positions(codes) - best)[:, None]
        searcher.tell(Observations(codes, value, np.empty((1, 0))))
        found.append(float(value[0, 0]))
    return np.minimum.accumulate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--strategies", default="evolution,tpe,bo")
    given = parser.parse_args()
    print(describe(), end="\n\n")
    print("| function | strategy | confidence | no guess | right | wrong |")
    print("|---|---|---|---|---|---|")
    for name in FUNCTIONS:
        for strategy in given.strategies.split(","):
            for confidence in (0.5, 0.9):
                cells = []
                for kind in KINDS:
                    runs = [losses(strategy, name, kind, confidence, seed) for seed in range(given.seeds)]
                    middle = np.median(runs, axis=0)[[9, 19, 39]]
                    cells.append(", ".join(f"{value:.4f}" for value in middle))
                print(f"| {name} | {strategy} | {confidence} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
