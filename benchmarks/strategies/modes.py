"""Strategies where leaving a mode takes several changes at once: how much of the space is better than what they found.

    python -m benchmarks.strategies.modes [--families "pairs;three"] [--methods bo,exact,evolution] [--instances 8]

Every instance is another function, searched once with its number as the seed. Settings of bo were looked at on the
families without "held out" in their names.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.common.machine import describe
from benchmarks.strategies.landscapes import listed, searched
from searchkit import Choice, Space, plugins
from searchkit.types import Codes, Floats

LOOKS = (30, 60, 80)  # evaluations


def _begun(instance: int, k: int, n: int) -> tuple[np.random.Generator, Space, Codes, Floats]:
    """A space of k choices of n options, all its candidates, and sums of normal values of their options."""
    rng = np.random.default_rng([instance, 9])
    space = Space([Choice(f"c{i}", range(n)) for i in range(k)])
    codes = space.enumerate(n**k)
    return rng, space, codes, rng.normal(size=(k, n))[np.arange(k), codes].sum(axis=1)


def pairs(instance: int, k: int, n: int, gain: float, loss: float) -> tuple[Space, Floats]:
    """The last option of each of two choices loses alone, both together gain."""
    _, space, codes, values = _begun(instance, k, n)
    both = (codes[:, :2] == n - 1).sum(axis=1)
    return space, values + np.array([0.0, -loss, gain])[both]


def three(instance: int, k: int, n: int, gain: float, loss: float) -> tuple[Space, Floats]:
    """Three options lose, one or two of them at a time, and gain together."""
    rng, space, codes, values = _begun(instance, k, n)
    there = (codes[:, :3] == rng.integers(0, n, 3)).sum(axis=1)
    return space, values + np.array([0.0, -loss, -2 * loss, gain])[there]


def chain(instance: int, k: int, n: int) -> tuple[Space, Floats]:
    """Options of neighbouring choices act together as much as each does alone."""
    rng, space, codes, values = _begun(instance, k, n)
    beside = rng.normal(size=(k, n, n))
    return space, values + beside[np.arange(k), codes, np.roll(codes, -1, axis=1)].sum(axis=1)


def corner(instance: int, k: int, n: int, gain: float) -> tuple[Space, Floats]:
    """Ordered choices, smooth around a target in the lower half, but for a gain where two are near their upper ends."""
    rng = np.random.default_rng([instance, 9])
    space = Space([Choice(f"c{i}", range(n), ordered=True) for i in range(k)])
    codes, target, weights = space.enumerate(n**k), rng.uniform(0, (n - 1) * 0.5, k), rng.uniform(0.5, 1.5, k)
    values = -4 * (weights * ((codes - target) / (n - 1)) ** 2).sum(axis=1)
    return space, values + gain * (codes[:, :2] >= n - 2).all(axis=1)


FAMILIES: dict[str, Callable[[int], tuple[Space, Floats]]] = {
    "pairs": lambda i: pairs(i, 6, 5, 4.0, 1.5),
    "three": lambda i: three(i, 7, 3, 5.0, 1.0),
    "chain": lambda i: chain(i, 8, 4),
    "corner": lambda i: corner(i, 5, 8, 3.0),
    "pairs, held out: 10 x 3": lambda i: pairs(i, 10, 3, 4.0, 1.5),
    "pairs, held out: 8 x 4": lambda i: pairs(i, 8, 4, 3.0, 0.75),
    "three, held out: 6 x 4": lambda i: three(i, 6, 4, 5.0, 1.0),
    "chain, held out: 6 x 5": lambda i: chain(i, 6, 5),
}


def main() -> None:
    """Print a row for each family and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default=";".join(FAMILIES), help="names with semicolons between them")
    parser.add_argument("--methods", default="bo,exact,evolution")
    parser.add_argument("--instances", type=int, default=8)
    given = parser.parse_args()
    print(describe(), end="\n\n")
    columns = [
        "family",
        "method",
        *(f"share that is better, at {n}" for n in LOOKS),
        "optimum by 60",
        "80",
        "s a search",
    ]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for family in given.families.split(";"):
        for method in given.methods.split(","):
            began, shares = time.process_time(), np.empty((given.instances, len(LOOKS)))
            for i in range(given.instances):
                space, values = listed(*FAMILIES[family](i))
                best = searched(plugins.resolve("strategy", method), space, values, LOOKS[-1], i)
                everything = values(space.enumerate(10**6))
                shares[i] = [(everything > best[n - 1] + 1e-9).mean() for n in LOOKS]
            row = [f"{share:.3%}" for share in shares.mean(axis=0)] + [str(n) for n in (shares[:, 1:] == 0).sum(axis=0)]
            seconds = (time.process_time() - began) / given.instances
            print(f"| {family} | {method} | {' | '.join(row)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
